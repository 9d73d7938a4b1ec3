"""Growth at a given ratio of NAD+ to NADH: capacities that depend on it are bounds, so growth stays a linear program.

An enzyme's flux is its capacity, times its saturation s, times what its driving force leaves to the forward direction
(flux-force relationship, Beard and Qian 2007, PLoS ONE 2:e144; Noor et al. 2013, FEBS Lett. 587:2772):

    v <= capacity s (1 - exp(-f / RT)),   f = -dG' > 0,   and v <= 0 where f <= 0

s is at most 1, and where NADH competes with NAD+ at most 1 / (1 + (K / Ki) [NADH] / [NAD+]), K being the Michaelis
constant of NAD+ and Ki that of inhibition (`data/thermodynamics/saturation.tsv`). f is not known, but the largest
that it can be at a ratio is: the optimum of a linear program over all concentrations within their ranges at which
every reaction that growth needs can run in the direction in which growth needs it. Growth with these bounds is
therefore an upper bound on growth at that ratio, whatever the other concentrations are. The derivation and its
limits: docs/ratio.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy.optimize

from redox_balancer.cell.driving_force import HELD, LEAST_FLUX, DrivingForceLP, Ratio, ratios_of
from redox_balancer.cell.energies import Thermodynamics
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.records import packaged, table_rows

LEAST_GROWTH = 0.01
"""Share of the largest growth from which a state counts as growing; a reaction without which there is none is
needed."""
WITHIN = 0.05
"""Growth this much below the largest still belongs to the window of largest growth, relative."""
NO_ANSWER = 1000.0
"""Width from which on a window says nothing about the ratio."""
STEPS_PER_DECADE = 2
PRECISION = 0.04
"""Width to which the end of a window is bracketed, in decades."""
FINE = 0.002
"""The same where two windows are compared."""


@dataclass(frozen=True)
class RatioOptimum:
    """The ratio of largest growth.

    Attributes
    ----------
    ratio
        Which ratio it is.
    growth
        The largest growth at any ratio, 1/h.
    low, high
        The window within `WITHIN` of it.
    """

    ratio: Ratio
    growth: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Quotient of both ends."""
        return self.high / self.low

    @property
    def best(self) -> float | None:
        """r*, the geometric mean of the window; None where it is wider than `NO_ANSWER`."""
        return math.sqrt(self.low * self.high) if self.width <= NO_ANSWER else None


@dataclass(frozen=True)
class HeldByMedium:
    """The assumptions under which lactate and pyruvate outside hold the ratio of the cytosol; see `equilibria.tsv`.

    Lactate dehydrogenase and the carriers of both are at equilibrium, and lactate dehydrogenase and GAPD have their
    measured capacities in place of native limits.

    Attributes
    ----------
    equilibria
        Columns of the reactions at equilibrium.
    capacities
        Capacity by reaction, mmol/gDW/h.
    """

    equilibria: tuple[int, ...]
    capacities: Mapping[str, float]

    @classmethod
    def of(cls, network: Network) -> Self:
        """Find the reactions in a network."""
        rows = table_rows((packaged("thermodynamics") / "equilibria.tsv").read_text(encoding="utf-8"))[1:]
        found = [(own, *row[1:3]) for row in rows if (own := network.find_reaction(row[0]))]
        return cls(
            tuple(network.column(own) for own, equilibrium, _ in found if equilibrium == "yes"),
            {own: float(capacity) for own, _, capacity in found if capacity != "-"},
        )

    def applied(self, cell: Thermodynamics, native: Mapping[str, float]) -> Thermodynamics:
        """Return a cell with the measured capacities; a condition that leaves a share of a native limit leaves it."""
        network = cell.network
        bounds = {}
        for reaction, capacity in self.capacities.items():
            if own := native.get(reaction):
                low, high = network.bounds_of(reaction)
                bounds[reaction] = low * capacity / own, high * capacity / own
        return replace(cell, network=network.with_bounds(bounds))


def needed_directions(network: Network, growth: float, columns: Iterable[int]) -> dict[str, float]:
    """Direction (1 or -1) of those reactions that run in one direction in every state with at least this growth, 1/h.

    As in flux variability analysis (Mahadevan and Schilling 2003, Metab. Eng. 5:264), but what stands still in a
    state that was met on the way is not asked for.
    """
    found = {}
    biomass, least = network.column(network.objective), LEAST_FLUX * growth
    lowest, highest = np.tile([[math.inf], [-math.inf]], len(network.reactions))
    with FluxLP(network, {}) as lp:
        lp.set_bounds(biomass, growth, float(network.upper[biomass]))
        for column in columns:
            for sign, widest in ((1.0, network.upper[column]), (-1.0, -network.lower[column])):
                if widest <= 0.0 or (lowest[column] if sign > 0.0 else -highest[column]) <= least:
                    continue
                lp.set_objective_columns({column: -sign})
                if -lp.maximise().objective > least:
                    found[network.reactions[column]] = sign
                fluxes = lp.fluxes()
                lowest, highest = np.minimum(lowest, fluxes), np.maximum(highest, fluxes)
    return found


class GrowthAtRatio:
    """The largest growth at given ratios.

    Parameters
    ----------
    thermodynamics
        Energies and ranges of a cell under a condition, with its capacities as bounds.
    growth
        Its largest growth at any ratio, 1/h; it must be positive.
    equilibria
        Columns of reactions at equilibrium, which then run at their capacity, see `HeldByMedium`.
    directions
        Reactions, beside those that growth needs, that run in the direction of a sign.
    """

    def __init__(
        self,
        thermodynamics: Thermodynamics,
        growth: float,
        equilibria: Collection[int] = (),
        directions: Mapping[str, float] | None = None,
    ) -> None:
        network = thermodynamics.network
        self._network, self._thermal, self._least = network, thermodynamics.thermal_energy, LEAST_GROWTH * growth
        self._growth = growth
        self.ratios = ratios_of(network)
        rows = [network.metabolite_index[metabolite] for ratio in self.ratios for metabolite in ratio]
        runs = (network.upper > 0) | (network.lower < 0)
        coupled = np.asarray(abs(thermodynamics.reactants[rows]).sum(axis=0)).ravel() > 0
        coupled[list(equilibria)] = False
        self._coupled = np.flatnonzero(runs & coupled & np.isfinite(thermodynamics.energies)).tolist()
        self._competition = _competition(network, self.ratios)
        known = np.flatnonzero(np.isfinite(thermodynamics.energies)).tolist()
        needed = needed_directions(network, self._least, known) | dict(directions or {})
        self._forces = DrivingForceLP(thermodynamics, needed, self.ratios, self._coupled, equilibria)
        self._lp, self._found = FluxLP(network), dict[Ratio, float]()
        self._span = {ratio: _span(thermodynamics, ratio) for ratio in self.ratios}
        if equilibria:  # they may leave but one value, which no step of a wider range hits
            self._span = {ratio: self._forces.span(ratio) or span for ratio, span in self._span.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lp.close()
        self._forces.close()

    def set_energies(self, energies: FloatArray) -> None:
        """Take other energies of the reactions, shape (reactions,), kJ/mol."""
        self._forces.set_energies(energies)

    def at(self, held: Mapping[Ratio, float]) -> float:
        """The largest growth where these ratios are held and all others free, 1/h; 0 below `LEAST_GROWTH`."""
        for ratio in self.ratios:
            self._forces.fix(ratio, held.get(ratio))
        for column in self._coupled:
            low, high = float(self._network.lower[column]), float(self._network.upper[column])
            forward = self._share(column, 1.0) if high > 0.0 else 1.0
            backward = self._share(column, -1.0) if low < 0.0 else 1.0
            if forward is None or backward is None:
                return 0.0
            if column in self._competition:
                ratio, quotient = self._competition[column]
                forward /= 1.0 + quotient / held.get(ratio, math.inf)
            self._lp.set_bounds(column, low * backward, high * forward)
        solution = self._lp.maximise()
        return solution.objective if solution.optimal and solution.objective >= self._least else 0.0

    def curve(self, ratio: Ratio, steps_per_decade: int = STEPS_PER_DECADE) -> tuple[FloatArray, FloatArray]:
        """Decimal logarithms of a ratio over the range of its concentrations, and growth there, 1/h."""
        low, high = self._span[ratio]
        steps = np.linspace(low, high, 2 + math.ceil(steps_per_decade * (high - low)))
        return steps, np.array([self.at({ratio: 10.0**step}) for step in steps.tolist()])

    def largest(self, ratio: Ratio, enough: float) -> float:
        """The largest growth at any step of a ratio, 1/h; from where the last search ended to `enough`."""
        low, high = self._span[ratio]
        steps = np.linspace(low, high, 2 + math.ceil(STEPS_PER_DECADE * (high - low)))
        start, best = self._found.get(ratio, 0.5 * (low + high)), 0.0
        for step in sorted(steps.tolist(), key=lambda step: abs(step - start)):
            if (growth := self.at({ratio: 10.0**step})) > best:
                best, self._found[ratio] = growth, step
                if best >= (1.0 - HELD) * enough:
                    return best
        return max(best, self._peak(ratio, self._found[ratio])[1]) if best else 0.0

    def optimum(self, ratio: Ratio, precision: float = PRECISION) -> RatioOptimum | None:
        """The window in which growth stays within `WITHIN` of the largest; None where no ratio allows growth.

        Its ends are bracketed to `precision`, in decades.
        """
        steps, found = self.curve(ratio)
        highest = int(found.argmax())
        if found[highest] == 0.0:
            return None
        if found[highest] < (1.0 - HELD) * self._growth:  # the peak may lie between two steps
            step, growth = self._peak(ratio, float(steps[highest]))
            place = int(np.searchsorted(steps, step))
            steps, found = np.insert(steps, place, step), np.insert(found, place, growth)
        largest = float(found.max())
        kept = np.flatnonzero(found >= (1.0 - WITHIN) * largest)

        def keeps(step: float) -> bool:
            return self.at({ratio: 10.0**step}) >= (1.0 - WITHIN) * largest

        first, last = int(kept[0]), int(kept[-1])
        ends = [
            10.0 ** _bracketed(keeps, float(steps[inside]), float(steps[max(outside, 0)]), precision)
            for inside, outside in ((first, first - 1), (last, min(last + 1, len(steps) - 1)))
        ]
        return RatioOptimum(ratio, largest, *ends)

    def _peak(self, ratio: Ratio, step: float) -> tuple[float, float]:
        """The ratio of largest growth within a step of another, as decimal logarithm, and growth there, 1/h."""
        around = step - 1.0 / STEPS_PER_DECADE, step + 1.0 / STEPS_PER_DECADE
        found = scipy.optimize.minimize_scalar(
            lambda at: -self.at({ratio: 10.0**at}), bounds=around, method="bounded", options={"xatol": PRECISION}
        )
        return float(found.x), -float(found.fun)

    def _share(self, column: int, sign: float) -> float | None:
        """The largest share of a capacity that the driving force leaves; None where no state can grow."""
        force = self._forces.force(column, sign)
        return None if force is None else max(0.0, -math.expm1(-max(0.0, force) / self._thermal))


def optima(cell: Thermodynamics, growth: float, ratio: str, draws: int) -> list[RatioOptimum | None]:
    """Window of a ratio with the best estimate of the energies and with each draw, of a cell of this growth, 1/h."""
    found, generator = [], np.random.default_rng(0)
    with GrowthAtRatio(cell, growth) as bounded:
        (own,) = (each for each in bounded.ratios if str(each) == ratio)
        for draw in range(1 + draws):
            if draw:
                bounded.set_energies(cell.drawn(generator))
            found.append(bounded.optimum(own, FINE))
    return found


def _competition(network: Network, ratios: tuple[Ratio, ...]) -> dict[int, tuple[Ratio, float]]:
    """Ratio on which the saturation of a reaction depends, and K / Ki, by column; see `saturation.tsv`."""
    found = {}
    path = packaged("thermodynamics") / "saturation.tsv"
    for name, constant, inhibition, _ in table_rows(path.read_text(encoding="utf-8"))[1:]:
        own = network.find_reaction(name)
        amounts = network.stoichiometry_of(own) if own else {}
        for ratio in ratios:
            if amounts.get(ratio.numerator, 0.0) < 0.0 < amounts.get(ratio.denominator, 0.0):
                found[network.column(name)] = ratio, float(constant) / float(inhibition)
    return found


def _span(thermodynamics: Thermodynamics, ratio: Ratio) -> tuple[float, float]:
    """Decimal logarithms of the smallest and the largest ratio that the ranges of its concentrations allow."""
    above, below = (thermodynamics.network.metabolite_index[metabolite] for metabolite in ratio)
    scale = thermodynamics.thermal_energy * math.log(10.0)
    lower, upper = thermodynamics.lower, thermodynamics.upper
    return float(lower[above] - upper[below]) / scale, float(upper[above] - lower[below]) / scale


def _bracketed(holds: Callable[[float], bool], inside: float, outside: float, precision: float) -> float:
    """The last step within `precision` at which a condition holds."""
    while abs(outside - inside) > precision:
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside
