"""Driving force of a flux state, and the windows of ratios in which it can run: LPs in log concentrations.

    maximise  B   subject to   -sign(v_r) dG'(r) >= B for each active reaction r,   lower <= RT ln c <= upper

The optimum is the max-min driving force (MDF, Noor et al. 2014, PLoS Comput. Biol. 10:e1003483). With B fixed at a
margin, the largest and the smallest ln([NAD+]/[NADH]) are the window of that ratio. Energies enter as bounds alone,
so every solve is a warm start.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from redox_balancer.cell.consistency import one_way_parts
from redox_balancer.cell.energies import PROTON, WATER, Thermodynamics
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Column, FloatArray, Network
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cell.solution import Status
from redox_balancer.errors import RedoxError

LEAST_FLUX = 1e-6  # flux, mmol/gDW/h, from which a reaction counts as active
PAIRS = ("nad", "nadh"), ("nadp", "nadph")
LEAST_SHARE = 1e-3
LEAST_LACK = 1e-6  # driving force, kJ/mol, from which on a state counts as infeasible and not as one at equilibrium
HELD = 1e-9  # relative amount by which a parsimonious state may grow less than the largest growth


def parsimonious_fluxes(network: Network) -> dict[str, float]:
    """Fluxes at largest growth with the smallest sum (pFBA, Lewis et al. 2010, Mol. Syst. Biol. 6:390), mmol/gDW/h.

    Such a state has no cycles. It is empty where the cell does not grow.
    """
    column = network.column(network.objective)
    if network.upper[column] <= 0.0:
        return {}
    parts, reaction_of = one_way_parts(network)
    biomass = int(np.flatnonzero(reaction_of == column)[0])  # forward parts come first
    with FluxLP(parts, {parts.reactions[biomass]: 1.0}) as lp:
        growth = lp.maximise()
        if not growth.optimal or growth.objective <= LEAST_FLUX:
            return {}
        lp.set_bounds(biomass, growth.objective * (1.0 - HELD), math.inf)
        lp.set_objective_columns(dict.fromkeys(range(len(reaction_of)), -1.0))
        lp.maximise()
        forward = np.arange(len(reaction_of)) < np.count_nonzero(network.upper > 0)
        signed = np.where(forward, 1.0, -1.0) * lp.fluxes()
        fluxes = np.bincount(reaction_of, signed, len(network.reactions))
    return dict(zip(network.reactions, fluxes.tolist(), strict=True))


@dataclass(frozen=True)
class DrivingForce:
    """The largest driving force that all active reactions can have at once."""

    value: float  # the smallest of them, kJ/mol; negative where the state is infeasible
    limiting: dict[str, float]  # share of each reaction that limits it, the largest first; they sum up to 1
    concentrations: dict[str, float]  # of each metabolite at that optimum, M: one of possibly many


@dataclass(frozen=True)
class RatioWindow:
    """Smallest and largest value of a ratio at which a state is feasible, and what keeps it there.

    Limits are reactions, and concentrations at the end of their range (`nadh_m low`), each with the change of
    ln(ratio) per RT by which it is relaxed, the largest first.
    """

    ratio: Ratio
    low: float
    high: float
    low_limits: dict[str, float]
    high_limits: dict[str, float]

    @property
    def width(self) -> float:
        """Quotient of both ends."""
        return self.high / self.low


def ratios_of(network: Network) -> tuple[Ratio, ...]:
    """[NAD+]/[NADH] and [NADP+]/[NADPH] of each compartment that has both, the compartments in alphabetical order."""
    letters = sorted({network.compartment_of(metabolite) for metabolite in network.metabolites})
    pairs = ((f"{oxidised}_{c}", f"{reduced}_{c}") for oxidised, reduced in PAIRS for c in letters)
    found = ((network.find_metabolite(oxidised), network.find_metabolite(reduced)) for oxidised, reduced in pairs)
    return tuple(Ratio(oxidised, reduced) for oxidised, reduced in found if oxidised and reduced)


class DrivingForceLP:
    """The linear program of one flux state; every solve starts from the basis of the last one.

    Parameters
    ----------
    thermodynamics
        Energies and ranges.
    fluxes
        The state, by reaction, mmol/gDW/h. Reactions that do not run, or whose energy is not known, set no limit.
    ratios
        Ratios whose windows can be computed, or that can be held.
    others
        Columns of further reactions whose driving force is asked for.
    equilibria
        Columns of reactions that are at equilibrium, and so set no limit to the driving force.
    """

    def __init__(
        self,
        thermodynamics: Thermodynamics,
        fluxes: Mapping[str, float],
        ratios: Iterable[Ratio],
        others: Iterable[int] = (),
        equilibria: Collection[int] = (),
    ) -> None:
        network, known = thermodynamics.network, np.isfinite(thermodynamics.energies)
        self._thermodynamics = thermodynamics
        self.reactions = tuple(
            (column, math.copysign(1.0, fluxes[reaction]))
            for column, reaction in enumerate(network.reactions)
            if known[column] and abs(fluxes.get(reaction, 0.0)) > LEAST_FLUX and column not in equilibria
        )
        forces = [network.reactions[column] for column, _ in self.reactions]
        held = [(network.reactions[column], (column, 1.0)) for column in equilibria if known[column]]
        amounts: dict[str, dict[str, float]] = {}
        for force, (column, sign) in (*zip(forces, self.reactions, strict=True), *held):
            for row, amount in thermodynamics.amounts(column).items():
                amounts.setdefault(network.metabolites[row], {})[force] = sign * amount
        ratios = tuple(ratios)
        for ratio in ratios:
            for metabolite, sign in zip(ratio, (1.0, -1.0), strict=True):
                amounts.setdefault(metabolite, {})[str(ratio)] = sign
        for column in others:
            for row in thermodynamics.amounts(column):
                amounts.setdefault(network.metabolites[row], {})
        self._metabolites = tuple(amounts)
        rows = [network.metabolite_index[metabolite] for metabolite in self._metabolites]
        self._rows = {row: place for place, row in enumerate(rows)}
        lower, upper = thermodynamics.lower[rows], thermodynamics.upper[rows]
        self._fixed = frozenset(np.flatnonzero(lower == upper).tolist())
        ranges = zip(self._metabolites, amounts.values(), lower.tolist(), upper.tolist(), strict=True)
        columns = [Column(f"RT ln {name}", *each) for name, *each in ranges]
        # Row r says: RT sum(nu ln c) + energy + B + slack = 0; the column of r is energy + slack.
        columns += [Column(f"energy of {force}", {force: 1.0}, -math.inf, math.inf) for force in forces]
        columns += [Column(f"ratio {ratio}", {str(ratio): -1.0}, -math.inf, math.inf) for ratio in ratios]
        columns.append(Column("margin", dict.fromkeys(forces, 1.0), -math.inf, math.inf))
        columns += [Column(f"energy of {name}", {name: 1.0}, -math.inf, math.inf) for name, _ in held]
        self._energies = slice(len(rows), len(rows) + len(forces))
        self._ratios = {ratio: place for place, ratio in enumerate(ratios, start=self._energies.stop)}
        self._margin = self._energies.stop + len(ratios)
        self._equilibria = {place: column for place, (_, (column, _)) in enumerate(held, start=self._margin + 1)}
        self._lp = FluxLP(Network.of(f"driving forces of {network.id}", columns), {})
        self.set_energies(thermodynamics.energies)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the problem."""
        self._lp.close()

    def set_energies(self, energies: FloatArray) -> None:
        """Take other energies of the network's reactions, shape (reactions,), kJ/mol."""
        self._present = energies
        for place, (column, sign) in enumerate(self.reactions, start=self._energies.start):
            self._lp.set_bounds(place, sign * float(energies[column]), math.inf)
        for place, column in self._equilibria.items():
            self._lp.set_bounds(place, float(energies[column]), float(energies[column]))

    def fix(self, ratio: Ratio, value: float | None) -> None:
        """Hold a ratio at a value, or release it again."""
        at = None if value is None else self._thermodynamics.thermal_energy * math.log(value)
        self._lp.set_bounds(self._ratios[ratio], *(-math.inf, math.inf) if at is None else (at, at))

    def largest(self) -> DrivingForce:
        """Return the max-min driving force.

        A RedoxError if no reaction that is active has an energy, or ratios are held beyond the ranges of the
        concentrations.
        """
        if not self.reactions:
            raise RedoxError(
                f"no reaction with a known energy runs in {self._thermodynamics.network.id}",
                hint="only a cell that grows has driving forces, and metabolites are known by their BiGG names",
                settings=("conditions", "model"),
            )
        value = self.largest_margin()
        if value is None:
            raise RedoxError(
                "the ratios or equilibria that are held lie outside the ranges of the concentrations",
                hint="hold them at other values, or give wider ranges",
                settings=("concentrations",),
            )
        logarithms = self._lp.fluxes()[: len(self._metabolites)] / self._thermodynamics.thermal_energy
        network, levels = self._thermodynamics.network, np.exp(logarithms).tolist()
        found = dict(zip(self._metabolites, levels, strict=True))
        found = {name: level for name, level in found.items() if not network.is_species(name, PROTON, WATER)}
        return DrivingForce(value, self._limits(range(self._energies.start, self._energies.stop)), found)

    def window(self, ratio: Ratio, margin: float = 0.0) -> RatioWindow:
        """Return the window of a ratio in which no active reaction has a driving force below `margin`, kJ/mol.

        A RedoxError if the state is infeasible with that margin.
        """
        found = []
        for sign in (-1.0, 1.0):
            end = self._end(ratio, sign, margin)
            if end is None:
                raise RedoxError(
                    f"no concentrations give every reaction a driving force of {margin:g} kJ/mol",
                    hint=f"at most {self.largest().value:.2f} kJ/mol can be had: choose a smaller margin",
                    settings=("margin",),
                )
            found.append((end, self._limits(range(self._energies.stop))))
        (low, low_limits), (high, high_limits) = found
        return RatioWindow(ratio, low, high, low_limits, high_limits)

    def span(self, ratio: Ratio) -> tuple[float, float] | None:
        """Decimal logarithms of the ends of a ratio's window without a margin; None where the state is infeasible."""
        low, high = (self._end(ratio, sign, 0.0) for sign in (-1.0, 1.0))
        return None if low is None or high is None else (math.log10(low * (1 + HELD)), math.log10(high * (1 - HELD)))

    def force(self, column: int, sign: float) -> float | None:
        """The largest driving force of a reaction, forward (sign 1) or backward (-1), where all active ones can run.

        The unit is kJ/mol; None where no concentrations let all active reactions run.
        """
        amounts = self._thermodynamics.amounts(column)
        self._lp.set_bounds(self._margin, 0.0, 0.0)
        found = self._maximise({self._rows[row]: -sign * amount for row, amount in amounts.items()})
        return None if found is None else found - sign * float(self._present[column])

    def conflicts(self) -> dict[str, float]:
        """Reactions that keep the state infeasible, and how much driving force each lacks, kJ/mol.

        They are found one after the other: what limits most is left aside.
        """
        found, energies = dict[str, float](), range(self._energies.start, self._energies.stop)
        names = [self._thermodynamics.network.reactions[column] for column, _ in self.reactions]
        while (force := self.largest_margin()) is not None and force < -LEAST_LACK:
            worst = next(iter(self._limits(energies)))
            found[worst] = -force
            self._lp.set_bounds(energies[names.index(worst)], -math.inf, math.inf)
        self.set_energies(self._present)
        return found

    def spread(self, draws: int, seed: int, margin: float = 0.0) -> tuple[FloatArray, dict[Ratio, FloatArray]]:
        """Driving forces and windows with the energies drawn from their uncertainty, see `Thermodynamics.drawn`.

        Returns the max-min driving force of each draw, shape (draws,), kJ/mol, and for each ratio both ends of its
        window, shape (draws, 2), NaN where the state is infeasible with that margin.
        """
        generator = np.random.default_rng(seed)
        forces = np.full(draws, math.nan)
        windows = {ratio: np.full((draws, 2), math.nan) for ratio in self._ratios}
        for draw in range(draws):
            self.set_energies(self._thermodynamics.drawn(generator))
            forces[draw] = self.largest_margin()
            if forces[draw] >= margin:
                for ratio, ends in windows.items():
                    ends[draw] = [self._end(ratio, sign, margin) or math.nan for sign in (-1.0, 1.0)]
        self.set_energies(self._thermodynamics.energies)
        return forces, windows

    def slopes(self, ratios: Iterable[Ratio]) -> FloatArray:
        """Change of the last optimum per change of RT ln of ratios that are held, shape (ratios,), one of many."""
        known = self._lp.reduced_costs([self._ratios[ratio] for ratio in ratios])
        if known is None:
            raise RedoxError("the last basis of the linear program of driving forces is singular")
        return known.costs

    def largest_margin(self) -> float | None:
        """The max-min driving force, kJ/mol; None where what is held lies outside the ranges of concentrations."""
        self._lp.set_bounds(self._margin, -math.inf, math.inf)
        return self._maximise({self._margin: 1.0})

    def _end(self, ratio: Ratio, sign: float, margin: float) -> float | None:
        """The largest ratio with sign 1, the smallest with -1; None where the state is infeasible."""
        self._lp.set_bounds(self._margin, margin, margin)
        end = self._maximise({self._ratios[ratio]: sign})
        return None if end is None else math.exp(sign * end / self._thermodynamics.thermal_energy)

    def _maximise(self, objective: Mapping[int, float]) -> float | None:
        self._lp.set_objective_columns(objective)
        solution = self._lp.maximise()
        if solution.status is Status.INFEASIBLE:
            return None
        if not solution.optimal:
            raise RedoxError(f"the linear program of driving forces ended with: {solution.status.value}")
        return solution.objective

    def _limits(self, columns: range) -> dict[str, float]:
        """What the last optimum rests on, by the size of its reduced cost; fixed concentrations do not count."""
        known, found = self._lp.reduced_costs(columns), {}
        for column, cost in zip(columns, () if known is None else known.costs.tolist(), strict=False):
            if column >= self._energies.start:
                name = self._thermodynamics.network.reactions[self.reactions[column - self._energies.start][0]]
            else:
                name = f"{self._metabolites[column]} {'high' if cost > 0 else 'low'}"
            if abs(cost) > LEAST_SHARE and column not in self._fixed:
                found[name] = abs(cost)
        return dict(sorted(found.items(), key=lambda pair: (-round(pair[1], 6), pair[0])))
