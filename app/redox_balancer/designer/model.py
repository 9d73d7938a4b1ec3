"""The cell with a construct as a COBRApy model, which is exported and on which growth and capacity are checked.

It is built from the model file with COBRApy, not from the arrays of the evaluator's linear programs, without lumping,
critical regions or caches, so it checks those, and the analysis of `whole_cell.py`. It is not an independent
formulation of the value: bounds, growth floor, expression cost and weights are those of `design/formulation.py`, and
the stoichiometry of inserted reactions is that of the design space, which the evaluator reads too. The independent
formulation is `second_solver.py` of the tests, which both are compared with.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redox_balancer.cell.cobrapy import cobra
from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.curation import curate_model
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.ledgers import add_ledgers
from redox_balancer.cell.models import in_memory, load_model
from redox_balancer.design.construct import Construct
from redox_balancer.design.formulation import (
    NO_GROWTH,
    capacity_weights,
    growth_kept,
    held_biomass_flux,
    reaches_floor,
    reaction_bounds,
)
from redox_balancer.design.placement import H2O2_BALANCE, H2O2_LEFT, H2O2_SPARE, Placement
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.design import Design, check_agreement


@dataclass(frozen=True, eq=False)
class DesignedCell:
    """A construct in a cell under a condition.

    The objective is growth after the cost of expression: the biomass reaction has the coefficient `keep`.
    """

    space: DesignSpace
    construct: Construct
    condition: Condition
    model: cobra.Model
    keep: float  # share of growth left after the cost of expression
    capacity: Mapping[str, float]  # weight of each reaction in the capacity, NAD(P)H per flux
    floor: float  # growth after the cost of expression that is held while capacity is maximised, 1/h

    @property
    def placements(self) -> list[Placement]:
        """The placements of the construct."""
        return [self.space.placements[position] for position, _ in self.construct]

    @property
    def biomass(self) -> cobra.Reaction:
        """The reaction whose flux is growth before the cost of expression."""
        return self.model.reactions.get_by_id(self.space.network.objective)

    def by_reaction(self, weights: Mapping[str, float]) -> dict[cobra.Reaction, float]:
        """Weights by reaction of the model, as COBRApy takes an objective."""
        return {self.model.reactions.get_by_id(reaction): weight for reaction, weight in weights.items()}

    @contextmanager
    def growing(self, growth: float) -> Iterator[None]:
        """Hold growth after the cost of expression at or above `growth`, 1/h."""
        with self.model:
            self.biomass.lower_bound = held_biomass_flux(growth, self.keep)
            yield


def open_model(task: Task) -> cobra.Model:
    """COBRApy model of a task, curated as its network is; a copy of its own, with no reaction lumped or removed."""
    source = core_json() if task.model is None else task.model
    loaded = load_model(source) if isinstance(source, Path) else in_memory(source.copy())
    found = loaded.curated(task.biomass, as_published=task.as_published, curation=task.curation)
    return curate_model(loaded.model, found)


def designed_cell(
    model: cobra.Model, space: DesignSpace, construct: Construct, condition: Condition, *, floor: float
) -> DesignedCell:
    """Put a construct into a cell under a condition; `floor` is the growth to hold while capacity is maximised, 1/h.

    `model` is the one that `space` was built on. It is changed: pass a copy for each construct, or work within
    `with model:`, which reverts all changes at its end.
    """
    network = space.network
    add_ledgers(model, network, besides={H2O2_BALANCE})
    placed = {space.placements[position].reaction: space.placements[position] for position, _ in construct}
    foreign = {reaction: placement for reaction, placement in placed.items() if placement.foreign}
    columns = {reaction: network.stoichiometry_of(reaction) for reaction in foreign}
    counts_h2o2 = any(column.get(H2O2_BALANCE, 0.0) > 0 for column in columns.values())
    if counts_h2o2:
        own = next(iter(columns.values()))
        token = cobra.Metabolite(
            H2O2_BALANCE,
            name="bookkeeping of H2O2 formed and not removed by inserted reactions (not a substance)",
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
                if counts_h2o2 or metabolite != H2O2_BALANCE
            }
        )
        if reaction in foreign:
            _describe(added, foreign[reaction])
        else:
            added.name = "bookkeeping of H2O2, not a reaction of the cell"
    _set_bounds(model, reaction_bounds(space, construct, condition))
    keep = growth_kept(space.settings, space.protein(construct))
    growth = keep * model.reactions.get_by_id(network.objective).flux_expression
    model.objective = model.problem.Objective(growth, direction="max")  # the file may minimise
    capacity = {reaction: weight for reaction, weight in capacity_weights(space).items() if reaction in columns}
    return DesignedCell(space, construct, condition, model, keep, capacity, floor)


def checked_cell(task: Task, design: Design) -> tuple[DesignedCell, dict[str, float]]:
    """The cell of a design as a COBRApy model, and its growth and capacity by COBRApy.

    A RedoxError where one of them is not that of the design.
    """
    proposal = design.proposal
    floor = proposal.reference.floor
    cell = designed_cell(open_model(task), proposal.space, proposal.construct, proposal.condition, floor=floor)
    growth = largest_growth(cell)
    capacity = largest_capacity(cell, growth)
    check_agreement("COBRApy", growth, capacity, proposal.outcome)
    return cell, {"growth": growth, "capacity": capacity}


def largest_growth(cell: DesignedCell) -> float:
    """Largest growth after the cost of expression, 1/h; 0 where the cell is not viable."""
    growth = float(cell.model.slim_optimize(error_value=0.0))
    return growth if growth > NO_GROWTH else 0.0


def largest_capacity(cell: DesignedCell, growth: float) -> float:
    """Largest NAD(P)H consumption of the inserted reactions with growth at the floor, mmol/gDW/h.

    `growth` is the largest, 1/h; 0 where the floor is out of reach.
    """
    if not cell.capacity or not reaches_floor(growth, cell.floor):
        return 0.0
    with cell.growing(cell.floor):
        cell.model.objective = cell.by_reaction(cell.capacity)
        return max(0.0, float(cell.model.slim_optimize(error_value=0.0)))


def _describe(reaction: cobra.Reaction, placement: Placement) -> None:
    enzyme = placement.enzyme
    reaction.name = f"{enzyme.name}, {enzyme.organism}"
    reaction.subsystem = "Inserted"
    reaction.annotation = {"sbo": "SBO:0000176"}
    if complete := re.findall(r"\d+\.\d+\.\d+\.\d+", enzyme.ec):
        reaction.annotation["ec-code"] = complete
    reaction.gene_reaction_rule = enzyme.id
    (gene,) = reaction.genes
    gene.name = f"{enzyme.name} ({enzyme.organism})"
    gene.annotation = {"sbo": "SBO:0000243"}
    if enzyme.uniprot is not None:
        gene.annotation["uniprot"] = [enzyme.uniprot.accession]


def _set_bounds(model: cobra.Model, bounds: Mapping[str, tuple[float, float]]) -> None:
    for reaction in model.reactions:
        if reaction.bounds != bounds[reaction.id]:
            reaction.bounds = bounds[reaction.id]
