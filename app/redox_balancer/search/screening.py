"""Which constructs are worth valuing, by what earlier solves tell of all others.

The optimum of a linear program is concave in its bounds, so the gradient that one solve ends with bounds the optimum
at every other point (`cell/regions.py`). At the changes of a construct, all of which are known points, the lowest of
these bounds estimates growth and capacity without a solve, and for the rewards `capacity` and `rescue` it is an upper
bound of the value: a change whose bound is not above the value at hand needs no valuation. What is guaranteed is the
smallest consumption, which the gradients bound from below; from above the enzyme capacities do.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Reference
from redox_balancer.design.formulation import AT_OPTIMUM, growth_kept, held_biomass_flux, nadph_weights, reaches_floor
from redox_balancer.design.sampled_cuts import known_cuts
from redox_balancer.search.problem import UNBOUNDED, Problem

Steps = NDArray[np.intp]

EVERY = slice(None)

BEAM, WIDE, DUPLICATES = 16, 128, 4
"""Constructs of each size that a beam search extends, or a wide one, whose cases share them; they are chosen among so
many times as many, of which some recur."""
AT_ONCE = 512  # constructs estimated at once: what is added up for more of them exceeds the caches of a core
SAMPLED = 8  # cases that the beam search goes by, at most


class Changes(NamedTuple):
    """N single changes of a construct: the step that makes way for another, estimates and bounds of the values."""

    removed: Steps
    added: Steps
    estimates: FloatArray
    bounds: FloatArray


class _Case(NamedTuple):
    """One condition with one parameter sample."""

    condition: Condition
    weight: float
    reference: Reference
    point: FloatArray  # without a construct
    steps: FloatArray  # what each step adds to it
    takes: FloatArray  # most NAD(P)H that each step can take, mmol/gDW/h


class Screen:
    """Estimates of single changes for one problem.

    A step is a placement at a level, numbered `placement * levels + level`, or nothing, the last one.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem, self._evaluator = problem, problem.evaluator
        space = problem.evaluator.space
        self._levels, self._sampled_cuts = len(space.levels), known_cuts(problem.evaluator)
        foreign = [placement.foreign for placement in space.placements]
        self._protein = np.append(np.tile(space.levels, len(foreign)), 0.0)
        self._foreign = np.append(np.repeat(foreign, self._levels), 0).astype(np.intp)
        self._membrane = np.append(np.repeat(space.in_membrane, self._levels), 0).astype(np.intp)
        self._budgets = np.asarray([space.budget, space.membrane_budget]) * (1 + 1e-9)
        self._nothing = len(self._protein) - 1
        every = range(len(space.parameter_samples)) or (None,)
        samples = every if problem.sample is None else (problem.sample,)
        self._cases = [
            self._case(condition, weight / len(samples), sample)
            for condition, weight in zip(problem.conditions, problem.weights, strict=True)
            for sample in samples
        ]
        # Weights need not add up: the estimates of a beam are compared with each other alone.
        self._sampled = self._cases[:: -(-len(self._cases) // SAMPLED)]

    def changes(self, construct: Construct, *, additions: bool = False) -> Changes:
        """Every affordable construct that differs in one placement, or with `additions` has one placement more."""
        removed, added, total = self._steps(construct, additions=additions)
        return Changes(removed, added, *self._values(total, len(added), self._cases))

    def limits(self, construct: Construct) -> tuple[Steps, FloatArray]:
        """The N steps that a construct may be extended by, and bounds of what it is then, shape (N, 3).

        The bounds are growth, 1/h, capacity at the growth floor, mmol/gDW/h, and the negative of the proteome
        fraction, which is exact.
        """
        _, added, total = self._steps(construct, additions=True)
        (case,), protein = self._cases, total(self._protein)
        kept = np.maximum(growth_kept(self._evaluator.space.settings, protein), 1e-9)
        growth: Any = kept * np.clip(self._lowest(0, case, total, len(added)), 0.0, UNBOUNDED)
        held: Any = held_biomass_flux(case.reference.floor, kept)
        capacity = np.clip(self._lowest(1, case, total, len(added), held), 0.0, UNBOUNDED)
        counted = (total(self._foreign) > 0) & reaches_floor(growth, case.reference.floor)
        return added, np.stack([growth, capacity * counted, -protein], axis=1)

    def _steps(self, construct: Construct, *, additions: bool) -> tuple[Steps, Steps, Callable[..., Any]]:
        """Steps that may be taken out of a construct and put in, and a function that adds up what each then has."""
        placed = np.asarray([place * self._levels + level for place, level in construct], dtype=np.intp)
        left = self._budgets - np.bincount(self._membrane[placed], self._protein[placed], minlength=2)
        pairs = []
        for removed in (self._nothing, *(() if additions else placed.tolist())):
            kept = placed[placed != removed]
            if len(kept) == self._problem.placements:
                continue
            freed = left.copy()
            freed[self._membrane[removed]] += self._protein[removed]
            steps = np.arange(len(self._protein))
            free = (self._protein <= freed[self._membrane]) & (steps != removed)
            added = steps[free & ~np.isin(steps // self._levels, kept // self._levels)]
            pairs.append((np.full(len(added), removed), added))
        removed, added = (np.concatenate([placed[:0], *(pair[end] for pair in pairs)]) for end in (0, 1))

        def total(of_steps: Any, at: slice = EVERY) -> Any:
            return of_steps[placed].sum(axis=0) - of_steps[removed[at]] + of_steps[added[at]]

        return removed, added, total

    def changed(self, construct: Construct, changes: Changes, index: int) -> Construct:
        """The construct after one of the changes."""
        removed, added = int(changes.removed[index]), int(changes.added[index])
        if removed != self._nothing:
            construct = construct.place(removed // self._levels, -1)
        return construct if added == self._nothing else construct.place(*divmod(added, self._levels))

    @property
    def beams(self) -> tuple[int, ...]:
        """Widths of a beam search and of a wide one, where the cases do not make this as narrow."""
        return BEAM, *(wide for wide in [WIDE // len(self._sampled)] if wide > BEAM)

    def promising(self, beam: int = BEAM) -> list[tuple[Construct, float]]:
        """Constructs that a beam search finds by the estimates, with these, those of the highest estimates first.

        Where a cell cannot live, each Farkas certificate is a row over the bounds, and the shares of what it lacks
        that placements make up for add up to 1 wherever the cell lives. The beam goes by these shares first, and only
        constructs that no certificate so far rules out are returned.
        """
        placements = 0 if self._evaluator.space.settings.reward == "sink-flux" else self._problem.placements
        kept = np.full((1, placements), self._nothing)
        relieved, found = self._relieved(), [kept[:0]]
        for size in range(placements):
            rows, added = self._affordable(kept)
            if not len(rows):
                break

            def total(
                of_steps: Any, at: slice = EVERY, kept: Steps = kept, rows: Steps = rows, added: Steps = added
            ) -> Any:
                first, last = rows[at][[0, -1]].tolist()
                return of_steps[kept[first : last + 1]].sum(axis=1)[rows[at] - first] + of_steps[added[at]]

            made_up, estimates = total(relieved), self._values(total, len(added), self._sampled)[0]
            order = np.lexsort((-estimates, -np.minimum(made_up, 1.0).mean(axis=1)))[: DUPLICATES * beam]
            extended = kept[rows[order]]
            extended[:, size] = added[order]
            extended.sort(axis=1)
            first = np.sort(np.unique(extended, axis=0, return_index=True)[1])[:beam]
            kept = extended[first]
            found.append(kept[(made_up[order[first]] >= 1.0).all(axis=1)])
        all_found = np.vstack(found)

        def together(of_steps: Any, at: slice = EVERY) -> Any:
            return of_steps[all_found[at]].sum(axis=1)

        estimates = self._values(together, len(all_found), self._cases)[0]
        made_up = relieved[all_found].sum(axis=1).min(axis=1, initial=np.inf)
        best = np.lexsort((-made_up, -estimates)).tolist()
        return [(self._construct(all_found[index].tolist()), float(estimates[index])) for index in best]

    def _relieved(self) -> FloatArray:
        """Shares of what the cell lacks by each of F certificates that steps make up for, (S, F); 1 if it lives."""
        case, certificates = self._cases[0], self._evaluator.programs.growth_lp.certificates
        lacking = certificates.dot(np.append(case.point[:-1], 1.0)) if case.reference.growth == 0.0 else np.empty(0)
        rows, lacking = certificates[: len(lacking)][lacking > 0.0, :-1], lacking[lacking > 0.0]
        if not len(lacking):
            return np.ones((len(self._protein), 1))
        relieved: FloatArray = -case.steps[:, :-1].dot(rows.T) / lacking
        return relieved

    def _affordable(self, sets: Steps) -> tuple[Steps, Steps]:
        """Pairs of one of the sets of steps, shape (B, K), and a step that it may be extended by."""
        steps = np.arange(self._nothing)
        drawn = np.equal.outer(self._membrane[sets], (0, 1)) * self._protein[sets, None]
        free = self._protein[steps] <= (self._budgets - drawn.sum(axis=1))[:, self._membrane[steps]]
        free &= (steps // self._levels != (sets // self._levels)[:, :, None]).all(axis=1)
        rows, added = np.nonzero(free)
        return rows, added

    def _construct(self, steps: Sequence[int]) -> Construct:
        construct = self._problem.empty
        for step in steps:
            construct = construct if step == self._nothing else construct.place(*divmod(step, self._levels))
        return construct

    def _values(self, total: Callable[..., Any], count: int, cases: Sequence[_Case]) -> tuple[FloatArray, FloatArray]:
        """Estimates and bounds of the values of constructs; `total` adds up what the steps of each, or some, have."""
        settings = self._evaluator.space.settings
        estimates, bounds = np.zeros(count), np.zeros(count)
        if settings.reward == "sink-flux":
            return estimates, np.full(count, np.inf)
        protein, foreign = total(self._protein), total(self._foreign) > 0
        kept = np.maximum(growth_kept(settings, protein), 1e-9)
        for case in cases:
            if settings.reward == "ratio":
                points = case.point + total(case.steps)
                won, most = self._evaluator.won_estimates(case.condition, np.vstack([case.point, points]))
                estimates += case.weight * (won - settings.protein_price * protein)
                bounds += case.weight * (most - settings.protein_price * protein)
                continue
            biomass: Any = np.clip(self._lowest(0, case, total, count), 0.0, UNBOUNDED)
            counted = foreign & reaches_floor(kept * biomass, case.reference.floor)
            estimated = bound = np.zeros(count)
            if settings.reward == "guaranteed":
                held: Any = biomass * AT_OPTIMUM
                flux_lps = range(1, len(self._evaluator.programs.lps))
                most = np.max([self._lowest(program, case, total, count, held) for program in flux_lps], axis=0)
                estimated, bound = -np.minimum(most, UNBOUNDED), total(case.takes)
            elif settings.reward == "capacity":
                held = held_biomass_flux(case.reference.floor, kept)
                estimated = bound = np.clip(self._lowest(1, case, total, count, held), 0.0, UNBOUNDED)
            worth = partial(self._evaluator.worth, case.reference, kept * biomass, protein=protein)
            estimates += case.weight * worth(estimated * counted)[0]
            bounds += case.weight * worth(bound * counted)[0]
        return estimates, bounds

    def _lowest(
        self, program: int, case: _Case, total: Callable[..., Any], count: int, held: FloatArray | None = None
    ) -> FloatArray:
        """Lowest cut of a program at each construct; steps are added up in the values of cuts, not in points."""
        cuts = np.vstack([self._evaluator.programs.lps[program].cuts, *self._sampled_cuts[program : program + 1]])
        slopes, point = cuts[:, :-1], case.point[: cuts.shape[1] - 1]
        of_steps, constants = case.steps[:, : len(point)].dot(slopes.T), slopes.dot(point) + cuts[:, -1]
        lowest = np.empty(count)
        for start in range(0, count, AT_ONCE):
            at = slice(start, start + AT_ONCE)
            values = total(of_steps, at)
            values += constants
            if held is not None:  # 0 in the point of a case
                values += np.multiply.outer(held[at], slopes[:, -1])
            values.min(axis=1, initial=np.inf, out=lowest[at])
        return lowest

    def _case(self, condition: Condition, weight: float, sample: int | None) -> _Case:
        formulation, space = self._evaluator.formulation, self._evaluator.space
        cell = formulation.under(condition)
        bounds, taken = formulation.placed_bounds(cell, formulation.enzyme_capacities[sample]), nadph_weights(space)
        weights = np.array([[taken.get(placement.reaction, 0.0)] for placement in space.placements])
        takes = np.append((bounds * weights).max(axis=0), 0.0)
        steps = formulation.steps(cell, bounds)
        return _Case(condition, weight, self._evaluator.reference(condition), cell.point, steps, takes)
