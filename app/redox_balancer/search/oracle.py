"""The oracle: the best construct under a known condition, with proof, from one mixed-integer linear program.

A binary x[p,l] indicates that placement p has level l. The value (`design/evaluator.py`) has two programs, (a) growth
and (b) capacity at a growth floor, so the network appears twice, with fluxes v and w, and both copies share the
binaries:

    bounds     the bound of a reaction grows with the construct, so it is a sum over binaries and needs no big M:
               v[p] <= sum_l cap[p,l] x[p,l] for foreign enzymes,
               v[r] <= limit[r] + sum_{p on r, l} cap[p,l] x[p,l] for over-expressed native ones; likewise below.
    expression growth is multiplied by keep = 1 - phi / phi_max, a product of a flux and the binaries. phi takes few
               values, so a binary t[s] selects one, and growth is split: v[growth] = sum_s g[s], g[s] <= G t[s]
               with G the largest growth of any construct; mu = sum_s keep[s] g[s].
    floor      w[growth] >= sum_s floor / keep[s] t[s]. Where growth may be below the floor, a binary z decides
               whether capacity counts: without it the floor is void and all foreign reactions in w are closed.
    no growth  Where even the forced fluxes (maintenance) may be infeasible, y and z release them: the construct then
               has the value of a cell without growth.
    penalty    shortfall >= 0.95 - mu / mu_wt, shortfall >= 0: the objective pushes it down to the larger of the two.
    rescue     With this reward there is the copy v alone, and a column r <= mu, r <= unperturbed growth, which the
               objective pushes up; protein has a price.

A construct only widens bounds, so all that the cell can do without one it can do with any: this settles y and z in
advance under nearly every condition. Several weighted conditions share the binaries too, which gives the best fixed
construct. So do parameter samples, which multiply the size of the program. Tests compare the oracle with exhaustive
search.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Reference
from redox_balancer.design.formulation import NO_GROWTH, Formulation, UnmodifiedCell, capacity_weights, growth_kept
from redox_balancer.design.space import PROVABLE, DesignSpace
from redox_balancer.errors import RedoxError
from redox_balancer.search.milp import MixedIntegerProgram, Term
from redox_balancer.search.problem import Problem, Search, SearchResult

TIME_LIMIT_S = 600.0
Caps = Sequence[Sequence[float]]  # enzyme capacity of each level of each placement, mmol/gDW/h

MARGIN = 1e-6  # relative distance from a threshold at which round-off is irrelevant


def oracle(search: Search, *, time_limit_s: float = TIME_LIMIT_S) -> SearchResult:
    """Find the best construct; its `bound` exceeds its value where the time limit was too short for the proof.

    The program starts from the best construct of the search so far. A RedoxError if the reward is not the optimum of
    a single program, or no construct was found in time.
    """
    program = _ConstructProgram(search.problem)
    if search.seconds_left is not None:
        time_limit_s = max(0.0, min(time_limit_s, search.seconds_left))
    optimum = program.program.maximise(
        time_limit_s=time_limit_s, start=program.binaries(search.best) if len(search.best) else None, stop=search.stop
    )
    construct = program.construct(optimum.columns)
    if not search.problem.evaluator.space.affordable(construct):
        raise RedoxError(
            "the best construct of the mixed-integer program exceeds a budget that the program lacks",
            hint="this is a bug: every budget of the design space must appear in budgets() of search/oracle.py",
        )
    # By round-off the bound may be below a value that was reached.
    bound = max(0.0, search.value(construct), optimum.bound)
    return search.found(iterations=optimum.iterations, bound=bound)


def budgets(space: DesignSpace) -> list[tuple[list[int], float]]:
    """Each limit on proteome fractions: the placements that count towards it, and the largest sum of their levels."""
    soluble = [position for position, membrane in enumerate(space.in_membrane) if not membrane]
    membrane = [position for position, membrane in enumerate(space.in_membrane) if membrane]
    return [(soluble, space.budget), (membrane, space.membrane_budget)]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell without a construct, under a condition: its changing bounds, all bounds by column, enzyme capacities."""

    unmodified: UnmodifiedCell
    lower: FloatArray
    upper: FloatArray
    caps: Caps


class _ConstructProgram:
    """The mixed-integer program of a problem."""

    def __init__(self, problem: Problem) -> None:
        space = problem.evaluator.space
        if space.settings.reward not in PROVABLE:
            known = " or ".join(map(repr, PROVABLE))
            raise RedoxError(
                f"the reward {space.settings.reward!r} is not the optimum of a single program: nothing can be proven",
                hint=f"use the reward {known}, or a search that values constructs one by one",
                settings=("reward",),
            )
        self.problem, self.space, self.program = problem, space, MixedIntegerProgram()
        self._formulation = Formulation(space, compressed=False)
        self._growth = space.network.column(space.network.objective)
        self._columns = self._formulation.columns
        self._add_construct()
        self._add_expression()
        samples: Sequence[int | None] = range(len(space.parameter_samples)) or (None,)
        for sample in samples:
            caps = self._formulation.enzyme_capacities[sample].tolist()
            for condition, weight in zip(problem.conditions, problem.weights, strict=True):
                self._add_condition(condition, weight / len(samples), caps)

    def construct(self, point: FloatArray) -> Construct:
        """The construct that the binaries of a solution describe."""
        construct = self.problem.empty
        for (placement, level), column in self._placed.items():
            if point[column] > 0.5:
                construct = construct.place(placement, level)
        return construct

    def binaries(self, construct: Construct) -> dict[int, float]:
        """The binaries of placements and levels that describe a construct, by column."""
        placed = set(construct)
        return {column: float(step in placed) for step, column in self._placed.items()}

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
        """Binaries of the proteome fraction of the construct, and the share of growth that is kept at each."""
        space, program = self.space, self.program
        largest = sum(limit for _, limit in budgets(space)) / self._unit * (1 + 1e-9)
        # At phi_max nothing grows, and no construct is worth that.
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
        """Both programs under one condition with one parameter sample, and their terms of the objective."""
        settings, reference = self.space.settings, self.problem.evaluator.reference(condition)
        least_keep = min(self._keeps)
        cell = self._cell(condition, caps)
        if settings.reward == "rescue":
            self._add_growth(cell, reference, weight, penalty=False)
            for (_, level), binary in self._placed.items():
                self.program.pay(binary, -weight * settings.protein_price * self.space.levels[level])
            return
        penalty = reference.growth > NO_GROWTH and least_keep < settings.growth_fraction * (1 + MARGIN)
        if reference.lowered or penalty:
            self._add_growth(cell, reference, weight, penalty=penalty)
        self._add_capacity(
            cell, reference, weight, certain=reference.growth * least_keep >= reference.floor * (1 + MARGIN)
        )

    def _add_growth(self, cell: _Cell, reference: Reference, weight: float, *, penalty: bool) -> None:
        """Program (a): growth after the cost of expression, the rescue and the penalty."""
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
        healthy = reference.healthy_growth
        if settings.reward == "rescue":
            won = program.add_columns([0.0], [reference.unperturbed])[0]
            program.add_row([(won, -1.0), *kept], lower=0.0)
            program.pay(won, weight / healthy)
        elif reference.lowered:
            for part, keep in kept:
                program.pay(part, weight * keep / healthy)
        if reference.lowered or settings.reward == "rescue":
            program.constant -= weight * reference.growth / healthy
        if penalty:
            shortfall = program.add_columns([0.0], [np.inf])[0]
            program.pay(shortfall, -weight * settings.growth_penalty)
            program.add_row(
                [(shortfall, 1.0), *((part, keep / reference.growth) for part, keep in kept)],
                lower=settings.growth_fraction,
            )

    def _add_capacity(self, cell: _Cell, reference: Reference, weight: float, *, certain: bool) -> None:
        """Program (b): NAD(P)H that inserted reactions take from the pools while growth is held at the floor."""
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
        scale = weight / space.capacity_unit
        for reaction, taken in capacity_weights(space).items():
            program.pay(fluxes[space.network.column(reaction)], scale * taken)

    def _add_copy(self, cell: _Cell) -> range:
        """A copy of the network whose bounds depend on the construct."""
        program, network = self.program, self.space.network
        lower, upper = self._formulation.widest_bounds(cell.unmodified, cell.caps)
        fluxes = program.add_network(network, lower, upper)
        backward, forward = self._left(cell.unmodified)
        # A placement that no budget allows at any level stays closed.
        bought: dict[int, list[Term]] = {column: [] for column in self._columns}
        for (position, level), binary in self._placed.items():
            bought[self._columns[position]].append((binary, cell.caps[position][level]))
        for column, terms in bought.items():
            limit = cell.unmodified.native_limits.get(column, 0.0)
            for sign, bound, share in (
                (1.0, upper[column], forward[column]),
                (-1.0, -lower[column], backward[column]),
            ):
                if bound > limit * share:
                    caps = ((b, -share * cap) for b, cap in terms)
                    program.add_row([(fluxes[column], sign), *caps], upper=limit * share)
        return fluxes

    def _left(self, cell: UnmodifiedCell) -> FloatArray:
        """Shares that held ratios leave of the capacities backward and forward of every column."""
        shares = np.ones((2, len(self.space.network.reactions)))
        if cell.shares is not None:
            for parameter, share in zip(self._formulation.parameters, cell.shares[:-1].tolist(), strict=True):
                shares[int(parameter.upper), parameter.column] = share
        return shares

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
        """Upper bound of growth with any construct, 1/h."""
        network = self.space.network
        lower, upper = self._formulation.widest_bounds(cell.unmodified, cell.caps)
        bounds = dict(zip(network.reactions, zip(lower.tolist(), upper.tolist(), strict=True), strict=True))
        with FluxLP(network.with_bounds(bounds)) as lp:
            solution = lp.maximise()
        return solution.objective * (1 + MARGIN) if solution.optimal else 0.0
