"""The cell with a construct in it as a COBRApy model: what is exported, and what every figure is checked on.

It is made from the model file itself, not from the arrays of the linear programs; bounds and weights are those of
`design/formulation.py`, which the evaluator reads too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cobra
from cobra.io import load_json_model

from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.media import Condition
from redox_balancer.cell.models import load_model
from redox_balancer.design.construct import Construct
from redox_balancer.design.formulation import (
    capacity_weights,
    growth_kept,
    guaranteed_weights,
    held_biomass_flux,
    reaction_bounds,
)
from redox_balancer.design.insertion import H2O2_BALANCE, H2O2_LEFT, H2O2_SPARE
from redox_balancer.design.placement import Placement
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task

METER = "REDOX_CAPACITY"


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
            self.biomass.lower_bound = held_biomass_flux(growth, self.keep)
            yield

    @contextmanager
    def without_construct(self) -> Iterator[None]:
        """Take the construct out, and the cost of its expression."""
        empty = Construct.empty(len(self.space.placements))
        with self.model:
            _set_bounds(self.model, reaction_bounds(self.space, empty, self.condition))
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

        See `guaranteed_weights`.
        """
        return guaranteed_weights(self.space, self.placements)


def open_model(task: Task) -> cobra.Model:
    """Model of a task as COBRApy has it, the caller's own: nothing lumped, nothing removed."""
    if task.model is None:
        return load_json_model(str(core_json()))
    return load_model(task.model).model if isinstance(task.model, Path) else task.model.copy()


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
    _set_bounds(model, reaction_bounds(space, construct, condition))
    keep = growth_kept(space.settings, space.protein(construct))
    model.objective = {model.reactions.get_by_id(network.objective): keep}
    capacity = {reaction: weight for reaction, weight in capacity_weights(space).items() if reaction in columns}
    return DesignedCell(space, construct, condition, model, keep, capacity, floor)


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


def _set_bounds(model: cobra.Model, bounds: Mapping[str, tuple[float, float]]) -> None:
    for reaction in model.reactions:
        wanted = bounds[reaction.id]
        if reaction.bounds != wanted:
            reaction.bounds = wanted
