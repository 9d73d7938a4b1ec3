"""What a designed cell does, asked of COBRApy itself on the model that is exported, with nothing lumped.

Fluxes are parsimonious (pFBA, Lewis et al. 2010, Mol Syst Biol 6:390): among all solutions with the optimum, the one
of the smallest sum. One optimal vertex is an accident of the solver's path, and on Recon3D about a thousand of its
fluxes stand at +-1000 in loops. A loop only adds to the sum, so the parsimonious solution has none that is not paid
for; loops taken out of a vertex afterwards (CycleFreeFlux) would leave which vertex it was. Ranges (FVA) need no
choice: reactions in a loop of the model are marked, since their range says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cobra
from cobra.exceptions import OptimizationError
from cobra.flux_analysis import flux_variability_analysis, pfba, production_envelope

from redox_balancer.cell.cycles import reactions_in_cycles
from redox_balancer.cell.models import to_network
from redox_balancer.cell.network import Network
from redox_balancer.design.formulation import AT_OPTIMUM, NO_GROWTH, reaches_floor
from redox_balancer.designer.model import DesignedCell
from redox_balancer.progress import Progress, no_progress

Fluxes = dict[str, float]
Range = tuple[float, float]

NO_FLUX = 1e-9
"""Flux below this, mmol/gDW/h, is the solver's round-off."""

ENVELOPE_POINTS = 21
CHUNK = 50
"""Reactions whose ranges are asked for at once, between two lines of progress."""


@dataclass(frozen=True)
class FluxRange:
    """What one reaction carries, mmol/gDW/h.

    Attributes
    ----------
    reaction, name, equation
        Which one.
    kind
        `inserted`, `over-expressed`, or `linked` to the NAD(P)H pools.
    without, flux
        Parsimonious flux at largest growth, without the construct and with it; NaN where the cell cannot live.
    at_growth, at_floor
        Smallest and largest flux at largest growth, and while growth is at the floor of the capacity at least.
    loops
        Whether it can run with nothing going in or out of the cell, in a loop of the model: the range is no finding.
    """

    reaction: str
    name: str
    equation: str
    kind: Literal["inserted", "over-expressed", "linked"]
    without: float
    flux: float
    at_growth: Range
    at_floor: Range
    loops: bool


@dataclass(frozen=True)
class Envelope:
    """Smallest and largest capacity, mmol NAD(P)H/gDW/h, at each growth, 1/h, from none to the largest."""

    growth: tuple[float, ...]
    smallest: tuple[float, ...]
    largest: tuple[float, ...]


@dataclass(frozen=True)
class Analysis:
    """What a designed cell does.

    Attributes
    ----------
    growth
        Largest growth, cost of expression taken off, 1/h.
    capacity
        Most NAD(P)H taken while growth is held at the floor, mmol/gDW/h; 0 where the floor is out of reach.
    guaranteed
        The least of the same quantity at largest growth: what the cell cannot avoid while it grows best.
    fluxes, fluxes_at_capacity, fluxes_without
        Parsimonious fluxes at largest growth, at the capacity, and at largest growth without the construct; None
        where there is no solution.
    ranges
        Inserted and over-expressed reactions first, then those linked to the NAD(P)H pools.
    envelope
        None where nothing grows.
    """

    growth: float
    capacity: float
    guaranteed: float
    fluxes: Fluxes | None
    fluxes_at_capacity: Fluxes | None
    fluxes_without: Fluxes | None
    ranges: tuple[FluxRange, ...]
    envelope: Envelope | None


def analyse(cell: DesignedCell, *, linked: bool = True, progress: Progress = no_progress) -> Analysis:
    """Ask COBRApy what a designed cell does.

    Parameters
    ----------
    cell
        The cell with the construct; the same afterwards.
    linked
        Ranges of all reactions with NAD(P)H, too: two programs for each, minutes on a genome-scale model.
    progress
        Receives the name of each phase as it starts.
    """
    progress("growth and capacity")
    growth = largest_growth(cell)
    capacity = largest_capacity(cell, growth)
    reachable = growth > NO_GROWTH and reaches_floor(growth, cell.floor)
    progress("guaranteed minimum")
    least = guaranteed(cell, growth)
    progress("parsimonious fluxes")
    fluxes = _parsimonious(cell.model)
    at_capacity = None
    if reachable and cell.capacity:
        with cell.growing(cell.floor):
            at_capacity = _parsimonious(cell.model, cell.capacity)
    with cell.without_construct():
        without = _parsimonious(cell.model)
    return Analysis(
        growth=growth,
        capacity=capacity,
        guaranteed=least,
        fluxes=fluxes,
        fluxes_at_capacity=at_capacity,
        fluxes_without=without,
        ranges=_ranges(cell, fluxes, without, reachable=reachable, linked=linked, progress=progress),
        envelope=_envelope(cell, progress) if growth > NO_GROWTH else None,
    )


def largest_growth(cell: DesignedCell) -> float:
    """Largest growth, cost of expression taken off, 1/h; 0 where the cell cannot live."""
    growth = float(cell.model.slim_optimize(error_value=0.0))
    return growth if growth > NO_GROWTH else 0.0


def largest_capacity(cell: DesignedCell, growth: float) -> float:
    """Most NAD(P)H taken with growth at the floor, mmol/gDW/h."""
    if not cell.capacity or not reaches_floor(growth, cell.floor):
        return 0.0
    with cell.growing(cell.floor):
        cell.model.objective = {cell.model.reactions.get_by_id(r): weight for r, weight in cell.capacity.items()}
        return max(0.0, float(cell.model.slim_optimize(error_value=0.0)))


def guaranteed(cell: DesignedCell, growth: float) -> float:
    """Least NAD(P)H taken at largest growth `growth` 1/h, mmol/gDW/h: what is coupled to growth.

    Below 0 where the construct may run the other way, or leave H2O2, while the cell grows best.
    """
    if not cell.capacity or growth <= NO_GROWTH:
        return 0.0
    least = math.inf
    with cell.growing(growth * AT_OPTIMUM):
        for weights in cell.capacities_at_least:
            cell.model.objective = {cell.model.reactions.get_by_id(r): weight for r, weight in weights.items()}
            cell.model.objective_direction = "min"
            least = min(least, float(cell.model.slim_optimize(error_value=math.nan)))
    return _clean(least)


def _parsimonious(model: cobra.Model, objective: Mapping[str, float] | None = None) -> Fluxes | None:
    """Fluxes of the smallest sum at the optimum; None where there is no solution."""
    weights = None
    if objective is not None:
        weights = {model.reactions.get_by_id(reaction): weight for reaction, weight in objective.items()}
    try:
        solution = pfba(model, fraction_of_optimum=AT_OPTIMUM, objective=weights)
    except OptimizationError:
        return None
    return {str(reaction): _clean(float(flux)) for reaction, flux in solution.fluxes.items()}


def _ranges(
    cell: DesignedCell,
    fluxes: Fluxes | None,
    without: Fluxes | None,
    *,
    reachable: bool,
    linked: bool,
    progress: Progress,
) -> tuple[FluxRange, ...]:
    model = cell.model
    kinds: dict[str, Literal["inserted", "over-expressed", "linked"]] = {
        placement.reaction: "inserted" if placement.foreign else "over-expressed" for placement in cell.placements
    }
    looping: set[str] = set()
    if linked:
        kinds |= dict.fromkeys((r for r in nadph_linked(model, cell.space.network) if r not in kinds), "linked")
        progress("loops of the model")
        looping = set(reactions_in_cycles(to_network(model, cell.biomass.id), time_limit_s=600.0))
    asked = list(kinds)
    at_growth = _variability(model, asked, "at largest growth", progress) if fluxes is not None else {}
    at_floor: dict[str, Range] = {}
    if reachable:
        with cell.growing(cell.floor):
            model.objective = {}
            at_floor = _variability(model, asked, "at the growth floor", progress)
    nothing = (math.nan, math.nan)
    return tuple(
        FluxRange(
            reaction=reaction,
            name=model.reactions.get_by_id(reaction).name,
            equation=model.reactions.get_by_id(reaction).reaction,
            kind=kind,
            without=math.nan if without is None else without.get(reaction, 0.0),
            flux=math.nan if fluxes is None else fluxes[reaction],
            at_growth=at_growth.get(reaction, nothing),
            at_floor=at_floor.get(reaction, nothing),
            loops=reaction in looping,
        )
        for reaction, kind in kinds.items()
    )


def nadph_linked(model: cobra.Model, network: Network) -> list[str]:
    """Reactions inside the cell with NADH or NADPH, in any compartment, in the model's order."""
    return [
        reaction.id
        for reaction in model.reactions
        if len(reaction.metabolites) > 1
        and any(network.species(metabolite.id) in ("nadh", "nadph") for metabolite in reaction.metabolites)
    ]


def _variability(model: cobra.Model, reactions: Sequence[str], where: str, progress: Progress) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for start in range(0, len(reactions), CHUNK):
        progress(f"flux ranges {where}", start, len(reactions))
        part = list(reactions[start : start + CHUNK])
        # Two processes of COBRApy share one core's work only from hundreds of reactions on, and each holds the model.
        frame = flux_variability_analysis(model, part, fraction_of_optimum=AT_OPTIMUM, processes=1)
        found |= {str(row.Index): (_clean(row.minimum), _clean(row.maximum)) for row in frame.itertuples()}
    return found


def _envelope(cell: DesignedCell, progress: Progress) -> Envelope | None:
    """Capacity against growth; None where nothing inserted takes NAD(P)H."""
    if not cell.capacity:
        return None
    progress("production envelope")
    biomass = cell.biomass
    with cell.metered(cell.capacity) as meter:
        frame = production_envelope(cell.model, [biomass], objective=meter, carbon_sources=[], points=ENVELOPE_POINTS)
    largest = frame["flux_maximum"]
    smallest = frame["flux_minimum"]
    if len(cell.capacities_at_least) > 1:
        smallest = None
        for weights in cell.capacities_at_least:
            with cell.metered(weights) as meter:
                other = production_envelope(
                    cell.model, [biomass], objective=meter, carbon_sources=[], points=ENVELOPE_POINTS
                )["flux_minimum"]
            smallest = other if smallest is None else smallest.where(smallest < other, other)
    # The last point is the largest growth itself, which round-off makes infeasible now and then.
    solved = largest.notna() & smallest.notna()
    return Envelope(
        growth=tuple((frame[biomass.id][solved] * cell.keep).tolist()),
        smallest=tuple(smallest[solved].tolist()),
        largest=tuple(largest[solved].tolist()),
    )


def _clean(flux: float) -> float:
    return 0.0 if abs(flux) < NO_FLUX else float(flux)
