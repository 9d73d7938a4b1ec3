"""Search under a condition that is not told: place, measure, conclude, place again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redox_balancer.cell.media import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.search.problem import Problem, Search, SearchResult

SHARPNESS = 0.02
"""Difference of growth or capacity, relative to the healthy cell's, at which a state loses 40 % of its weight."""
CONSIDERED = 16
"""States, the likeliest ones, that a placement is chosen for once something was measured."""


@dataclass(frozen=True)
class Belief:
    """What the condition may be: states, each as likely as the others before anything is measured."""

    evaluator: Evaluator
    conditions: Sequence[Condition]
    placements: int

    def search(self, search: Search, hidden: Condition) -> SearchResult:
        """Add the placement that raises the expected value most, until none does; measure after each.

        Parameters
        ----------
        search
            Keeps the account; its problem values the answer under the true state.
        hidden
            The true state, of which only the growth and the capacity of what is built are looked at.
        """
        construct = search.problem.empty
        doubts = np.zeros(len(self.conditions))
        while True:
            extended = self._best_extension(construct, doubts)
            if extended is None:
                return search.proposed([construct])
            construct = extended
            seen = self._measured(construct, hidden)
            told = np.asarray([self._measured(construct, condition) for condition in self.conditions])
            doubts += np.sum(((told - seen) / SHARPNESS) ** 2, axis=1)

    def _best_extension(self, construct: Construct, doubts: FloatArray) -> Construct | None:
        """The placement with the highest expected value; None where none is better than what is there."""
        likely = np.arange(doubts.size) if not doubts.any() else np.argsort(doubts, kind="stable")[:CONSIDERED]
        weights = np.exp(-0.5 * (doubts[likely] - doubts[likely].min()))
        problem = Problem(
            self.evaluator,
            tuple(self.conditions[place] for place in likely.tolist()),
            tuple((weights / weights.sum()).tolist()),
            self.placements,
        )
        best, best_value = None, problem.value(construct)
        for extended in problem.extensions(construct):
            value = problem.value(extended)
            if value > best_value:
                best, best_value = extended, value
        return best

    def _measured(self, construct: Construct, condition: Condition) -> tuple[float, float]:
        evaluator = self.evaluator
        outcome = evaluator.outcome(construct, condition)
        return (
            outcome.growth / evaluator.healthy_growth,
            outcome.capacity / (2.0 * evaluator.space.oxygen_uptake),
        )
