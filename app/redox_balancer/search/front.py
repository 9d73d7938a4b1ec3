"""Pareto fronts: the constructs that no other one matches in growth, NAD(P)H taken and protein at once.

What the engine values on its way is a first front. Then every construct is gone through, those of fewer placements
first, and valued unless the gradients of all solves so far bound its growth and capacity (`screening`) by those of a
construct of the front that takes no more protein. A front that was not ended by the limit of time is complete.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator, Outcome, Reference, Valued
from redox_balancer.design.named_construct import NamedConstruct
from redox_balancer.design.space import DesignSpace
from redox_balancer.progress import Progress, no_progress
from redox_balancer.resources import one_blas_thread
from redox_balancer.search.local import engine
from redox_balancer.search.problem import GAIN, Problem, Search, require_limits
from redox_balancer.search.screening import Screen

if TYPE_CHECKING:
    import pandas as pd

CANDIDATES = 1_000  # constructs that the engine values, at most


@dataclass(frozen=True, eq=False, repr=False)
class ParetoFront:
    """The constructs under one condition that no other one matches, by protein, then by capacity.

    One construct matches another that has, within `GAIN`, no more growth and capacity, and no less protein. Of
    several that match each other one is kept; the empty construct, which takes no protein, is always one.

    Attributes
    ----------
    space
        The design space of the plain task.
    condition
        The id of the condition.
    reference
        Growth of the cell without a construct.
    points
        The constructs with their outcomes.
    complete
        Whether no affordable construct of up to K placements is missing.
    valued
        Number of constructs valued.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> front = rb.pareto_front(rb.Task(placements=1), "complex_iii_closed")
    >>> front
    ParetoFront of complex_iii_closed: 6 constructs, complete
    >>> front.to_frame()[["construct", "growth_won_back", "capacity", "protein"]].round(4).tail(3)
            construct  growth_won_back  capacity  protein
    3    AOX_m 0.01 %           0.0407    0.0000   0.0001
    4  LBNOX_c 0.03 %           0.0805    0.3011   0.0003
    5   LBNOX_c 0.1 %           0.0804    1.0037   0.0010
    """

    space: DesignSpace
    condition: str
    reference: Reference
    points: tuple[Valued, ...]
    complete: bool
    valued: int

    def __repr__(self) -> str:
        end = "complete" if self.complete else "as far as it was found"
        return f"ParetoFront of {self.condition}: {len(self.points)} constructs, {end}"

    def won_back(self, growth: float) -> float:
        """Growth, 1/h, beyond that without a construct, as share of healthy growth; negative where some is lost."""
        return (growth - self.reference.growth) / self.reference.healthy_growth

    def rows(self) -> list[dict[str, Any]]:
        """One row per construct: growth, 1/h, capacity, mmol NAD(P)H/gDW/h, and shares of growth and proteome."""
        return [
            {
                "construct": str(NamedConstruct.of(self.space, point.construct)),
                "growth": point.outcome.growth,
                "growth_won_back": self.won_back(point.outcome.growth),
                "capacity": point.outcome.capacity,
                "protein": self.space.protein(point.construct),
            }
            for point in self.points
        ]

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        return {"complete": self.complete, "valued": self.valued, "points": self.rows()}

    def to_frame(self) -> "pd.DataFrame":
        """`rows` as a table."""
        import pandas as pd  # noqa: PLC0415 - half a second

        return pd.DataFrame(self.rows())


class _Frontier:
    """A front that grows: constructs with their growth, capacity and protein, the last negative, shape (N, 3)."""

    def __init__(self) -> None:
        self.points: list[Valued] = []
        self.numbers: FloatArray = np.empty((0, 3))

    def matches(self, most: FloatArray) -> NDArray[np.bool_]:
        """Which of N constructs with at most these numbers, shape (N, 3), some construct of the front matches."""
        as_much: Any = self.numbers >= most[:, None] - GAIN
        found: NDArray[np.bool_] = as_much.all(axis=2).any(axis=1)
        return found

    def add(self, construct: Construct, outcome: Outcome, protein: float) -> None:
        """Take a construct in unless the front matches it, and drop those that it matches."""
        own = np.array([outcome.growth, outcome.capacity, -protein])
        if not self.matches(own[None])[0]:
            kept: NDArray[np.bool_] = ~np.all(own >= self.numbers - GAIN, axis=1)
            self.points = [*compress(self.points, kept), Valued(construct, outcome)]
            self.numbers = np.vstack([self.numbers[kept], own])

    def ordered(self) -> tuple[Valued, ...]:
        """The points by protein, then by capacity."""
        return tuple(self.points[index] for index in np.lexsort((self.numbers[:, 1], -self.numbers[:, 2])))


class _Recorded(Search):
    """A search whose valuations go to a front."""

    def __init__(self, problem: Problem, stop: Callable[[], bool]) -> None:
        self.front, self.known = _Frontier(), set[Construct]()
        super().__init__(problem, evaluations=CANDIDATES, stop=stop)
        self.record(problem.empty)

    def record(self, construct: Construct) -> None:
        """Value a construct for the front, once."""
        if construct not in self.known:
            self.known.add(construct)
            evaluator, (condition,) = self.problem.evaluator, self.problem.conditions
            outcome = evaluator.evaluate(construct, condition)
            self.front.add(construct, outcome, evaluator.space.protein(construct))

    def value(self, construct: Construct) -> float:
        """Value of a construct, which is recorded."""
        value = super().value(construct)
        self.record(construct)
        return value


@one_blas_thread()
def pareto_front(
    evaluator: Evaluator, condition: Condition, placements: int, *, seconds: float | None = None, seed: int = 0
) -> ParetoFront:
    """The Pareto front of growth, capacity and protein under one condition.

    `evaluator` is one of the plain task, whose outcomes have both growth and capacity (`DesignSpace.plain`).
    `placements` is K, their largest number, and `seconds` the limit of wall time; None for none, which is meant for
    small spaces. A RedoxError if the limit is not above 0, or the seed of the random starts is negative.
    """
    require_limits(seed, seconds=seconds)
    ends = None if seconds is None else time.perf_counter() + seconds

    def late() -> bool:
        return ends is not None and time.perf_counter() > ends

    search = _Recorded(Problem.under(evaluator, condition, placements), late)
    engine(search, np.random.default_rng(seed))
    complete = _complete(search, late)
    reference = evaluator.reference(condition)
    return ParetoFront(
        evaluator.space, condition.id, reference, search.front.ordered(), complete, valued=len(search.known)
    )


def pareto_fronts(
    space: DesignSpace, placements: int, *, seconds: float | None = None, progress: Progress = no_progress
) -> dict[str, ParetoFront]:
    """The Pareto front under each condition of a design space, by its id; `seconds` limits each."""
    fronts = {}
    with Evaluator(space.plain) as evaluator:
        for condition in space.conditions:
            progress(f"Pareto fronts: {condition.id}")
            fronts[condition.id] = pareto_front(evaluator, condition, placements, seconds=seconds)
    return fronts


def _complete(search: _Recorded, late: Callable[[], bool]) -> bool:
    """Go through all constructs; False where time ran out."""
    problem = search.problem
    screen, levels = Screen(problem), len(problem.evaluator.space.levels)
    parents, left = [problem.empty], problem.placements
    while parents and left:
        left -= 1
        extended: list[Construct] = []
        for parent in parents:
            if late():
                return False
            last = max((place for place, _ in parent), default=-1)
            steps, most = screen.limits(parent)
            after = steps // levels > last
            steps, most = steps[after], most[after]
            if left:
                extended += [parent.place(*divmod(step, levels)) for step in steps.tolist()]
            for index in np.flatnonzero(~search.front.matches(most)).tolist():
                # What was valued since may match this one.
                if not search.front.matches(most[index : index + 1])[0]:
                    search.record(parent.place(*divmod(int(steps[index]), levels)))
        parents = extended
    return True
