"""The problem that a search solves, and the record it keeps of answer and cost."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.errors import RedoxError

GAIN = 1e-9  # least gain of value that is no round-off
UNBOUNDED = 1e6  # flux or growth in place of a bound where nothing was solved, mmol/gDW/h or 1/h


def require_limits(seed: object = 0, **limits: object) -> None:
    """Raise a RedoxError unless each limit of a search is a number above 0, of constructs a whole one, or None.

    `time_limit_s` and names that end in `seconds` are wall times, all others are counts; a seed is a whole number of
    0 or more.
    """
    for name, limit in limits.items():
        of_time = name.endswith(("seconds", "time_limit_s"))
        kinds = (int, float, np.number) if of_time else (int, np.integer)
        if limit is not None and not (isinstance(limit, kinds) and limit > 0):
            what = "a number above 0" if of_time else "a whole number above 0"
            raise RedoxError(f"{name} is {limit!r}, not {what}", hint=f"give {what}", settings=(name,))
    if not (isinstance(seed, int | np.integer) and seed >= 0):
        what = "a whole number of 0 or more"
        raise RedoxError(f"seed is {seed!r}, not {what}", hint=f"give {what}", settings=("seed",))


@dataclass(frozen=True)
class Problem:
    """Find the construct of the highest value under one condition, or of the highest weighted sum under several.

    `placements` is K, the largest number of placements; `sample` is the parameter sample to value by in place of the
    mean over all.
    """

    evaluator: Evaluator
    conditions: tuple[Condition, ...]
    weights: tuple[float, ...]
    placements: int
    sample: int | None = None

    @classmethod
    def under(cls, evaluator: Evaluator, condition: Condition, placements: int, sample: int | None = None) -> Self:
        """The problem of a single condition."""
        return cls(evaluator, (condition,), (1.0,), placements, sample)

    @property
    def empty(self) -> Construct:
        """The construct without placements."""
        return Construct.empty(len(self.evaluator.space.placements))

    def value(self, construct: Construct) -> float:
        """Weighted sum of a construct's values under the conditions."""
        return sum(
            weight * self.evaluator.evaluate(construct, condition, self.sample).value
            for condition, weight in zip(self.conditions, self.weights, strict=True)
        )

    def extensions(self, construct: Construct) -> list[Construct]:
        """Every affordable construct with one placement more; none if K are placed already."""
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
    """Answer of a search and its cost: the empty construct, of value 0, where none was better."""

    construct: Construct
    value: float
    evaluations: int  # constructs valued, also those that recurred
    solves: int  # linear programs
    seconds: float  # wall time from a reset evaluator
    iterations: int = 0  # simplex iterations of the mixed-integer solver, including branch and bound
    bound: float | None = None  # proven upper bound of the value of every construct
    stage: str = ""  # of the engine that found it
    is_local_optimum: bool = False  # no change of one placement is worth more, by the engine
    paid: float = 0.0  # cost of measurements, deducted in `value`
    improvements: tuple[tuple[float, float], ...] = field(default=(), compare=False)  # time, s, and value

    def value_at(self, seconds: float) -> float:
        """Value of the answer after so much wall time: 0 as long as there is none."""
        return next((value for found, value in reversed(self.improvements) if found <= seconds), 0.0)


class Search:
    """A search in progress: values constructs, keeps the best one and records the cost.

    Searches are compared by their cost, so each starts from an evaluator that was reset. The empty construct, of
    value 0 and without cost, is the best one until a better one is found.

    Parameters
    ----------
    problem
        The problem to solve.
    evaluations, seconds
        Limits of constructs valued and of wall time; None for no limit.
    stop
        Asked before each valuation whether to stop, such as at Ctrl-C.
    clock
        Seconds that limits and costs are counted in: wall time, or processor time where others use the processor too.

    Attributes
    ----------
    best, best_value, stage
        The best construct so far and its value, and what the search is doing, which the result names for it.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        evaluations: int | None = None,
        seconds: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.problem, self.stop, self.clock = problem, stop, clock
        self.stage = self._found_in = ""
        problem.evaluator.reset()
        self._limit, self._limit_s = evaluations, seconds
        self._started = self.clock()
        self._solves_before = problem.evaluator.solves
        self._evaluations = 0
        self._improvements: list[tuple[float, float]] = []
        self.best = problem.empty
        self.best_value = problem.value(self.best)

    def spent(self) -> bool:
        """Whether a limit is reached."""
        out_of_time = self.seconds_left is not None and self.seconds_left <= 0
        return out_of_time or (self._limit is not None and self._evaluations >= self._limit) or self.stop()

    @property
    def seconds_left(self) -> float | None:
        """Wall time left; None for no limit."""
        return None if self._limit_s is None else self._started + self._limit_s - self.clock()

    def value(self, construct: Construct) -> float:
        """Value of a construct, which is kept if it is the best so far."""
        self._evaluations += 1
        value = self.problem.value(construct)
        if value > self.best_value:
            self.best, self.best_value, self._found_in = construct, value, self.stage
            self._improvements.append((self.clock() - self._started, value))
        return value

    def chosen(self, construct: Construct, paid: float = 0.0) -> SearchResult:
        """One construct as the answer, whatever it is worth: it was chosen without knowledge of the condition."""
        value = self.value(construct) - paid
        found = self.found()
        answered = ((found.seconds, value),)
        return replace(found, construct=construct, value=value, paid=paid, stage=self.stage, improvements=answered)

    def found(self, *, iterations: int = 0, bound: float | None = None) -> SearchResult:
        """The best construct and the cost so far."""
        return SearchResult(
            construct=self.best,
            value=self.best_value,
            evaluations=self._evaluations,
            solves=self.problem.evaluator.solves - self._solves_before,
            seconds=self.clock() - self._started,
            iterations=iterations,
            bound=bound,
            stage=self._found_in,
            improvements=tuple(self._improvements),
        )
