"""The reward `ratio`: how far a construct brings r* of cytosol and matrix back to that of the unperturbed cell.

    won = 1 - sum |ln r*(construct) - ln r*(unperturbed)| / sum |ln r*(condition) - ln r*(unperturbed)|, at least -1

r* is the geometric mean of the window of [NAD+]/[NADH] in which growth stays within 5 % of the largest at two steps
per decade, see docs/ratio.md. Both sums are over the compartments in which the unperturbed cell and the condition
have an r*; one that the construct leaves without counts as not brought back. Nothing is to be won where the condition
has none, or the sum of its distances is below `SAME`.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cell.ratio_window import FINE, NO_ANSWER, WITHIN, steps_of, window_of
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.held_ratios import HeldRatios
from redox_balancer.design.programs import ValuePrograms

SAME = math.log(1.1)  # distance, a factor of 1.1, from which r* of a condition counts as changed
STEPS = 2_000  # ratios of a condition whose shares are remembered
FINER = 5  # steps of an estimate in place of one at the ends of a window

Best = Mapping[Ratio, float]  # r* of each ratio that has one


class RatioReward:
    """r* of cells, and what it is worth."""

    def __init__(self, ratios: HeldRatios, formulation: Formulation, programs: ValuePrograms) -> None:
        self._ratios, self._formulation, self._programs = ratios, formulation, programs
        self._shares: dict[tuple[str, Ratio], dict[float, FloatArray]] = {}

    def best(self, condition: Condition, capacities: FloatArray) -> Best:
        """r* of a cell, given by its bounds before a ratio takes its share."""
        return {ratio: best for ratio in self._ratios.sought if (best := self._best(condition, capacities, ratio))}

    def won_estimates(
        self, condition: Condition, unperturbed: Best, without: Best, cells: FloatArray
    ) -> tuple[FloatArray, float]:
        """What N cells win back by the solves so far, shape (N,), and the most that one can.

        `cells` are bounds as of `best`, shape (N + 1, P), the first those of the cell without a construct: what is
        wrong of its r* is taken to be wrong of all.
        """
        won, lost = np.zeros(len(cells) - 1), _distances(unperturbed, without)
        for ratio, distance in lost.items():
            found = self._estimates(condition, cells, ratio)
            found += 0.0 if math.isnan(found[0]) else math.log(without[ratio]) - found[0]
            won += np.nan_to_num(distance - np.abs(found[1:] - math.log(unperturbed[ratio])))
        return np.maximum(won / (sum(lost.values()) or 1.0), -1.0), float(bool(lost))

    def _estimates(self, condition: Condition, cells: FloatArray, ratio: Ratio) -> FloatArray:
        """Logarithms of r* of N cells by the solves so far, shape (N,); NaN where there is none.

        The ends of a window are interpolated between steps a fifth as long.
        """
        span = self._ratios.table(condition, (ratio,)).span
        if span is None:
            return np.full(len(cells), np.nan)
        count = FINER * (len(steps_of(span)) - 1) + 1
        steps = np.linspace(*span, count)
        shares = np.asarray([self._left(condition, ratio, step) for step in steps.tolist()])[:, :-1]

        def growth(at: NDArray[np.intp]) -> FloatArray:
            """Largest growth of each cell at each of its steps."""
            points = cells[:, None, :-1] * shares[at]
            found = self._programs.growth_lp.upper_bounds(points.reshape(-1, points.shape[-1]))
            found = found.reshape(points.shape[:2]) * shares[at].any(axis=-1)
            return found * (found >= self._ratios.growth)

        coarse = growth(np.arange(0, count, FINER)[None])
        least = (1.0 - WITHIN) * coarse.max(axis=1)
        kept = coarse >= least[:, None]
        ends = []
        for first, way in ((kept.argmax(axis=1), -1), (kept.shape[1] - 1 - kept[:, ::-1].argmax(axis=1), 1)):
            at = np.clip(FINER * first[:, None] + way * np.arange(FINER + 1), 0, count - 1)
            fine = growth(at)
            # The window may end with the span, where all steps are the same one.
            pair = (fine < least[:, None]).argmax(axis=1)[:, None] - [1, 0]
            (inside, outside), (high, low) = (np.take_along_axis(each, pair, 1).T for each in (steps[at], fine))
            ends.append(inside + (high - least) / np.where(high > low, high - low, np.inf) * (outside - inside))
        none = (least <= 0.0) | (ends[1] - ends[0] > math.log10(NO_ANSWER))
        return np.where(none, np.nan, 0.5 * math.log(10.0) * (ends[0] + ends[1]))

    def _best(self, condition: Condition, capacities: FloatArray, ratio: Ratio) -> float | None:
        def growth(step: float) -> float:
            shares = self._left(condition, ratio, step)
            found = self._programs.growth(capacities * shares) if shares.any() else 0.0
            return found if found >= self._ratios.growth else 0.0

        span = self._ratios.table(condition, (ratio,)).span
        window = None if span is None else window_of(ratio, growth, span, FINE)
        return window.best if window else None

    def _left(self, condition: Condition, ratio: Ratio, step: float) -> FloatArray:
        """What a ratio, given by its decimal logarithm, leaves of each bound."""
        known = self._shares.setdefault((condition.id, ratio), {})
        shares = known.get(step)
        if shares is None:
            shares = self._formulation.shares(condition, (ratio,), 10.0**step)
            if len(known) < STEPS:
                known[step] = shares
        return shares


def won_back(unperturbed: Best, without: Best, found: Best) -> float:
    """Share of the distance of r* that is won back, see above."""
    lost = _distances(unperturbed, without)
    if not lost:
        return 0.0
    left = {r: abs(math.log(found[r] / unperturbed[r])) if r in found else lost[r] for r in sorted(lost)}
    return max(-1.0, 1.0 - sum(left.values()) / sum(lost.values()))


def _distances(unperturbed: Best, without: Best) -> dict[Ratio, float]:
    """Distance of each r* that is lost, in natural logarithms; nothing where the sum is below `SAME`."""
    counted = unperturbed.keys() & without.keys()
    lost = {ratio: abs(math.log(without[ratio] / unperturbed[ratio])) for ratio in counted}
    return {} if sum(lost.values()) < SAME else lost
