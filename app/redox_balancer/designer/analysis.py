"""Analysis of a designed cell by COBRApy on the model that is exported, with no reaction lumped.

Flux distributions are parsimonious (pFBA, Lewis et al. 2010, Mol Syst Biol 6:390): among all optimal ones, the one of
the smallest total flux. A single optimal vertex depends on the path of the solver, and on Recon3D about a thousand of
its fluxes are at +-1000 in thermodynamically infeasible cycles. A cycle only adds to the total, so the parsimonious
distribution has none that the optimum does not need; removing cycles from a vertex afterwards (CycleFreeFlux) would
still depend on the vertex. Flux ranges (FVA) need no such choice; reactions that can run in a cycle are marked, since
their range is not a property of the cell.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from redox_balancer.cell.cobrapy import cobra
from redox_balancer.cell.cycles import reactions_in_cycles
from redox_balancer.cell.models import to_network
from redox_balancer.cell.network import Network
from redox_balancer.design.enzymes import NADPH
from redox_balancer.design.formulation import AT_OPTIMUM, NO_GROWTH, reaches_floor
from redox_balancer.designer.model import DesignedCell
from redox_balancer.progress import Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

Fluxes = dict[str, float]
Range = tuple[float, float]
Kind = Literal["inserted", "over-expressed", "linked"]

NO_FLUX = 1e-9  # flux below this, mmol/gDW/h, is round-off of the solver

ENVELOPE_POINTS = 21
CHUNK = 50  # number of reactions whose ranges are computed between two reports of progress


@dataclass(frozen=True)
class FluxRange:
    """Parsimonious fluxes at largest growth and flux ranges of one reaction, mmol/gDW/h; NaN where infeasible."""

    reaction: str
    name: str
    equation: str
    kind: Kind  # linked: to the NAD(P)H pools
    without: float  # without the construct
    flux: float  # with it
    at_growth: Range  # at largest growth
    at_floor: Range  # with growth at or above the growth floor of the capacity
    in_cycle: bool  # in a thermodynamically infeasible cycle: the range is then no property of the cell

    def data(self) -> dict[str, Any]:
        """The record under the names that it has in JSON, which has no NaN: a number or a range is None there."""
        record = asdict(self)
        numbers = {name: record[name] for name in ("without", "flux")}
        ranges = {name: list(record[name]) for name in ("at_growth", "at_floor")}
        record |= {name: None if math.isnan(flux) else flux for name, flux in numbers.items()}
        record |= {name: None if any(map(math.isnan, ends)) else ends for name, ends in ranges.items()}
        return record | {"loops": record.pop("in_cycle")}


@dataclass(frozen=True)
class Envelope:
    """Smallest and largest capacity, mmol NAD(P)H/gDW/h, at each growth, 1/h, from 0 to the largest."""

    growth: tuple[float, ...]
    smallest: tuple[float, ...]
    largest: tuple[float, ...]

    def to_frame(self) -> "pd.DataFrame":
        """The envelope as a table with one row per growth."""
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        return pd.DataFrame(asdict(self))


@dataclass(frozen=True)
class Analysis:
    """Growth, capacity and parsimonious fluxes of a designed cell; fluxes are None where infeasible."""

    growth: float  # see `largest_growth`
    capacity: float  # see `largest_capacity`
    guaranteed: float  # see `guaranteed_capacity`
    fluxes: Fluxes | None  # at largest growth
    fluxes_at_capacity: Fluxes | None
    fluxes_without: Fluxes | None  # at largest growth without the construct
    ranges: tuple[FluxRange, ...]  # inserted and over-expressed reactions first, then linked ones
    envelope: Envelope | None  # None where nothing grows

    def to_frame(self) -> "pd.DataFrame":
        """The flux ranges as a table with one row per reaction, fluxes in mmol/gDW/h."""
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        rows = [
            {
                "reaction": found.reaction,
                "kind": found.kind,
                "flux_without": found.without,
                "flux": found.flux,
                "smallest_at_largest_growth": found.at_growth[0],
                "largest_at_largest_growth": found.at_growth[1],
                "smallest_at_growth_floor": found.at_floor[0],
                "largest_at_growth_floor": found.at_floor[1],
                "in_cycle": found.in_cycle,
                "name": found.name,
                "equation": found.equation,
            }
            for found in self.ranges
        ]
        return pd.DataFrame(rows).set_index("reaction")


def analyse(cell: DesignedCell, *, linked: bool = True, progress: Progress = no_progress) -> Analysis:
    """Analyse a designed cell with COBRApy, which is unchanged afterwards.

    With `linked` the flux ranges of all reactions with NAD(P)H are computed as well: two linear programs for each,
    which takes minutes on a genome-scale model.
    """
    progress("growth and capacity")
    growth = largest_growth(cell)
    capacity = largest_capacity(cell, growth)
    reachable = growth > NO_GROWTH and reaches_floor(growth, cell.floor)
    progress("guaranteed minimum")
    guaranteed = guaranteed_capacity(cell, growth)
    progress("parsimonious fluxes")
    fluxes = _parsimonious(cell)
    at_capacity = None
    if reachable and cell.capacity:
        with cell.growing(cell.floor):
            at_capacity = _parsimonious(cell, cell.by_reaction(cell.capacity))
    with cell.without_construct():
        without = _parsimonious(cell)
    return Analysis(
        growth=growth,
        capacity=capacity,
        guaranteed=guaranteed,
        fluxes=fluxes,
        fluxes_at_capacity=at_capacity,
        fluxes_without=without,
        ranges=_ranges(cell, fluxes, without, reachable=reachable, linked=linked, progress=progress),
        envelope=_envelope(cell, progress) if growth > NO_GROWTH else None,
    )


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


def guaranteed_capacity(cell: DesignedCell, growth: float) -> float:
    """Smallest NAD(P)H consumption at largest growth `growth`, 1/h, in mmol/gDW/h: the part coupled to growth.

    Negative where the construct may run in reverse, or leave H2O2, at largest growth.
    """
    if not cell.capacity or growth <= NO_GROWTH:
        return 0.0
    smallest = math.inf
    with cell.growing(growth * AT_OPTIMUM):
        for weights in cell.capacities_at_least:
            cell.model.objective = cell.by_reaction(weights)
            cell.model.objective_direction = "min"
            smallest = min(smallest, float(cell.model.slim_optimize(error_value=math.nan)))
    return _clean(smallest)


def _parsimonious(cell: DesignedCell, objective: Mapping[cobra.Reaction, float] | None = None) -> Fluxes | None:
    """Fluxes of the smallest total at the optimum; None where the problem is infeasible."""
    try:
        solution = cobra.flux_analysis.pfba(cell.model, fraction_of_optimum=AT_OPTIMUM, objective=objective)
    except cobra.exceptions.OptimizationError:
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
    kinds: dict[str, Kind] = {
        placement.reaction: "inserted" if placement.foreign else "over-expressed" for placement in cell.placements
    }
    in_cycles: set[str] = set()
    if linked:
        kinds |= dict.fromkeys((r for r in nadph_linked(model, cell.space.network) if r not in kinds), "linked")
        progress("thermodynamically infeasible cycles")
        in_cycles = set(reactions_in_cycles(to_network(model, cell.biomass.id), time_limit_s=600.0))
    reactions = list(kinds)
    at_growth = _variability(model, reactions, "at largest growth", progress) if fluxes is not None else {}
    at_floor: dict[str, Range] = {}
    if reachable:
        with cell.growing(cell.floor):
            model.objective = {}
            at_floor = _variability(model, reactions, "at the growth floor", progress)
    no_range = (math.nan, math.nan)
    return tuple(
        FluxRange(
            reaction=reaction,
            name=model.reactions.get_by_id(reaction).name,
            equation=model.reactions.get_by_id(reaction).reaction,
            kind=kind,
            without=math.nan if without is None else without.get(reaction, 0.0),
            flux=math.nan if fluxes is None else fluxes[reaction],
            at_growth=at_growth.get(reaction, no_range),
            at_floor=at_floor.get(reaction, no_range),
            in_cycle=reaction in in_cycles,
        )
        for reaction, kind in kinds.items()
    )


def nadph_linked(model: cobra.Model, network: Network) -> list[str]:
    """Internal reactions with NADH or NADPH, in any compartment, in the order of the model."""
    return [
        reaction.id
        for reaction in model.reactions
        if len(reaction.metabolites) > 1
        and any(network.is_species(metabolite.id, *NADPH) for metabolite in reaction.metabolites)
    ]


def _variability(model: cobra.Model, reactions: Sequence[str], where: str, progress: Progress) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for start in range(0, len(reactions), CHUNK):
        progress(f"flux ranges {where}", start, len(reactions))
        part = list(reactions[start : start + CHUNK])
        # Worker processes of COBRApy pay off from hundreds of reactions on, and each holds a copy of the model.
        frame = cobra.flux_analysis.flux_variability_analysis(
            model, part, fraction_of_optimum=AT_OPTIMUM, processes=1
        )
        found |= {str(row.Index): (_clean(row.minimum), _clean(row.maximum)) for row in frame.itertuples()}
    return found


def _envelope(cell: DesignedCell, progress: Progress) -> Envelope | None:
    """Capacity against growth; None where no inserted reaction consumes NAD(P)H."""
    if not cell.capacity:
        return None
    progress("production envelope")

    def envelope(weights: Mapping[str, float]) -> "pd.DataFrame":
        with cell.metered(weights) as meter:
            return cobra.flux_analysis.production_envelope(
                cell.model, [cell.biomass], objective=meter, carbon_sources=[], points=ENVELOPE_POINTS
            )

    frame = envelope(cell.capacity)
    largest, smallest = frame["flux_maximum"], frame["flux_minimum"]
    if len(cell.capacities_at_least) > 1:
        smallest, other = (envelope(weights)["flux_minimum"] for weights in cell.capacities_at_least)
        smallest = smallest.where(smallest < other, other)
    # The last point is the largest growth itself, which round-off sometimes makes infeasible.
    solved = largest.notna() & smallest.notna()
    return Envelope(
        growth=tuple((frame[cell.biomass.id][solved] * cell.keep).tolist()),
        smallest=tuple(smallest[solved].tolist()),
        largest=tuple(largest[solved].tolist()),
    )


def _clean(flux: float) -> float:
    return 0.0 if abs(flux) < NO_FLUX else float(flux)
