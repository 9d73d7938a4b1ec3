"""What changes while environments build their constructs: an array each, so that all rows are updated at once."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray
from redox_balancer.design.space import DesignSpace


class Building:
    """Constructs that N environments build, protein that they spent, legal actions, and first part of observations.

    `placed` is the level of each placement, 0 where there is none, shape (N, P). `observed` are the entries of the
    observations without candidates, shape (N, D); the budgets left follow the entry `left_at`. `masks` tell whether
    each action stays within the protein budgets, shape (N, actions); stopping always does.
    """

    def __init__(self, space: DesignSpace, count: int, size: int, left_at: int) -> None:
        self._space, self._size, self.left_at = space, size, left_at
        self._levels = np.asarray(space.levels)
        # Of each placement: the budget that it draws on, soluble or membrane.
        self._budget_index = np.asarray(space.in_membrane, dtype=np.intp)
        self._budgets = np.asarray([space.budget, space.membrane_budget])
        self._allowances = self._budgets[self._budget_index, None] * (1 + 1e-9)
        self._fractions = np.asarray([0.0, *space.levels])
        self.placed = np.zeros((count, len(space.placements)), dtype=np.intp)
        self._spent = np.zeros((count, 2))
        self.observed = np.zeros((count, size), dtype=np.float32)
        self._budgets_left = self.observed[:, left_at + 1 : left_at + 3]
        self.masks = np.ones((count, space.actions), dtype=np.bool_)

    def of(self, count: int) -> Self:
        """The same for another number of environments."""
        return type(self)(self._space, count, self._size, self.left_at)

    def begin(self, row: Any) -> None:
        """Start with nothing placed and an empty observation; `row` may be several, here and below."""
        self.placed[row] = 0
        self._spent[row] = 0.0
        self.observed[row] = 0.0

    def place(self, row: Any, placement: Any, level: Any) -> None:
        """Set a placement to the level of that index; an earlier level is replaced."""
        replaced = self._fractions[self.placed[row, placement]]
        self.placed[row, placement] = level + 1
        self._spent[row, self._budget_index[placement]] += self._levels[level] - replaced

    def protein(self, rows: NDArray[np.intp]) -> FloatArray:
        """Proteome fraction of the constructs, added up in the order of the placements as for a single one."""
        total: FloatArray = np.add.accumulate(self._fractions.take(self.placed[rows]), axis=1)[:, -1]
        return total

    def update(self) -> None:
        """Bring the masks and the budgets left in all rows up to date."""
        without = self._spent.take(self._budget_index, axis=1) - self._fractions.take(self.placed)
        fits = without[:, :, None] + self._levels <= self._allowances
        self.masks[:, :-1] = fits.reshape(len(fits), -1)
        self._budgets_left[:] = 1.0 - self._spent / self._budgets
