"""The cell with a construct in it as a COBRApy model: what is exported, and what every figure is checked on.

It is made from the model file itself, not from the arrays of the linear programs, and its bounds are worked out here
from the design space anew: what is checked here shares no step with the fast way in `value.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import cobra
from cobra.io import load_json_model

from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.media import OPEN, Condition, Side, limited
from redox_balancer.cell.models import load_model
from redox_balancer.design.construct import Construct
from redox_balancer.design.placement import Placement
from redox_balancer.design.space import H2O2_BALANCE, H2O2_LEFT, H2O2_SPARE, DesignSpace, State
from redox_balancer.design.task import Task

METER = "REDOX_CAPACITY"
ROUND_OFF = 1e-9
"""Relative distance kept from a bound at the very optimum, which is infeasible by round-off."""


Bounds = dict[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class DesignedCell:
    """A construct in a cell.

    Attributes
    ----------
    space, construct, condition
        What was built, into what, under which limits.
    model
        The cell under the condition with the construct. Its objective is growth: the biomass flux less the cost of
        expression, so the biomass reaction weighs `keep`.
    keep
        Share of growth that the cost of expression leaves.
    capacity
        Weight of each reaction in the capacity, NAD(P)H per flux.
    floor
        Growth that is held while capacity is counted, 1/h, cost of expression taken off.
    """

    space: DesignSpace
    construct: Construct
    condition: Condition
    model: cobra.Model
    keep: float
    capacity: Mapping[str, float]
    floor: float

    @property
    def placements(self) -> list[Placement]:
        """What is placed."""
        return [self.space.placements[position] for position, _ in self.construct]

    @property
    def biomass(self) -> cobra.Reaction:
        """The reaction whose flux is growth before the cost of expression."""
        return self.model.reactions.get_by_id(self.space.network.objective)

    @contextmanager
    def growing(self, growth: float) -> Iterator[None]:
        """Hold growth, cost of expression taken off, at `growth` 1/h at least."""
        with self.model:
            self.biomass.lower_bound = growth / self.keep * (1 - ROUND_OFF)
            yield

    @contextmanager
    def without_construct(self) -> Iterator[None]:
        """Take the construct out, and the cost of its expression."""
        empty = Construct.empty(len(self.space.placements))
        with self.model:
            _set_bounds(self.model, bounds_of(self.space, empty, self.space.state(self.condition)))
            self.model.objective = self.biomass
            yield

    @contextmanager
    def metered(self, weights: Mapping[str, float]) -> Iterator[cobra.Reaction]:
        """Add a reaction whose flux is a weighted sum of others: COBRApy's envelope takes one reaction."""
        with self.model:
            token = cobra.Metabolite("redox_capacity", formula="", compartment=self.biomass.compartments.pop())
            meter = cobra.Reaction(METER, lower_bound=-1e6, upper_bound=1e6)
            meter.add_metabolites({token: -1.0})
            self.model.add_reactions([meter])
            for reaction, weight in weights.items():
                self.model.reactions.get_by_id(reaction).add_metabolites({token: weight})
            yield meter

    @property
    def capacities_at_least(self) -> list[dict[str, float]]:
        """Weights of linear functions whose smaller one is the capacity.

        The price of H2O2 is taken off only where some is left: capacity = min(taken, taken - price x formed). To
        maximise that one program with the ledger is enough. Its smallest value is the smaller of two minima; the
        ledger would let H2O2 be left that nobody formed.
        """
        taken = {reaction: weight for reaction, weight in self.capacity.items() if reaction != H2O2_LEFT}
        price = -self.capacity.get(H2O2_LEFT, 0.0)
        if not price:
            return [taken]
        priced = dict(taken)
        for placement in self.placements:
            formed = self.space.network.stoichiometry_of(placement.reaction).get(H2O2_BALANCE, 0.0)
            if placement.foreign and formed:
                priced[placement.reaction] = priced.get(placement.reaction, 0.0) - price * formed
        return [taken, priced]


def open_model(task: Task) -> cobra.Model:
    """Model file of a task as COBRApy has it: nothing lumped, nothing taken out."""
    return load_json_model(str(core_json())) if task.model is None else load_model(task.model).model


def designed_cell(
    model: cobra.Model,
    space: DesignSpace,
    construct: Construct,
    condition: Condition,
    *,
    floor: float,
) -> DesignedCell:
    """Put a construct into a cell under a condition.

    Parameters
    ----------
    model
        The model that `space` was built on. It is changed: give each construct its own, or work within
        `with model:`, which takes everything back at its end.
    space, construct, condition
        What to build, and under which limits.
    floor
        Growth to be held while capacity is counted, 1/h.
    """
    state = space.state(condition)
    network = space.network
    placed = {space.placements[position].reaction: space.placements[position] for position, _ in construct}
    foreign = {reaction: placement for reaction, placement in placed.items() if placement.foreign}
    columns = {reaction: network.stoichiometry_of(reaction) for reaction in foreign}
    ledger = any(column.get(H2O2_BALANCE, 0.0) > 0 for column in columns.values())
    if ledger:
        own = next(iter(columns.values()))
        token = cobra.Metabolite(
            H2O2_BALANCE,
            name="H2O2 formed and not removed by inserted reactions (no substance)",
            formula="",
            charge=0,
            compartment=next(model.metabolites.get_by_id(one).compartment for one in own if one != H2O2_BALANCE),
        )
        model.add_metabolites([token])
        columns |= {extra: network.stoichiometry_of(extra) for extra in (H2O2_LEFT, H2O2_SPARE)}
    for reaction, stoichiometry in columns.items():
        added = cobra.Reaction(reaction)
        model.add_reactions([added])
        added.add_metabolites(
            {
                model.metabolites.get_by_id(metabolite): coefficient
                for metabolite, coefficient in stoichiometry.items()
                if ledger or metabolite != H2O2_BALANCE
            }
        )
        if reaction in foreign:
            _describe(added, foreign[reaction])
        else:
            added.name = "bookkeeping of H2O2, no reaction of the cell"
    _set_bounds(model, bounds_of(space, construct, state))
    keep = 1.0 - space.protein(construct) / space.settings.phi_max
    model.objective = {model.reactions.get_by_id(network.objective): keep}
    weights = {network.reactions[column]: weight for column, weight in space.nadph_weights().items()}
    capacity = {reaction: weight for reaction, weight in weights.items() if reaction in columns}
    if ledger and space.settings.h2o2_price:
        capacity[H2O2_LEFT] = -space.settings.h2o2_price
    return DesignedCell(space, construct, condition, model, keep, capacity, floor)


def bounds_of(space: DesignSpace, construct: Construct, state: State) -> Bounds:
    """Bounds of every reaction with a construct under a state, mmol/gDW/h.

    They come from the medium, the capacities of native enzymes, the condition and the caps of what is placed.
    """
    network = space.network
    lower, upper = network.lower.tolist(), network.upper.tolist()
    medium = dict(zip(network.reactions, zip(lower, upper, strict=True), strict=True))
    bounds = dict(medium)
    native = dict(space.capacities)
    for reaction, capacity in native.items():
        bounds[reaction] = limited(*medium[reaction], Side.FLUX, capacity)
    for parameter, limit in zip(space.parameters, state, strict=True):
        if limit < OPEN:
            bounds[parameter.reaction] = limited(*bounds[parameter.reaction], parameter.side, limit)
            if parameter.side is Side.FLUX:
                native[parameter.reaction] = min(limit, native.get(parameter.reaction, OPEN))
    extra: dict[str, float] = {}
    for position, level in construct:
        placement = space.placements[position]
        if placement.foreign:
            bounds[placement.reaction] = placement.bounds(placement.caps[level])
        else:
            extra[placement.reaction] = extra.get(placement.reaction, 0.0) + placement.caps[level]
    for reaction, more in extra.items():
        # What the cell has of an enzyme, or what the condition leaves of it, and what is expressed besides.
        bounds[reaction] = limited(*medium[reaction], Side.FLUX, native.get(reaction, OPEN) + more)
    return bounds


def _describe(reaction: cobra.Reaction, placement: Placement) -> None:
    enzyme = placement.enzyme
    reaction.name = f"{enzyme.name}, {enzyme.organism}"
    reaction.subsystem = "Inserted"
    reaction.annotation = {"sbo": "SBO:0000176"}
    if whole := re.findall(r"\d+\.\d+\.\d+\.\d+", enzyme.ec):
        reaction.annotation["ec-code"] = whole
    reaction.gene_reaction_rule = enzyme.id
    (gene,) = reaction.genes
    gene.name = f"{enzyme.name} ({enzyme.organism})"
    gene.annotation = {"sbo": "SBO:0000243"}
    if enzyme.uniprot is not None:
        gene.annotation["uniprot"] = [enzyme.uniprot.accession]


def _set_bounds(model: cobra.Model, bounds: Bounds) -> None:
    for reaction in model.reactions:
        wanted = bounds[reaction.id]
        if reaction.bounds != wanted:
            reaction.bounds = wanted
