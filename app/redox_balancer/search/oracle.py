"""The oracle: the best construct of a known condition, with proof, from one mixed-integer linear program.

A binary x[p,l] says whether placement p has level l. The value of `design/value.py` has two programs, (a) growth and
(b) capacity at a growth floor, so the network stands in the program twice, with fluxes v and w, and both copies share
the binaries:

    bounds     the bound of a reaction grows with what is built, so it is a sum over binaries and needs no big M:
               v[p] <= sum_l cap[p,l] x[p,l] for foreign chemistry,
               v[r] <= limit[r] + sum_{p on r, l} cap[p,l] x[p,l] for an amplified native reaction; likewise below.
    expression growth counts times keep = 1 - phi / phi_max, a product of a flux and the binaries. phi takes few
               values, so a binary t[s] chooses which, and growth is split: v[growth] = sum_s g[s], g[s] <= G t[s]
               with G the largest growth that anything built can give; mu = sum_s keep[s] g[s].
    floor      w[growth] >= sum_s floor / keep[s] t[s]. Where the cell may be too ill for the floor, a binary z says
               whether capacity counts: without it the floor goes and all foreign chemistry in w stops.
    ill cells  Where even the forced fluxes (maintenance) may be out of reach, y and z release them: the construct is
               then worth what a cell without growth is worth.
    penalty    shortfall >= 0.95 - mu / mu_wt, shortfall >= 0: the objective pushes it down to the larger of the two.

Built enzymes only widen bounds, so what the cell can do without a construct it can do with any: that settles y and z
beforehand in nearly every condition. Several states, weighted, share the binaries too: that finds the best fixed
construct. So do several sets of uncertain figures, which multiply the program by their number. Tests hold the oracle
against exhaustive search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Reference
from redox_balancer.design.formulation import NO_GROWTH, Formulation, UnmodifiedCell, capacity_weights, growth_kept
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError
from redox_balancer.search.milp import MixedIntegerProgram, Term
from redox_balancer.search.problem import Problem, Search, SearchResult

TIME_LIMIT_S = 600.0
Caps = Sequence[Sequence[float]]
"""Flux that each level of each placement buys, mmol/gDW/h."""

SURE = 1e-6
"""Relative distance from a threshold beyond which round-off decides nothing."""


def oracle(search: Search, *, time_limit_s: float = TIME_LIMIT_S) -> SearchResult:
    """Find the best construct there is; its `bound` exceeds its value where the time was too short for the proof.

    Raises
    ------
    RedoxError
        The space pays for something that is no largest value, or no construct was found in time.
    """
    program = _ConstructProgram(search.problem)
    optimum = program.program.maximise(time_limit_s=time_limit_s)
    construct = program.construct(optimum.columns)
    if not search.problem.evaluator.space.affordable(construct):
        raise RedoxError(
            "the best construct of the mixed-integer program is over a budget it does not know",
            hint="this is a bug: every budget of the design space belongs into budgets() of search/oracle.py",
        )
    search.value(construct)
    return search.found(iterations=optimum.iterations, bound=optimum.bound)


def budgets(space: DesignSpace) -> list[tuple[list[int], float]]:
    """Each limit on proteome fractions: the placements that count towards it, and the largest sum of their levels."""
    soluble = [position for position, membrane in enumerate(space.in_membrane) if not membrane]
    membrane = [position for position, membrane in enumerate(space.in_membrane) if membrane]
    return [(soluble, space.budget), (membrane, space.membrane_budget)]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell without a construct, under a state.

    Attributes
    ----------
    unmodified
        Its changing bounds.
    lower, upper
        Bounds by column.
    caps
        Flux that each level of each placement buys.
    """

    unmodified: UnmodifiedCell
    lower: FloatArray
    upper: FloatArray
    caps: Caps


class _ConstructProgram:
    """The mixed-integer program of a problem."""

    def __init__(self, problem: Problem) -> None:
        space = problem.evaluator.space
        if space.settings.reward != "capacity":
            raise RedoxError(
                f"the reward {space.settings.reward!r} is no largest value of one program: it has no proven optimum",
                hint="use --reward capacity, or a search that values constructs one by one",
            )
        self.problem, self.space, self.program = problem, space, MixedIntegerProgram()
        self._formulation = Formulation(space, compressed=False)
        self._growth = space.network.column(space.network.objective)
        self._columns = self._formulation.columns
        self._add_construct()
        self._add_expression()
        samples: Sequence[int | None] = range(len(space.parameter_samples)) or (None,)
        for sample in samples:
            caps = self._formulation.enzyme_capacities(sample)
            for condition, weight in zip(problem.conditions, problem.weights, strict=True):
                self._add_condition(condition, weight / len(samples), caps)

    def construct(self, point: FloatArray) -> Construct:
        """The construct that the binaries of a point describe."""
        construct = self.problem.empty
        for (placement, level), column in self._placed.items():
            if point[column] > 0.5:
                construct = construct.place(placement, level)
        return construct

    def _add_construct(self) -> None:
        """Binaries of placements and levels, K and the budgets."""
        space, program, empty = self.space, self.program, self.problem.empty
        self._placed: dict[tuple[int, int], int] = {}
        for placement in range(len(space.placements)):
            levels = [level for level in range(len(space.levels)) if space.affordable(empty.place(placement, level))]
            binaries = [program.add_binary() for _ in levels]
            program.add_row([(binary, 1.0) for binary in binaries], upper=1.0)
            self._placed |= {(placement, level): binary for level, binary in zip(levels, binaries, strict=True)}
        program.add_row([(binary, 1.0) for binary in self._placed.values()], upper=float(self.problem.placements))
        # Levels in units of the lowest one, so that coefficients are of the order of 1.
        self._unit = min(space.levels)
        for members, limit in budgets(space):
            counted = set(members)
            program.add_row(
                [(b, space.levels[l] / self._unit) for (p, l), b in self._placed.items() if p in counted],
                upper=limit / self._unit * (1 + 1e-9),
            )

    def _add_expression(self) -> None:
        """Binaries of the share of the proteome that the construct takes, and what growth keeps at each."""
        space, program = self.space, self.program
        largest = sum(limit for _, limit in budgets(space)) / self._unit * (1 + 1e-9)
        # At phi_max nothing grows, which no construct makes up for.
        largest = min(largest, space.settings.phi_max / self._unit * (1 - 1e-9))
        levels = {level for _, level in self._placed}
        totals = {0.0}
        for _ in range(min(self.problem.placements, len(space.placements))):
            totals |= {
                total
                for before in totals
                for level in levels
                if (total := round(before + space.levels[level] / self._unit, 9)) <= largest
            }
        ordered = sorted(totals)
        self._keeps = [growth_kept(space.settings, total * self._unit) for total in ordered]
        self._shares = [program.add_binary() for _ in ordered]
        program.add_row([(share, 1.0) for share in self._shares], lower=1.0, upper=1.0)
        program.add_row(
            [(b, space.levels[l] / self._unit) for (_, l), b in self._placed.items()]
            + [(share, -total) for share, total in zip(self._shares, ordered, strict=True)],
            lower=0.0,
            upper=0.0,
        )

    def _add_condition(self, condition: Condition, weight: float, caps: Caps) -> None:
        """Both programs under one state with one set of caps, and what they add to the objective."""
        settings, reference = self.space.settings, self.problem.evaluator.reference(condition)
        least_keep = min(self._keeps)
        cell = self._cell(condition, caps)
        penalty = reference.growth > NO_GROWTH and least_keep < settings.growth_fraction * (1 + SURE)
        if reference.lowered or penalty:
            self._add_growth(cell, reference, weight, penalty=penalty)
        self._add_capacity(
            cell, reference, weight, certain=reference.growth * least_keep >= reference.floor * (1 + SURE)
        )

    def _add_growth(self, cell: _Cell, reference: Reference, weight: float, *, penalty: bool) -> None:
        """Program (a): growth less the cost of expression, what is rescued of it and what is lost."""
        program, settings = self.program, self.space.settings
        fluxes, growth = self._add_copy(cell), self._growth
        largest = self._largest_growth(cell)
        grows = program.add_binary(certain=reference.growth > NO_GROWTH)
        if reference.growth <= NO_GROWTH:
            self._release(cell, fluxes, grows)
        program.add_row([(fluxes[growth], 1.0), (grows, -largest)], upper=0.0)
        parts = program.add_columns([0.0] * len(self._shares), [largest] * len(self._shares))
        program.add_row([(fluxes[growth], -1.0), *((part, 1.0) for part in parts)], lower=0.0, upper=0.0)
        for part, share in zip(parts, self._shares, strict=True):
            program.add_row([(part, 1.0), (share, -largest)], upper=0.0)
        kept = list(zip(parts, self._keeps, strict=True))
        if reference.lowered:
            healthy = self.problem.evaluator.healthy_growth
            for part, keep in kept:
                program.pay(part, weight * keep / healthy)
            program.constant -= weight * reference.growth / healthy
        if penalty:
            shortfall = program.add_columns([0.0], [np.inf])[0]
            program.pay(shortfall, -weight * settings.growth_penalty)
            program.add_row(
                [(shortfall, 1.0), *((part, keep / reference.growth) for part, keep in kept)],
                lower=settings.growth_fraction,
            )

    def _add_capacity(self, cell: _Cell, reference: Reference, weight: float, *, certain: bool) -> None:
        """Program (b): what inserted reactions take from the NAD(P)H pools while growth is held at the floor."""
        program, space = self.program, self.space
        fluxes = self._add_copy(cell)
        counts = program.add_binary(certain=certain)
        floors = [reference.floor / keep for keep in self._keeps]
        program.add_row(
            [
                (fluxes[self._growth], 1.0),
                (counts, -max(floors)),
                *((share, -floor) for share, floor in zip(self._shares, floors, strict=True)),
            ],
            lower=-max(floors),
        )
        if not certain:
            self._release(cell, fluxes, counts)
            for placement, column, caps in zip(space.placements, self._columns, cell.caps, strict=True):
                if placement.foreign:
                    lower, upper = placement.bounds(max(caps))
                    program.add_row([(fluxes[column], 1.0), (counts, -upper)], upper=0.0)
                    program.add_row([(fluxes[column], 1.0), (counts, -lower)], lower=0.0)
        scale = weight / (2.0 * space.oxygen_uptake)
        for reaction, taken in capacity_weights(space).items():
            program.pay(fluxes[space.network.column(reaction)], scale * taken)

    def _add_copy(self, cell: _Cell) -> range:
        """The network with bounds that follow the construct."""
        program, network = self.program, self.space.network
        lower, upper = self._formulation.widest_bounds(cell.unmodified, cell.caps)
        fluxes = program.add_network(network, lower, upper)
        # What is beyond its budget at every level stays closed.
        bought: dict[int, list[Term]] = {column: [] for column in self._columns}
        for (position, level), binary in self._placed.items():
            bought[self._columns[position]].append((binary, cell.caps[position][level]))
        for column, terms in bought.items():
            limit = cell.unmodified.native_limits.get(column, 0.0)
            if upper[column] > limit:
                program.add_row([(fluxes[column], 1.0), *((b, -cap) for b, cap in terms)], upper=limit)
            if lower[column] < -limit:
                program.add_row([(fluxes[column], 1.0), *((b, cap) for b, cap in terms)], lower=-limit)
        return fluxes

    def _release(self, cell: _Cell, fluxes: range, unless: int) -> None:
        """Let forced fluxes be 0 unless a binary is 1."""
        for column in np.flatnonzero((cell.lower > 0) | (cell.upper < 0)).tolist():
            lower, upper = float(cell.lower[column]), float(cell.upper[column])
            self.program.set_bounds(fluxes[column], min(lower, 0.0), max(upper, 0.0))
            forced = lower if lower > 0 else upper
            terms = [(fluxes[column], 1.0), (unless, -forced)]
            self.program.add_row(terms, lower=0.0 if forced > 0 else -np.inf, upper=np.inf if forced > 0 else 0.0)

    def _cell(self, condition: Condition, caps: Caps) -> _Cell:
        unmodified = self._formulation.under(condition)
        return _Cell(unmodified, *self._formulation.bounds(unmodified.point), caps)

    def _largest_growth(self, cell: _Cell) -> float:
        """No construct lets the cell grow faster, 1/h."""
        network = self.space.network
        lower, upper = self._formulation.widest_bounds(cell.unmodified, cell.caps)
        bounds = dict(zip(network.reactions, zip(lower.tolist(), upper.tolist(), strict=True), strict=True))
        with FluxLP(network.with_bounds(bounds)) as lp:
            solution = lp.maximise()
        return solution.objective * (1 + SURE) if solution.optimal else 0.0
