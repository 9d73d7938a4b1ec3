"""The lowest of many cuts of a linear program at each of many placements, without a look at all of them."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray

TOGETHER = 8
"""Cuts that are looked at together."""


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
