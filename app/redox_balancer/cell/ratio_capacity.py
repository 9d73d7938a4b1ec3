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

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from redox_balancer.cell.driving_force import HELD, LEAST_FLUX, DrivingForceLP, ratios_of
from redox_balancer.cell.energies import Thermodynamics
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cell.ratio_window import (
    FINE,
    PRECISION,
    STEPS_PER_DECADE,
    RatioOptimum,
    peak_near,
    steps_of,
    window_of,
)
from redox_balancer.cell.records import packaged_rows

LEAST_GROWTH = 0.01
"""Share of the largest growth from which a state counts as growing; a reaction without which there is none is
needed."""


@dataclass(frozen=True)
class HeldByMedium:
    """The assumptions under which lactate and pyruvate outside hold the ratio of the cytosol; see `equilibria.tsv`.

    Lactate dehydrogenase and the carriers of both are at equilibrium, and lactate dehydrogenase and GAPD have their
    measured capacities in place of native limits. `equilibria` are the columns of the reactions at equilibrium, and
    `capacities` the capacity by reaction, mmol/gDW/h.
    """

    equilibria: tuple[int, ...]
    capacities: Mapping[str, float]

    @classmethod
    def of(cls, network: Network) -> Self:
        """Find the reactions in a network."""
        rows = packaged_rows("thermodynamics/equilibria.tsv")
        found = [(own, *row[1:3]) for row in rows if (own := network.find_reaction(row[0]))]
        equilibria = [network.column(own) for own, equilibrium, _ in found if equilibrium == "yes"]
        return cls(tuple(equilibria), {own: float(capacity) for own, _, capacity in found if capacity != "-"})

    def applied(self, cell: Thermodynamics, native: Mapping[str, float]) -> Thermodynamics:
        """Return a cell with the measured capacities; a condition that leaves a share of a native limit leaves it."""
        network, bounds = cell.network, {}
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
    """The largest growth at given ratios, of a cell under a condition with its capacities as bounds.

    `growth` is its largest at any ratio, 1/h, above 0. Reactions of the columns `equilibria` are at equilibrium and
    run at their capacity, see `HeldByMedium`; those of `directions` run in the direction of a sign, beside those that
    growth needs.
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
        self._growth, self.ratios = growth, ratios_of(network)
        self._coupled = [column for column in coupled_columns(thermodynamics) if column not in equilibria]
        self._competition = competition_of(network, self.ratios)
        known = np.flatnonzero(np.isfinite(thermodynamics.energies)).tolist()
        needed = needed_directions(network, self._least, known) | dict(directions or {})
        self._forces = DrivingForceLP(thermodynamics, needed, self.ratios, self._coupled, equilibria)
        self._lp, self._found = FluxLP(network), dict[Ratio, float]()
        self._span = {ratio: span_of(thermodynamics, ratio) for ratio in self.ratios}
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
        steps = steps_of(self._span[ratio], steps_per_decade)
        return steps, np.array([self.at({ratio: 10.0**step}) for step in steps.tolist()])

    def largest(self, ratio: Ratio, enough: float) -> float:
        """The largest growth at any step of a ratio, 1/h; from where the last search ended to `enough`."""
        steps = steps_of(self._span[ratio])
        start, best = self._found.get(ratio, float(steps.mean())), 0.0
        for step in sorted(steps.tolist(), key=lambda step: abs(step - start)):
            if (growth := self.at({ratio: 10.0**step})) > best:
                best, self._found[ratio] = growth, step
                if best >= (1.0 - HELD) * enough:
                    return best
        return max(best, peak_near(self._growths(ratio), self._found[ratio])[1]) if best else 0.0

    def optimum(self, ratio: Ratio, precision: float = PRECISION) -> RatioOptimum | None:
        """The window in which growth stays within `WITHIN` of the largest; None where no ratio allows growth.

        Its ends are bracketed to `precision`, in decades.
        """
        return window_of(ratio, self._growths(ratio), self._span[ratio], precision, (1.0 - HELD) * self._growth)

    def _growths(self, ratio: Ratio) -> Callable[[float], float]:
        """Growth, 1/h, by the decimal logarithm of a ratio."""
        return lambda step: self.at({ratio: 10.0**step})

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


def coupled_columns(thermodynamics: Thermodynamics) -> list[int]:
    """Columns that can run and whose energy, which is known, depends on NAD(H) or NADP(H) of some compartment."""
    network = thermodynamics.network
    rows = [network.metabolite_index[metabolite] for ratio in ratios_of(network) for metabolite in ratio]
    coupled = np.asarray(abs(thermodynamics.reactants[rows]).sum(axis=0)).ravel() > 0
    runs = (network.upper > 0) | (network.lower < 0)
    return np.flatnonzero(runs & coupled & np.isfinite(thermodynamics.energies)).tolist()


def competition_of(network: Network, ratios: tuple[Ratio, ...]) -> dict[int, tuple[Ratio, float]]:
    """Ratio on which the saturation of a reaction depends, and K / Ki, by column; see `saturation.tsv`."""
    found = {}
    for name, constant, inhibition, _ in packaged_rows("thermodynamics/saturation.tsv"):
        own = network.find_reaction(name)
        amounts = network.stoichiometry_of(own) if own else {}
        for ratio in ratios:
            if amounts.get(ratio.numerator, 0.0) < 0.0 < amounts.get(ratio.denominator, 0.0):
                found[network.column(name)] = ratio, float(constant) / float(inhibition)
    return found


def span_of(thermodynamics: Thermodynamics, ratio: Ratio) -> tuple[float, float]:
    """Decimal logarithms of the smallest and the largest ratio that the ranges of its concentrations allow."""
    above, below = (thermodynamics.network.metabolite_index[metabolite] for metabolite in ratio)
    scale = thermodynamics.thermal_energy * math.log(10.0)
    lower, upper = thermodynamics.lower, thermodynamics.upper
    return float(lower[above] - upper[below]) / scale, float(upper[above] - lower[below]) / scale
