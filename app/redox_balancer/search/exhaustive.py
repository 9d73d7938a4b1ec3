"""Exhaustive search: every affordable construct of up to K placements, the exhaustive reference for small K."""

import heapq
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from math import comb

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator, Valued
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

LARGEST = 5_000_000  # number of constructs beyond which the search is refused: hours on one core


@dataclass(frozen=True, slots=True)
class ExhaustiveReference:
    """Result of an exhaustive search under one condition.

    The empty construct precedes the best ones where none has a value of 0 or more.
    """

    condition: str
    constructs: int  # number of those valued, all with at least one placement
    best: tuple[Valued, ...]  # best first
    mean: float  # of the values of all constructs; 0 if there are none
    solves: int  # linear programs solved
    seconds: float  # wall time in one process


def constructs(space: DesignSpace, placements: int) -> Iterator[Construct]:
    """Every affordable construct of 1 to `placements` placements, similar ones in a row, so that bases stay warm."""
    empty = Construct.empty(len(space.placements))
    for size in range(1, placements + 1):
        for chosen in itertools.combinations(range(len(space.placements)), size):
            for levels in itertools.product(range(len(space.levels)), repeat=size):
                construct = empty
                for placement, level in zip(chosen, levels, strict=True):
                    construct = construct.place(placement, level)
                if space.affordable(construct):
                    yield construct


def largest_count(space: DesignSpace, placements: int) -> int:
    """Upper bound of the number of constructs, regardless of the budgets."""
    return sum(comb(len(space.placements), k) * len(space.levels) ** k for k in range(1, placements + 1))


def refuse_too_many(space: DesignSpace, placements: int) -> None:
    """Raise a RedoxError if a design space has more than `LARGEST` constructs."""
    count = largest_count(space, placements)
    if count > LARGEST:
        raise RedoxError(
            f"{count:,} constructs are too many to value one by one",
            hint="choose a smaller K, or a smaller library",
            settings=("placements", "enzymes"),
        )


def search_condition(evaluator: Evaluator, condition: Condition, placements: int, keep: int) -> ExhaustiveReference:
    """Value every construct under one condition and keep the best."""
    before, started = evaluator.solves, time.perf_counter()
    values: list[float] = []

    def ranked() -> Iterator[Valued]:
        for construct in constructs(evaluator.space, placements):
            outcome = evaluator.evaluate(construct, condition)
            values.append(outcome.value)
            yield Valued(construct, outcome)

    best = heapq.nlargest(keep, ranked(), key=lambda entry: entry.outcome.value)
    if not best or best[0].outcome.value < 0:
        empty = Construct.empty(len(evaluator.space.placements))
        best = [Valued(empty, evaluator.evaluate(empty, condition)), *best][:keep]
    return ExhaustiveReference(
        condition=condition.id,
        constructs=len(values),
        best=tuple(best),
        mean=statistics.fmean(values) if values else 0.0,
        solves=evaluator.solves - before,
        seconds=time.perf_counter() - started,
    )


def exhaustive(
    space: DesignSpace,
    placements: int,
    *,
    keep: int = 10,
    processes: int = 1,
    progress: Callable[[ExhaustiveReference], None] = lambda _: None,
) -> dict[str, ExhaustiveReference]:
    """Search under each named condition.

    Parameters
    ----------
    space, placements
        The cell and what can be built into it, and K, the maximum number of placements.
    keep
        Number of the best constructs to keep for each condition.
    processes
        Number of worker processes, each with linear programs of its own; a condition is one unit of work.
    progress
        Called with the result of each condition once it is available.

    Returns
    -------
    dict
        The result of each condition by its id, in the order of the design space.

    Raises
    ------
    RedoxError
        There are more than `LARGEST` constructs.
    """
    refuse_too_many(space, placements)
    found: dict[str, ExhaustiveReference] = {}
    # Workers are spawned: a fork of a process with threads of Ray or torch can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(space.conditions)), context, _start, (space,)) as pool:
        futures = [pool.submit(_work, condition, placements, keep) for condition in space.conditions]
        for future in as_completed(futures):
            reference = future.result()
            found[reference.condition] = reference
            progress(reference)
    return {condition.id: found[condition.id] for condition in space.conditions}


_evaluators: list[Evaluator] = []


def _start(space: DesignSpace) -> None:
    # No construct recurs, so there is nothing worth remembering.
    _evaluators.append(Evaluator(space, cache_entries=0))


def _work(condition: Condition, placements: int, keep: int) -> ExhaustiveReference:
    return search_condition(_evaluators[0], condition, placements, keep)
