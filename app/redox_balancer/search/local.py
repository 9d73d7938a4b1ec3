"""The design engine: cutting planes and local search by single changes from several starts, then the proof.

A descent takes the best of the dozen most promising changes (`screening`), and ends where none of them is better.
What a batch of starts has led to, from the third on, is compared with all of its changes that may be better, so that
the search ends with a local optimum: no other level, swap, addition or removal of one placement is worth more. Proof
is that every construct was valued or is worth less by its bound, where there is time for that, or else by the
mixed-integer program (`oracle`), where one has the optimum.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from math import isfinite

import numpy as np

from redox_balancer.design.construct import Construct
from redox_balancer.resources import one_blas_thread
from redox_balancer.search.exhaustive import largest_count
from redox_balancer.search.heuristics import random_construct
from redox_balancer.search.milp import NoSolutionError
from redox_balancer.search.oracle import oracle
from redox_balancer.search.problem import GAIN, Search, SearchResult
from redox_balancer.search.screening import Screen

PROMISING = 12  # changes valued at once, those of the highest estimates
RESTARTS = 8  # random constructs in a batch of starts
SETTLED = 4  # batches without a better construct after which the proof begins
RESTARTED = 0.4  # share of the time left that may pass before the program, or with exhausting all
SMALL, HOUR = 1_000, 3_600.0
"""Constructs that are exhausted without a limit of time; the most time, s, that exhausting any number may take."""
PROBED = 0.1  # share of this time that passes before what is left to exhaust is estimated
PROVEN = 1e-6  # distance of a value from its bound, relative for values above 1, at which it is proven optimal
PROMISED, ROUNDS = 3, 40  # constructs valued in a round of cutting planes, and the most rounds

GREEDY, RANDOM, CUTS = "greedy search", "random constructs", "cutting planes"

Batch = tuple[str, Sequence[Construct]]
"""Constructs to start from, and where they come from; the empty construct stands for greedy search as well."""


@one_blas_thread()
def engine(search: Search, generator: np.random.Generator, drawn: Iterable[Batch] = ()) -> SearchResult:
    """Search from what is drawn, by cutting planes and greedily, prove the result, go on from random constructs.

    The search ends with the proof or at the limits of `search`. `drawn` are batches of starts, of a policy, the first
    of which goes before all others and the rest in turn with random ones. Without a limit of time only a small space
    is exhausted, and no program solved.
    """
    problem, descents, drawn = search.problem, Descents(search), iter(drawn)
    if first := next(drawn, None):
        descents.begin(first)
    descents.cut()
    descents.run([(GREEDY, [problem.empty])])

    def others() -> Iterator[Batch]:
        for batch in random_batches(search, generator):
            yield batch
            yield from (batch for batch in [next(drawn, None)] if batch)

    found, left = search.found(), search.seconds_left
    exhausted = descents.exhaust(RESTARTED)
    if not exhausted:
        if left is not None:
            descents.run(_until_settled(search, others(), left * RESTARTED))
            if problem.evaluator.space.is_provable and not search.spent():
                search.stage = "mixed-integer program"
                with suppress(NoSolutionError):
                    found = oracle(search, time_limit_s=left)
        exhausted = not proven(search.best_value, found.bound) and descents.exhaust()
    bound = search.best_value if exhausted else found.bound
    optimal = proven(search.best_value, bound)
    if not optimal:
        descents.run(others())
    return replace(
        search.found(iterations=found.iterations, bound=bound if bound is not None and isfinite(bound) else None),
        is_local_optimum=optimal or descents.confirmed == search.best,
    )


def restarts(search: Search, generator: np.random.Generator) -> None:
    """Search from random constructs alone, screened as in the engine."""
    Descents(search).run(random_batches(search, generator))


def random_batches(search: Search, generator: np.random.Generator) -> Iterator[Batch]:
    """Batches of random constructs until a limit is reached."""
    while not search.spent():
        yield RANDOM, [random_construct(search.problem, generator) for _ in range(RESTARTS)]


def _until_settled(search: Search, batches: Iterator[Batch], seconds: float) -> Iterator[Batch]:
    """Batches until the best construct has stayed the best for `SETTLED` of them, for so many seconds at most."""
    started, bests = search.clock(), [search.best]
    while search.clock() - started < seconds and bests[-SETTLED - 1 :] != [search.best] * (SETTLED + 1):
        yield from islice(batches, 1)
        bests.append(search.best)


def proven(value: float, bound: float | None) -> bool:
    """Whether an upper bound of all values proves one of them optimal."""
    return bound is not None and bound <= value + PROVEN * max(1.0, abs(value))


class Descents:
    """Descents of one search; `confirmed` is the construct that was compared with all of its changes."""

    def __init__(self, search: Search) -> None:
        self._search, self._screen = search, Screen(search.problem)
        self._seen: set[Construct] = set()
        self.confirmed: Construct | None = None

    def run(self, batches: Iterable[Batch]) -> None:
        """Descend from each start of each batch until a limit is reached, and compare the best with all changes."""
        with suppress(_LimitReached):
            for batch in batches:
                self._descend_from(*batch)
                if self._search.best != self.confirmed:
                    self.confirmed = self._descend(self._search.best, self._search.best_value, whole=True)

    def begin(self, batch: Batch) -> None:
        """Descend from each start of a batch until a limit is reached, without the comparison with all changes."""
        with suppress(_LimitReached):
            self._descend_from(*batch)

    def _descend_from(self, name: str, starts: Sequence[Construct]) -> None:
        for start in starts:
            self._search.stage = name
            grown = start if len(start) else self._descend(start, 0.0, additions=True)
            for construct in dict.fromkeys((grown, start)):
                self._search.stage = name
                value = self._value(construct)
                self._search.stage = f"local search from {name}"
                self._descend(construct, value)

    def cut(self) -> None:
        """Value what the cuts of all solves promise most, which adds cuts, until no other construct promises more.

        This is the cutting-plane method of Kelley 1960, doi:10.1137/0108053, with a beam search in place of a program
        over the cuts, so its end is no proof. Where a narrow beam finds nothing, a wide one may: two placements that
        are worth little without the third are not among the best pairs.
        """
        search, valued = self._search, set[Construct]()

        def promised_by(beam: int) -> list[Construct]:
            found = self._screen.promising(beam)
            better = (one for one, estimate in found if estimate > search.best_value + GAIN and one not in valued)
            return [*islice(better, PROMISED)]

        with suppress(_LimitReached):
            for _ in range(ROUNDS):
                search.stage, best = CUTS, search.best
                promised = next(filter(None, map(promised_by, self._screen.beams)), [])
                if not promised:
                    return
                valued.update(promised)
                for construct in promised:
                    self._value(construct)
                if search.best != best:
                    self._descend_from(CUTS, [search.best])

    def exhaust(self, share: float = 1.0) -> bool:
        """Value every construct that its bound does not rule out, the screen going by what it has one placement less.

        False, and part of the work done, where a limit is reached or it would take more than a share of the time
        left; without a limit of time, where there are more than `SMALL` constructs to go by.
        """
        search, problem = self._search, self._search.problem
        space, started, left = problem.evaluator.space, search.clock(), search.seconds_left
        count = 1 + largest_count(space, problem.placements - 1)
        if left is None and count > SMALL:
            return False
        search.stage = "exhaustive search"
        pending, done = [problem.empty], 0
        try:
            while pending and not search.spent():
                construct = pending.pop()
                last = max((place for place, _ in construct), default=-1)
                changes = self._screen.changes(construct, additions=True)
                for index in np.flatnonzero(changes.added // len(space.levels) > last).tolist():
                    extended = self._screen.changed(construct, changes, index)
                    if changes.bounds[index] > search.best_value + GAIN:
                        self._value(extended)
                    if len(extended) < problem.placements:
                        pending.append(extended)
                done += 1
                if left is not None:
                    passed, most = search.clock() - started, min(share * left, HOUR)
                    if passed > PROBED * most and passed / done * count > most:
                        return False
        except _LimitReached:
            return False
        return not pending

    def _descend(
        self, construct: Construct, value: float, *, additions: bool = False, whole: bool = False
    ) -> Construct:
        """Change a construct for the better until no promising change is, or no change at all of the `whole`.

        A descent that reaches a construct of an earlier one ends there.
        """
        while whole or additions or construct not in self._seen:
            if not additions:
                self._seen.add(construct)
            changes = self._screen.changes(construct, additions=additions)
            better = np.flatnonzero(changes.bounds > value + GAIN)
            better = better[np.argsort(-changes.estimates[better], kind="stable")]
            best, best_value = construct, value + GAIN
            for rank, index in enumerate((better if whole else better[:PROMISING]).tolist()):
                if rank % PROMISING == 0 and best is not construct:
                    break
                changed = self._screen.changed(construct, changes, index)
                reached = self._value(changed)
                if reached > best_value:
                    best, best_value = changed, reached
            if best is construct:
                break
            construct, value = best, best_value
        return construct

    def _value(self, construct: Construct) -> float:
        if self._search.spent():
            raise _LimitReached
        return self._search.value(construct)


class _LimitReached(Exception):  # noqa: N818 - no error
    """The search has reached one of its limits."""
