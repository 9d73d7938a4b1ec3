"""Ratios of NAD+ to NADH and of NADP+ to NADPH that a cell can have, and what keeps them there; see docs/ratio.md."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from redox_balancer.cell.driving_force import (
    LEAST_FLUX,
    DrivingForce,
    DrivingForceLP,
    RatioWindow,
    parsimonious_fluxes,
    ratios_of,
)
from redox_balancer.cell.energies import Thermodynamics, is_bookkeeping, thermodynamics_of, with_known_directions
from redox_balancer.cell.media import Concentration, get_medium
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.ratio_capacity import GrowthAtRatio, HeldByMedium
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cell.ratio_window import RatioOptimum
from redox_balancer.design.construct import Construct
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.named_construct import ConstructLike, NamedConstruct, build_construct
from redox_balancer.design.ratio_tables import concentrations_under
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

QUANTILES = 0.05, 0.95  # ends of the intervals over the draws
CURVE_STEPS = 8  # steps of a curve of growth against a ratio, per decade


def two_digits(value: float) -> str:
    """A ratio as text, to two digits: `5,600`."""
    return f"{float(f'{value:.2g}'):,g}"


@dataclass(frozen=True)
class RatioDiagnosis:
    """Driving force and ratios of a cell under a condition.

    `drawn` are the ends of each window with drawn energies, shape (draws, 2); NaN where the state is infeasible.
    `coverage` is by kind: all, those of each compartment and between compartments, those with NAD(P)H, and those of
    either that run. `curves` are decimal logarithms of each ratio, shape (steps,), and growth there, 1/h, if asked
    for.
    """

    condition: str  # id, with the construct if there is one
    growth: float  # the largest, 1/h
    force: DrivingForce | None = None  # of the parsimonious state; None where the cell does not grow
    windows: tuple[RatioWindow, ...] = ()  # in which that state has the margin; none where it has not
    optima: tuple[RatioOptimum, ...] = ()  # NAD+ to NADH of largest growth, by capacities that depend on it
    forces: FloatArray | None = None  # with drawn energies, shape (draws,), kJ/mol
    drawn: Mapping[Ratio, FloatArray] | None = None
    active: frozenset[str] = frozenset()  # reactions inside the cell that run
    without_energy: Mapping[str, str] = field(default_factory=dict)  # those of unknown energy, with the reason
    coverage: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # known energies, of how many
    curves: Mapping[Ratio, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    conflicts: Mapping[str, float] = field(default_factory=dict)  # lack of what keeps it infeasible, kJ/mol

    def interval(self, values: FloatArray) -> list[float] | None:
        """The `QUANTILES` of what is known of some draws; None where nothing is."""
        known = values[np.isfinite(values)]
        return np.quantile(known, QUANTILES).tolist() if len(known) else None

    @property
    def growth_by_ratios(self) -> float:
        """The largest growth that capacities which depend on the ratio of NAD+ to NADH leave, 1/h."""
        return min((found.growth for found in self.optima), default=0.0)

    @property
    def feasible(self) -> float | None:
        """Share of the draws in which the state is feasible; None without draws."""
        return float(np.mean(self.forces >= 0.0)) if self.forces is not None and len(self.forces) else None

    def __str__(self) -> str:
        if self.force is None:
            return f"{self.condition}: no growth, and so no ratio"

        ratios = (
            f"{found.ratio} {two_digits(found.low)} to {two_digits(found.high)}"
            + (f", r* {two_digits(found.best)}" if found.best else "")
            for found in self.optima
        )
        head = f"{self.condition}: growth {self.growth:.4f} 1/h, driving force {self.force.value:.2f} kJ/mol"
        return "\n    ".join([head, *ratios])

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        force, drawn, forces = self.force, self.drawn or {}, self.forces if self.forces is not None else np.zeros(0)
        return {
            "growth": self.growth,
            "growth_by_ratios": self.growth_by_ratios,
            "driving_force": force and force.value,
            "driving_force_interval": self.interval(forces),
            "limiting": force.limiting if force else {},
            "conflicts": dict(self.conflicts),
            "concentrations": force.concentrations if force else {},
            "feasible_draws": self.feasible,
            "windows": {
                str(window.ratio): {
                    "low": window.low,
                    "high": window.high,
                    "width": window.width,
                    "low_interval": self.interval(drawn[window.ratio][:, 0]),
                    "high_interval": self.interval(drawn[window.ratio][:, 1]),
                    "low_limits": window.low_limits,
                    "high_limits": window.high_limits,
                }
                for window in self.windows
            },
            "largest_growth": {
                str(found.ratio): {
                    "ratio": found.best,
                    "low": found.low,
                    "high": found.high,
                    "width": found.width,
                    "growth": found.growth,
                }
                for found in self.optima
            },
            "active": len(self.active),
            "without_energy": dict(self.without_energy),
            "coverage": {kind: list(counts) for kind, counts in self.coverage.items()},
        }


def diagnose_ratios(
    space: DesignSpace,
    *,
    margin: float = 0.0,
    draws: int = 0,
    concentrations: Mapping[str, tuple[float, float]] | None = None,
    medium: Mapping[str, Concentration] | None = None,
    construct: Construct | None = None,
    held_by_medium: bool = False,
    curves: bool = False,
    progress: Progress = no_progress,
) -> Iterator[RatioDiagnosis]:
    """Diagnose the ratios of a cell under each condition of a design space.

    Parameters
    ----------
    space
        The cell and its conditions.
    margin
        Least driving force of every active reaction, kJ/mol.
    draws
        How often energies are drawn from their uncertainty, with the same seed for each condition.
    concentrations
        Ranges of concentrations, M, by metabolite, which replace those of the conditions.
    medium
        Ranges of the medium, which a condition replaces; they replace the package's.
    construct
        Each condition is followed by the same with this construct; the protein that it costs is left out.
    held_by_medium
        Whether lactate and pyruvate of the medium hold the ratio of the cytosol, see `HeldByMedium`.
    curves
        Whether growth is wanted over the whole range of each ratio.
    progress
        Receives each condition as it starts, and again before each of its ratios, with the number that is done.

    Raises
    ------
    RedoxError
        The model has no NAD(P) pool, a range, the margin or draws are impossible, or a state has no driving force as
        large as the margin.
    """
    for name, value, possible in (("margin", margin, math.isfinite(margin)), ("draws", draws, draws >= 0)):
        if not possible:
            raise RedoxError(f"{name} is {value}", hint="give a finite margin, no negative draws", settings=(name,))
    construct = construct or None  # the empty one leaves the cell as it is
    count = len(space.conditions) * (1 if construct is None else 2)
    cells = ratio_cells(
        space, concentrations=concentrations, medium=medium, construct=construct, held_by_medium=held_by_medium
    )
    steps = 1 + len(_of_nad(space.network))
    for number, (label, cell) in enumerate(cells):
        equilibria = HeldByMedium.of(cell.network).equilibria if held_by_medium else ()
        tell = (partial(progress, label, step, steps * count) for step in range(steps * number, steps * (1 + number)))
        yield _diagnosis(label, cell, margin, draws, equilibria, curves=curves, tell=tell)


def cells_of_task(task: Task, construct: ConstructLike | None = None) -> dict[str, Any]:
    """The arguments of `diagnose_ratios` that a task and a construct determine: its space, concentrations, medium."""
    cell = task.model_copy(update={"concentrations": None})  # the space has no ratio to which they could belong
    space, medium, built = cell.space({} if construct is None else None), get_medium(task.medium), None
    if construct is not None:
        space, built = build_construct(space, NamedConstruct(construct))
    levels = medium.concentrations if medium else {}
    return {"space": space, "construct": built, "concentrations": task.ranges(), "medium": levels}


def ratio_cells(
    space: DesignSpace,
    *,
    concentrations: Mapping[str, tuple[float, float]] | None = None,
    medium: Mapping[str, Concentration] | None = None,
    construct: Construct | None = None,
    held_by_medium: bool = False,
) -> Iterator[tuple[str, Thermodynamics]]:
    """Each cell of a design space with the id of its condition, and with a construct; see `diagnose_ratios`."""
    formulation = Formulation(space, compressed=False)
    if not ratios_of(formulation.network):
        raise RedoxError(
            f"model {space.network.id} has no NAD+ with NADH, and no NADP+ with NADPH",
            hint="a model in identifiers other than BiGG's needs the BiGG names nad, nadh, nadp and nadph",
            settings=("model",),
        )
    packaged, held = thermodynamics_of(formulation.network), HeldByMedium.of(formulation.network)

    def cell(known: Thermodynamics, point: FloatArray) -> Thermodynamics:
        lower, upper = formulation.bounds(point)
        found = replace(known, network=with_known_directions(replace(known.network, lower=lower, upper=upper)))
        return held.applied(found, space.capacities) if held_by_medium else found

    for condition in space.conditions:
        unmodified = formulation.under(condition)
        ranges = concentrations_under(condition, medium or {}, concentrations or {})
        known = packaged.with_concentrations(ranges)
        yield condition.id, cell(known, unmodified.point)
        if construct is not None:
            label = f"{condition.id} + {NamedConstruct.of(space, construct)}"
            yield label, cell(known, formulation.with_placed(unmodified, construct))


def _diagnosis(
    label: str,
    cell: Thermodynamics,
    margin: float,
    draws: int,
    equilibria: tuple[int, ...],
    *,
    curves: bool,
    tell: Iterator[Callable[[], None]],
) -> RatioDiagnosis:
    next(tell)()
    network, ratios = cell.network, ratios_of(cell.network)
    fluxes = parsimonious_fluxes(network)
    if not fluxes:
        return RatioDiagnosis(label, 0.0)
    outside = {*network.boundary, network.objective}
    active = frozenset(name for name, flux in fluxes.items() if abs(flux) > LEAST_FLUX and name not in outside)
    with DrivingForceLP(cell, fluxes, ratios, equilibria=equilibria) as lp:
        force = lp.largest()
        feasible = margin > 0.0 or force.value >= margin
        windows = tuple(lp.window(ratio, margin) for ratio in ratios) if feasible else ()
        forces, drawn = lp.spread(draws, 0, margin)
        conflicts = lp.conflicts()
    with GrowthAtRatio(cell, fluxes[network.objective], equilibria) as capacity:
        of_nad, optima = _of_nad(network), list[RatioOptimum]()
        for ratio in of_nad:
            next(tell)()
            optima += [found] if (found := capacity.optimum(ratio)) else []
        drawn_curves = {ratio: capacity.curve(ratio, CURVE_STEPS) for ratio in of_nad if curves}
    unknown = {reaction: reason for reaction, reason in cell.reasons.items() if reaction in active}
    counts = coverage(cell, active)
    growth = fluxes[network.objective]
    return RatioDiagnosis(
        label, growth, force, windows, tuple(optima), forces, drawn, active, unknown, counts, drawn_curves, conflicts
    )


def _of_nad(network: Network) -> list[Ratio]:
    return [ratio for ratio in ratios_of(network) if network.is_species(ratio.denominator, "nadh")]


def coverage(cell: Thermodynamics, active: Collection[str]) -> dict[str, tuple[int, int]]:
    """Number of reactions with a known energy, and of all, by kind; see `RatioDiagnosis`."""
    network, found = cell.network, dict[str, list[int]]()
    pairs = [{*ratio} for ratio in ratios_of(network)]
    outside = {*network.boundary, network.objective}
    for column, reaction in enumerate(network.reactions):
        if reaction in outside:
            continue
        own = network.stoichiometry_of(reaction).keys()
        places = {network.compartment_of(metabolite) for metabolite in own if not is_bookkeeping(metabolite)}
        kinds = ["all", places.pop() if len(places) == 1 else "between"]
        if any(pair <= own for pair in pairs):
            kinds.append("NAD(P)H")
        kinds += [f"{kind}, active" for kind in kinds if reaction in active and kind in {"all", "NAD(P)H"}]
        for kind in kinds:
            counts = found.setdefault(kind, [0, 0])
            counts[0] += bool(np.isfinite(cell.energies[column]))
            counts[1] += 1
    return {kind: (known, every) for kind, (known, every) in sorted(found.items())}
