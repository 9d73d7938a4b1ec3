"""Analysis of a cell with a construct on its whole network, with no reaction lumped.

Flux distributions are parsimonious (pFBA, Lewis et al. 2010, Mol Syst Biol 6:390): among all optimal ones, the one of
the smallest total flux. A single optimal vertex depends on the path of the solver, and on Recon3D about a thousand of
its fluxes are at +-1000 in thermodynamically infeasible cycles. A cycle only adds to the total, so the parsimonious
distribution has none that the optimum does not need; removing cycles from a vertex afterwards (CycleFreeFlux) would
still depend on the vertex. Flux ranges (FVA) need no such choice; reactions that can run in a cycle are marked, since
their range is not a property of the cell.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from redox_balancer.cell.cycles import reactions_in_cycles
from redox_balancer.cell.equation import equation_text
from redox_balancer.cell.network import Network
from redox_balancer.design.enzymes import NADPH
from redox_balancer.design.formulation import AT_OPTIMUM, NO_GROWTH, held_biomass_flux, reaches_floor
from redox_balancer.designer.whole_cell import NO_FLUX, WholeCell, WholeCellLP, least_total_flux, meter
from redox_balancer.progress import Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

Fluxes = dict[str, float]
Range = tuple[float, float]
Kind = Literal["inserted", "over-expressed", "linked"]

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

    growth: float  # largest, after the cost of expression, 1/h; 0 where the cell is not viable
    capacity: float  # largest NAD(P)H consumption of the inserted reactions with growth at the floor, mmol/gDW/h
    guaranteed: float  # smallest at largest growth: the part coupled to it; below 0 in reverse or where H2O2 is left
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


def analyse(cell: WholeCell, *, linked: bool = True, progress: Progress = no_progress) -> Analysis:
    """Analyse a cell with a construct.

    With `linked` the flux ranges of all reactions with NAD(P)H are computed as well: two linear programs for each,
    which takes minutes on a genome-scale model.
    """
    biomass, keep, capacity = cell.biomass, cell.keep, 0.0
    with WholeCellLP(cell) as lp:
        progress("growth and capacity")
        flux = lp.largest({biomass: 1.0})
        feasible, growth = not math.isnan(flux), keep * flux if keep * flux > NO_GROWTH else 0.0
        at_floor = held_biomass_flux(cell.floor, keep)
        reachable = growth > NO_GROWTH and reaches_floor(growth, cell.floor)
        metered = bool(cell.capacity)
        if reachable and metered:
            with lp.bounded(biomass, at_floor):
                capacity = max(0.0, lp.largest({meter(0): 1.0}))
        progress("guaranteed minimum")
        guaranteed = _guaranteed(cell, lp, growth)
        progress("parsimonious fluxes")
        fluxes = least_total_flux(cell.metered, {biomass: flux * AT_OPTIMUM}) if feasible else None
        at_capacity = None
        if reachable and metered:
            at_capacity = least_total_flux(cell.metered, {biomass: at_floor, meter(0): capacity * AT_OPTIMUM})
        without = _without(cell)
        kinds: dict[str, Kind] = {
            placement.reaction: "inserted" if placement.foreign else "over-expressed" for placement in cell.placements
        }
        in_cycles: set[str] = set()
        if linked:
            kinds |= dict.fromkeys((r for r in nadph_linked(cell.network) if r not in kinds), "linked")
            progress("thermodynamically infeasible cycles")
            in_cycles = set(reactions_in_cycles(cell.network, time_limit_s=600.0))
        ranges, ranges_at_floor = {}, {}
        if feasible:
            with lp.bounded(biomass, flux * AT_OPTIMUM):
                ranges = _ranges(lp, list(kinds), "at largest growth", progress)
        if reachable:
            with lp.bounded(biomass, at_floor):
                ranges_at_floor = _ranges(lp, list(kinds), "at the growth floor", progress)
        envelope = _envelope(cell, lp, flux, progress) if growth > NO_GROWTH and metered else None
    names = dict(cell.network.names.in_words) | {
        one.reaction: f"{one.enzyme.name}, {one.enzyme.organism}" for one in cell.placements if one.foreign
    }
    no_range = (math.nan, math.nan)
    return Analysis(
        growth=growth,
        capacity=capacity,
        guaranteed=guaranteed,
        fluxes=fluxes,
        fluxes_at_capacity=at_capacity,
        fluxes_without=without,
        ranges=tuple(
            FluxRange(
                reaction=reaction,
                name=names.get(reaction, ""),
                equation=equation_text(cell.network, reaction),
                kind=kind,
                without=math.nan if without is None else without.get(reaction, 0.0),
                flux=math.nan if fluxes is None else fluxes[reaction],
                at_growth=ranges.get(reaction, no_range),
                at_floor=ranges_at_floor.get(reaction, no_range),
                in_cycle=reaction in in_cycles,
            )
            for reaction, kind in kinds.items()
        ),
        envelope=envelope,
    )


def nadph_linked(network: Network) -> list[str]:
    """Internal reactions with NADH or NADPH, in any compartment, in the order of the network."""
    pools = [metabolite for metabolite in network.metabolites if network.is_species(metabolite, *NADPH)]
    linked = np.isin(network.indices, [network.metabolite_index[pool] for pool in pools])
    found = set(network.column_of[linked & (np.diff(network.indptr) > 1)[network.column_of]].tolist())
    return [network.reactions[column] for column in sorted(found)]


def _guaranteed(cell: WholeCell, lp: WholeCellLP, growth: float) -> float:
    """Smallest NAD(P)H consumption at largest growth, mmol/gDW/h."""
    if not cell.capacity or growth <= NO_GROWTH:
        return 0.0
    with lp.bounded(cell.biomass, held_biomass_flux(growth * AT_OPTIMUM, cell.keep)):
        return _clean(_smallest(cell, lp))


def _smallest(cell: WholeCell, lp: WholeCellLP) -> float:
    """Smallest of the linear functions that the construct is guaranteed to consume, NaN where infeasible."""
    return min(lp.smallest({meter(number): 1.0}) for number in range(1, len(cell.meters)))


def _without(cell: WholeCell) -> Fluxes | None:
    """Parsimonious fluxes at largest growth without the construct; None where the cell is infeasible."""
    unmodified = cell.without_construct()
    with WholeCellLP(unmodified) as lp:
        flux = lp.largest({cell.biomass: 1.0})
    return None if math.isnan(flux) else least_total_flux(unmodified.metered, {cell.biomass: flux * AT_OPTIMUM})


def _ranges(lp: WholeCellLP, reactions: Sequence[str], where: str, progress: Progress) -> dict[str, Range]:
    found = {}
    for done, reaction in enumerate(reactions):
        if done % CHUNK == 0:
            progress(f"flux ranges {where}", done, len(reactions))
        low, high = lp.range(reaction)
        found[reaction] = _clean(low), _clean(high)
    return found


def _envelope(cell: WholeCell, lp: WholeCellLP, largest_flux: float, progress: Progress) -> Envelope:
    """Smallest and largest capacity against growth."""
    progress("production envelope")
    points, lowest = [], _clean(lp.smallest({cell.biomass: 1.0}))
    for flux in np.linspace(lowest, largest_flux * AT_OPTIMUM, ENVELOPE_POINTS).tolist():
        with lp.bounded(cell.biomass, flux, flux):
            points.append((flux * cell.keep, _clean(_smallest(cell, lp)), _clean(lp.largest({meter(0): 1.0}))))
    return Envelope(*zip(*points, strict=True))


def _clean(flux: float) -> float:
    return 0.0 if abs(flux) < NO_FLUX else float(flux)
