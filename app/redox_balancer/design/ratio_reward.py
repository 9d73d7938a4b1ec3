"""The reward `ratio`: how far a construct brings r* of cytosol and matrix back to that of the unperturbed cell.

    won = 1 - sum |ln r*(construct) - ln r*(unperturbed)| / sum |ln r*(condition) - ln r*(unperturbed)|, at least -1

r* is the geometric mean of the window of [NAD+]/[NADH] in which growth stays within 5 % of the largest at two steps
per decade, see docs/ratio.md. Both sums are over the compartments in which the unperturbed cell and the condition
have an r*; one that the construct leaves without counts as not brought back. Nothing is to be won where the condition
has none, or the sum of its distances is below `SAME`.
"""

import math
from collections.abc import Mapping

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cell.ratio_window import FINE, window_of
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.held_ratios import HeldRatios
from redox_balancer.design.programs import ValuePrograms

SAME = math.log(1.1)
"""Distance, a factor of 1.1, from which r* of a condition counts as changed."""
STEPS = 2_000
"""Ratios of a condition whose shares are remembered."""

Best = Mapping[Ratio, float]
"""r* of each ratio that has one."""


class RatioReward:
    """r* of cells, and what it is worth."""

    def __init__(self, ratios: HeldRatios, formulation: Formulation, programs: ValuePrograms) -> None:
        self._ratios, self._formulation, self._programs = ratios, formulation, programs
        self._shares: dict[tuple[str, Ratio], dict[float, FloatArray]] = {}

    def best(self, condition: Condition, capacities: FloatArray) -> Best:
        """r* of a cell, given by its bounds before a ratio takes its share."""
        return {ratio: best for ratio in self._ratios.sought if (best := self._best(condition, capacities, ratio))}

    def _best(self, condition: Condition, capacities: FloatArray, ratio: Ratio) -> float | None:
        span = self._ratios.table(condition, (ratio,)).span
        known = self._shares.setdefault((condition.id, ratio), {})

        def growth(step: float) -> float:
            shares = known.get(step)
            if shares is None:
                shares = self._formulation.shares(condition, (ratio,), 10.0**step)
                if len(known) < STEPS:
                    known[step] = shares
            found = self._programs.growth(capacities * shares) if shares.any() else 0.0
            return found if found >= self._ratios.growth else 0.0

        window = None if span is None else window_of(ratio, growth, span, FINE)
        return window.best if window else None


def won_back(unperturbed: Best, without: Best, found: Best) -> float:
    """Share of the distance of r* that is won back, see above."""
    counted = unperturbed.keys() & without.keys()
    lost = {ratio: abs(math.log(without[ratio] / unperturbed[ratio])) for ratio in counted}
    if sum(lost.values()) < SAME:
        return 0.0
    left = {r: abs(math.log(found[r] / unperturbed[r])) if r in found else lost[r] for r in sorted(counted)}
    return max(-1.0, 1.0 - sum(left.values()) / sum(lost.values()))
