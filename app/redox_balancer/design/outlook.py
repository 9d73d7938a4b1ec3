"""What each further placement would be worth, estimated by the shadow prices at the present construct and elsewhere.

The optimum of a linear program is concave in its bounds. Its gradient at one point, which a solve or a lookup leaves
(`cell/regions.py`), bounds it everywhere else: shadow price times change of the bound is the most that a placement
can gain, and what it gains where no other bound becomes limiting. What becomes limiting next is seen by the gradients
at other points (`sampled_cuts`): the lowest of all counts. Gasse et al. 2019, NeurIPS 32, show reduced costs to a
policy that branches.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import compress
from operator import attrgetter
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator, Outcome, Reference
from redox_balancer.design.formulation import AT_OPTIMUM, growth_kept, held_biomass_flux, reaches_floor
from redox_balancer.design.settings import Reward

TOGETHER = 8  # cuts that are looked at together
ESTIMATED: tuple[Reward, ...] = ("capacity", "guaranteed", "rescue")
"""Rewards that follow from optima of linear programs alone."""
STRATA = 4  # parts of equal size of the parameter samples of a placement, by its capacity: each counts by its mean


class Shifts(NamedTuple):
    """What M placements, each alone, change of N points, shape (N, P) or, with the growth to be held, (N, P + 1)."""

    points: FloatArray
    steps: FloatArray  # of the upper and the lower bound of each, (N, 2, M)
    beyond: FloatArray | None = None  # of the growth to be held, (N, M)

    def of(self, rows: NDArray[np.intp]) -> Self:
        """Those of some of the points."""
        return self._replace(
            points=self.points[rows],
            steps=self.steps[rows],
            beyond=None if self.beyond is None else self.beyond[rows],
        )


class Cuts(NamedTuple):
    """Rows over (u, 1), the same for all points, shape (C, width), or those of each, (N, C, width)."""

    rows: FloatArray
    upper: FloatArray  # slopes by the upper bound of each placement, (..., C, M)
    lower: FloatArray

    def at(self, points: FloatArray) -> FloatArray:
        """Values at N points, (N, C)."""
        values: FloatArray = (self.rows[..., :-1] @ points[..., None])[..., 0] + self.rows[..., -1]
        return values

    def values(self, at: FloatArray, changes: Shifts) -> FloatArray:
        """Values with each placement at N points, (N, C, M), where they are `at` without one."""
        values: FloatArray = self.upper * changes.steps[:, 0, None]
        values += self.lower * changes.steps[:, 1, None]
        if changes.beyond is not None:
            values += self.rows[..., -2, None] * changes.beyond[:, None]
        values += at[..., None]
        return values

    def lowest(self, changes: Shifts, asked: NDArray[np.bool_], known: FloatArray) -> FloatArray:
        """Lowest value of all C cuts and what is `known` with each placement `asked` for, (N, M).

        A placement that widens bounds raises cuts alone, so that those which are above all that was found without it,
        with as much growth held as with any, need no look. Every value is what it is in `values`, to the last bit.
        """
        lowest, at = known.copy(), self.at(changes.points)
        raised = (self.upper >= 0.0).all(axis=1) & (self.lower <= 0.0).all(axis=1)
        least = at
        if changes.beyond is not None:
            raised &= self.rows[:, -2] <= 0.0
            least = self.rows[:, -2] * changes.beyond.max(axis=1, where=asked, initial=0.0)[:, None] + at
        narrowed = ((changes.steps[:, 0] < 0.0) | (changes.steps[:, 1] > 0.0)) & asked
        least = np.where(raised & ~narrowed.any(axis=1, keepdims=True), least, -np.inf)
        order, rows = least.argsort(axis=1), np.arange(len(at))
        for start in range(0, len(self.rows), TOGETHER):
            most = lowest[rows].max(axis=1, where=asked[rows], initial=-np.inf)
            rows = rows[least[rows, order[rows, start]] < most]
            if not len(rows):
                break
            chosen = order[rows, start : start + TOGETHER]
            cuts = Cuts(self.rows[chosen], self.upper[chosen], self.lower[chosen])
            values = cuts.values(np.take_along_axis(at[rows], chosen, axis=1), changes.of(rows))
            lowest[rows] = np.minimum(lowest[rows], values.min(axis=1))
        return lowest


class References(NamedTuple):
    """`Reference` of N cells, arrays of shape (N,) or (N, 1, 1)."""

    growth: Any
    healthy_growth: Any
    floor: Any
    lowered: Any
    unperturbed: Any


SCALARS = ("value", "protein", "takes", *(f"reference.{name}" for name in References._fields))


class Prospect(NamedTuple):
    """What is known of a construct under a condition, from which gains are estimated."""

    reference: Reference
    value: float
    protein: float
    spent: FloatArray  # of the two protein budgets, soluble and membrane
    takes: bool  # whether it takes NAD(P)H from the pools
    dead: bool  # whether the first row proves that the cell cannot live
    point: FloatArray
    rows: list[FloatArray]  # lowest cut of each program there, (width,), or the Farkas certificate
    bounds: FloatArray  # that each placement at each level sets, upper and lower, with K parameters, (K, 2, P, L)


class Outlook:
    """Estimates for each of P placements at each of L levels; `known` are cuts of each program, rows over (u, 1)."""

    def __init__(self, evaluator: Evaluator, known: Sequence[FloatArray]) -> None:
        self._evaluator, space, ends = evaluator, evaluator.space, evaluator.formulation.ends
        self._levels = np.asarray(space.levels)
        self._foreign = np.asarray([[placement.foreign] for placement in space.placements])
        self._membrane = np.asarray(space.in_membrane, dtype=np.intp)
        self._budgets = np.asarray([space.budget, space.membrane_budget]) * (1 + 1e-9)
        # A bound that is always 0 is no parameter.
        self._ends, self._move = ends, ends >= 0
        self._condition: Condition | None = None
        sampled = [flux for sample, flux in evaluator.formulation.enzyme_capacities.items() if sample is not None]
        parts = np.array_split(np.sort(sampled, axis=0), min(STRATA, len(sampled))) if sampled else ()
        self._strata = [part.mean(axis=0) for part in parts] or [evaluator.formulation.enzyme_capacities[None]]
        self._sampled = [self._cuts(rows) for rows in known]

    def prospect(
        self, construct: Construct, condition: Condition, outcome: Outcome, sample: int | None = None
    ) -> Prospect:
        """What is known of a construct by its outcome and by the optima there that the outcome did not need.

        With the index of a parameter sample, of the cell with that sample, and of further placements in it; without,
        with the library's own parameters, and of further placements with the strata of what theirs may be.
        """
        evaluator, space, programs = self._evaluator, self._evaluator.space, self._evaluator.programs
        reference, cell = evaluator.cell(condition)
        if condition is not self._condition or sample is not None:  # the same in all of an episode
            capacities = self._strata if sample is None else [evaluator.formulation.enzyme_capacities[sample]]
            bounds = [evaluator.formulation.placed_bounds(cell, each) for each in capacities]
            self._condition, self._bounds = condition, np.array(bounds)
        placed = tuple(construct)
        protein, takes = space.protein(placed), any(evaluator.foreign[place] for place, _ in placed)
        spent = np.zeros(2)
        for place, level in placed:
            spent[self._membrane[place]] += self._levels[level]
        point = evaluator.formulation.with_placed(cell, placed, sample)
        proof = programs.growth_lp.certificate(point[:-1]) if outcome.growth == 0.0 else None
        if proof is not None:
            rows = [proof, *(np.zeros(len(point) + 1) for _ in programs.flux_lps)]
        else:
            if space.settings.reward != "rescue":
                point[-1] = outcome.growth / growth_kept(space.settings, protein) * AT_OPTIMUM
                if space.settings.reward == "capacity":
                    held: Any = held_biomass_flux(reference.floor, self._kept(protein))
                    point[-1] = min(held.min(), point[-1])
                if not (takes and reaches_floor(outcome.growth, reference.floor)):
                    for program in programs.flux_lps:
                        program.maximise(point)
            rows = [programs.growth_lp.lowest_cut(point[:-1]), *(p.lowest_cut(point) for p in programs.flux_lps)]
        return Prospect(reference, outcome.value, protein, spent, takes, proof is not None, point, rows, self._bounds)

    def gains(self, prospects: Sequence[Prospect], asked: NDArray[np.bool_] | None = None) -> FloatArray:
        """Estimated change of the value of N constructs by each placement; shape (N, P, L).

        Only placements that are not part of the construct, that are affordable and `asked` for, by default all, have
        a meaning. In a cell that cannot live they are the shares of what it lacks, by the Farkas certificate, that
        each placement makes up for. Where its parameters are uncertain it is the mean over them.
        """
        strata, _, *each = prospects[0].bounds.shape
        asked = np.ones((len(prospects), *each), dtype=np.bool_) if asked is None else asked
        if strata > 1:
            apart = [of._replace(bounds=bounds[None]) for of in prospects for bounds in of.bounds]
            means: FloatArray = (
                self.gains(apart, asked.repeat(strata, axis=0)).reshape(-1, strata, *each).mean(axis=1)
            )
            return means
        gains, dead = np.empty(asked.shape), np.array([prospect.dead for prospect in prospects])
        for chosen, estimate in ((dead, self._made_up), (~dead, self._won)):
            if chosen.any():
                gains[chosen] = estimate([*compress(prospects, chosen)], asked[chosen])
        return gains

    def placed(self, prospect: Prospect, placement: int, level: int, gain: float) -> Prospect:
        """What is estimated of a construct with one placement more, by what is known of it and this gain."""
        point, spent = prospect.point.copy(), prospect.spent.copy()
        ends, moved = self._ends[:, placement], self._move[:, placement]
        point[ends[moved]] = prospect.bounds[0, moved, placement, level]
        spent[self._membrane[placement]] += self._levels[level]
        return prospect._replace(
            value=prospect.value + gain,
            protein=prospect.protein + self._levels[level],
            spent=spent,
            takes=prospect.takes or bool(self._foreign[placement, 0]),
            point=point,
        )

    def affordable(self, prospect: Prospect) -> NDArray[np.bool_]:
        """Which placements what is left of the budgets is enough for, (P, L)."""
        left: NDArray[np.bool_] = self._levels <= (self._budgets - prospect.spent)[self._membrane][:, None]
        return left

    def _made_up(self, prospects: Sequence[Prospect], asked: NDArray[np.bool_]) -> FloatArray:
        """Shares of what N cells lack that each placement makes up for."""
        changes, (proofs, *_) = self._changes(prospects)
        lacks = proofs.at(changes.points[:, :-1])
        lacked = proofs.values(lacks, changes).reshape(asked.shape)
        made_up: FloatArray = np.clip(1.0 - lacked / lacks[..., None], 0.0, 1.0)
        return made_up

    def _won(self, prospects: Sequence[Prospect], asked: NDArray[np.bool_]) -> FloatArray:
        """What each placement wins in N cells that live."""
        value, protein, takes, *cell = (
            np.array(list(map(attrgetter(name), prospects)))[:, None, None] for name in SCALARS
        )
        changes, own = self._changes(prospects)

        def lowest(number: int, changes: Shifts, asked: NDArray[np.bool_]) -> FloatArray:
            known = own[number].values(own[number].at(changes.points), changes)[:, 0]
            found = self._sampled[number].lowest(changes, asked.reshape(known.shape), known)
            return found.reshape(asked.shape)

        evaluator, space, reference = self._evaluator, self._evaluator.space, References(*cell)
        kept = self._kept(protein)
        biomass = np.maximum(lowest(0, changes._replace(points=changes.points[:, :-1]), asked), 0.0)
        growth, capacity = kept * biomass, np.zeros(())
        if space.settings.reward != "rescue":
            guaranteed = space.settings.reward == "guaranteed"
            held: Any = biomass * AT_OPTIMUM if guaranteed else held_biomass_flux(reference.floor, kept)
            counted = (self._foreign | takes) & reaches_floor(growth, reference.floor)
            beyond = np.broadcast_to(held - changes.points[:, -1, None, None], asked.shape)
            held_at = changes._replace(beyond=beyond.reshape(len(beyond), -1))
            most = [lowest(number, held_at, asked & counted) for number in range(1, len(own))]
            capacity = (-reduce(np.maximum, most) if guaranteed else np.maximum(most[0], 0.0)) * counted
        won: FloatArray = evaluator.worth(reference, growth, capacity, protein + self._levels)[0] - value
        return won

    def _changes(self, prospects: Sequence[Prospect]) -> tuple[Shifts, list[Cuts]]:
        """What placements change of the points of N constructs, and the cuts of these, one of each program."""
        points = np.array([prospect.point for prospect in prospects])
        steps = np.concatenate([prospect.bounds for prospect in prospects]) - points[:, self._ends][..., None]
        steps *= self._move[..., None]
        rows = [np.array(each)[:, None] for each in zip(*(prospect.rows for prospect in prospects), strict=True)]
        return Shifts(points, steps.reshape(len(points), 2, -1)), [self._cuts(each) for each in rows]

    def _kept(self, protein: Any) -> Any:
        """Share of growth that is left with one more placement at each level, shape (..., L)."""
        return np.maximum(growth_kept(self._evaluator.space.settings, protein + self._levels), 1e-9)

    def _cuts(self, rows: FloatArray) -> Cuts:
        slopes = np.repeat(rows[..., self._ends] * self._move, len(self._levels), axis=-1)
        return Cuts(rows, slopes[..., 0, :], slopes[..., 1, :])
