"""Methods side by side on conditions: what each reaches of the optimum, and what its answers cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from redox_balancer.cell.media import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.evaluation.methods import NOTHING_HELPS, ORACLE, Method
from redox_balancer.evaluation.statistics import Interval, interval
from redox_balancer.progress import Progress, no_progress
from redox_balancer.search.problem import SearchResult

PROVEN = 1e-6
"""An optimum whose bound is this close is proven."""


@dataclass(frozen=True)
class Answers:
    """The answers of one method.

    Attributes
    ----------
    method
        Who answered.
    found
        By seed and condition.
    """

    method: Method
    found: Sequence[Sequence[SearchResult]]

    def of(self, what: str) -> FloatArray:
        """One field of all answers, shape (seeds, conditions)."""
        return np.asarray([[getattr(found, what) for found in row] for row in self.found], dtype=np.float64)


@dataclass(frozen=True)
class Benchmark:
    """Answers of several methods to the same conditions.

    Attributes
    ----------
    conditions
        What was asked about.
    optima
        The answer to each of the oracle, or of what stands in for it.
    answers
        Those of each method.
    """

    conditions: Sequence[Condition]
    optima: Sequence[SearchResult]
    answers: Sequence[Answers]

    @property
    def best_known(self) -> FloatArray:
        """Value of the best construct known for each condition, shape (conditions,): the optimum where proven."""
        best: FloatArray = np.max([answers.of("value").max(axis=0) for answers in self.answers], axis=0)
        return best

    def of_places(self, places: Sequence[int]) -> Benchmark:
        """The benchmark of some of the conditions, by their place."""
        return Benchmark(
            [self.conditions[place] for place in places],
            [self.optima[place] for place in places],
            [Answers(a.method, [[row[place] for place in places] for row in a.found]) for a in self.answers],
        )

    @property
    def unproven(self) -> list[str]:
        """Conditions whose optimum has no proof, or one that some answer contradicts."""
        return [
            condition.id
            for condition, found, best in zip(self.conditions, self.optima, self.best_known, strict=True)
            if found.bound is None or found.bound - found.value > PROVEN or best - found.bound > PROVEN
        ]

    def shares(self, answers: Answers) -> FloatArray:
        """Value of each answer over the best known, shape (seeds, conditions)."""
        shares: FloatArray = answers.of("value") / self.best_known
        return shares

    def interval(self, answers: Answers) -> Interval:
        """Interquartile mean of a method's shares with its 95 % interval."""
        return interval(self.shares(answers))

    def rows(self) -> list[dict[str, Any]]:
        """One row for each method, best first, as data."""
        rows = []
        for answers in self.answers:
            shares, values = self.shares(answers), answers.of("value")
            estimated = self.interval(answers)
            rows.append(
                {
                    "method": answers.method.name,
                    "seeds": answers.method.seeds,
                    "share": estimated.middle,
                    "share_low": estimated.low,
                    "share_high": estimated.high,
                    "mean_share": float(shares.mean()),
                    "smallest_share": float(shares.min()),
                    "mean_value": float(values.mean()),
                    "mean_regret": float((self.best_known - values).mean()),
                    "seconds": float(answers.of("seconds").mean()),
                    "solves": float(answers.of("solves").mean()),
                    "iterations": float(answers.of("iterations").mean()),
                    "training_s": answers.method.training_s,
                }
            )
        return sorted(rows, key=lambda row: -row["share"])

    def summary(self, describe: Callable[[SearchResult], list[dict[str, Any]]]) -> dict[str, Any]:
        """Everything as data, ready for JSON; `describe` tells a construct."""
        return {
            "methods": self.rows(),
            "unproven": self.unproven,
            "conditions": [
                {
                    "condition": condition.id,
                    "best_known": float(best),
                    "bound": optimum.bound,
                    "construct": describe(optimum),
                    "values": {a.method.name: a.of("value")[:, column].tolist() for a in self.answers},
                    "seconds": {a.method.name: a.of("seconds")[:, column].tolist() for a in self.answers},
                }
                for column, (condition, optimum, best) in enumerate(
                    zip(self.conditions, self.optima, self.best_known, strict=True)
                )
            ],
        }


def compare(
    optima: Mapping[Condition, SearchResult],
    methods: Sequence[Method],
    *,
    reference: str = ORACLE,
    progress: Progress = no_progress,
) -> Benchmark:
    """Ask every method about every condition, with every seed that gives it an answer of its own.

    Conditions for which nobody finds a construct that is worth anything do not count.

    Parameters
    ----------
    optima
        What to ask about, and the oracle's answer, which takes part as a method.
    reference
        What the oracle is called.
    methods
        Who is asked.
    progress
        Receives the name of each method as it starts.
    """
    answers = [Answers(Method(reference, lambda condition, _: optima[condition]), [list(optima.values())])]
    for method in methods:
        progress(method.name)
        answers.append(Answers(method, [[method.answer(c, seed) for c in optima] for seed in range(method.seeds)]))
    asked = Benchmark(list(optima), list(optima.values()), answers)
    return asked.of_places(np.flatnonzero(asked.best_known > NOTHING_HELPS).tolist())
