"""What a search is asked for, and the account it keeps while it looks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from redox_balancer.cell.media import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator


@dataclass(frozen=True)
class Problem:
    """Find the construct of the highest value under one state, or of the highest weighted sum under several.

    Attributes
    ----------
    evaluator
        Values constructs; its space says what may be built.
    conditions, weights
        The conditions and the weight of the value under each.
    placements
        K, the number of placements at most.
    """

    evaluator: Evaluator
    conditions: tuple[Condition, ...]
    weights: tuple[float, ...]
    placements: int

    @classmethod
    def under(cls, evaluator: Evaluator, condition: Condition, placements: int) -> Self:
        """The problem of one named condition."""
        return cls(evaluator, (condition,), (1.0,), placements)

    @property
    def empty(self) -> Construct:
        """The construct with nothing placed."""
        return Construct.empty(len(self.evaluator.space.placements))

    def value(self, construct: Construct) -> float:
        """Value of a construct, summed over the states by their weights."""
        return sum(
            weight * self.evaluator.evaluate(construct, condition).value
            for condition, weight in zip(self.conditions, self.weights, strict=True)
        )

    def extensions(self, construct: Construct) -> list[Construct]:
        """Every construct within the budget that has one placement more; none when K are placed."""
        if len(construct) >= self.placements:
            return []
        space = self.evaluator.space
        found = []
        for placement, level_now in enumerate(construct.levels):
            if not level_now:
                for level in sorted(range(len(space.levels)), key=space.levels.__getitem__):
                    extended = construct.place(placement, level)
                    if not space.affordable(extended):
                        break
                    found.append(extended)
        return found


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found and what the answer cost.

    Attributes
    ----------
    construct, value
        The best construct seen and what it is worth.
    evaluations
        Constructs valued, those that came again included.
    solves
        Linear programs solved by GLPK.
    iterations
        Simplex iterations of the mixed-integer solver, its branch and bound included; 0 for other searches.
    seconds
        Wall time, from a solver that knows nothing to the answer.
    bound
        Proven upper bound of the value of every construct; None where nothing is proven.
    """

    construct: Construct
    value: float
    evaluations: int
    solves: int
    seconds: float
    iterations: int = 0
    bound: float | None = None


class Search:
    """One search at work: values constructs, keeps the best and counts what it cost.

    Searches are compared by their cost, so each begins with an evaluator that has forgotten what others asked.
    The empty construct, which costs nothing and is worth nothing, is the best until a better one is seen.

    Parameters
    ----------
    problem
        What to look for.
    evaluations, seconds
        When to stop: constructs valued and wall time; no limit where None.
    """

    def __init__(self, problem: Problem, *, evaluations: int | None = None, seconds: float | None = None) -> None:
        self.problem = problem
        problem.evaluator.reset()
        self._limit, self._limit_s = evaluations, seconds
        self._started = time.perf_counter()
        self._solves_before = problem.evaluator.solves
        self._evaluations = 0
        self._best = problem.empty
        self._best_value = problem.value(self._best)

    def spent(self) -> bool:
        """Whether the search has used up what it may."""
        return (self._limit is not None and self._evaluations >= self._limit) or (
            self._limit_s is not None and time.perf_counter() - self._started >= self._limit_s
        )

    def value(self, construct: Construct) -> float:
        """Value of a construct, which is kept if it is the best so far."""
        self._evaluations += 1
        value = self.problem.value(construct)
        if value > self._best_value:
            self._best, self._best_value = construct, value
        return value

    def proposed(self, constructs: Iterable[Construct]) -> SearchResult:
        """The best of constructs that somebody proposes, even where nothing at all would be better."""
        self._best_value = -math.inf
        for construct in constructs:
            self.value(construct)
        return self.found()

    def found(self, *, iterations: int = 0, bound: float | None = None) -> SearchResult:
        """The best construct and the account up to now."""
        return SearchResult(
            construct=self._best,
            value=self._best_value,
            evaluations=self._evaluations,
            solves=self.problem.evaluator.solves - self._solves_before,
            seconds=time.perf_counter() - self._started,
            iterations=iterations,
            bound=bound,
        )
