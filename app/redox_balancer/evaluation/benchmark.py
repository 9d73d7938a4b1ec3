"""Benchmark of design methods on a set of conditions: share of the best known value, and cost of the answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.evaluation.methods import ORACLE, USEFUL, Method
from redox_balancer.evaluation.statistics import bootstrap_interval
from redox_balancer.progress import Progress, no_progress
from redox_balancer.search.problem import SearchResult

if TYPE_CHECKING:
    import pandas as pd

PROVEN = 1e-6
"""An optimum is proven if its upper bound exceeds its value by at most this, in healthy respirations."""


@dataclass(frozen=True)
class Answers:
    """The answers of one method, by seed and condition."""

    method: Method
    found: Sequence[Sequence[SearchResult]]

    def of(self, attribute: str) -> FloatArray:
        """One attribute of all answers, shape (seeds, conditions)."""
        return np.asarray([[getattr(found, attribute) for found in row] for row in self.found], dtype=np.float64)


@dataclass(frozen=True)
class Benchmark:
    """Answers of several methods under the same conditions; `optima` are those of the oracle or its substitute."""

    conditions: Sequence[Condition]
    optima: Sequence[SearchResult]
    answers: Sequence[Answers]

    @property
    def best_known(self) -> FloatArray:
        """Value of the best known construct under each condition, shape (conditions,): the optimum where proven."""
        best: FloatArray = np.max([answers.of("value").max(axis=0) for answers in self.answers], axis=0)
        return best

    def subset(self, indices: Sequence[int]) -> "Benchmark":
        """The benchmark on some of the conditions, given by index."""
        return Benchmark(
            [self.conditions[index] for index in indices],
            [self.optima[index] for index in indices],
            [Answers(a.method, [[row[index] for index in indices] for row in a.found]) for a in self.answers],
        )

    @property
    def unproven(self) -> list[str]:
        """Conditions whose optimum has no proof, or a proof that some answer contradicts."""
        return [
            condition.id
            for condition, found, best in zip(self.conditions, self.optima, self.best_known, strict=True)
            if found.bound is None or found.bound - found.value > PROVEN or best - found.bound > PROVEN
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One row per method, the largest share first.

        Shares are of the best known value, `share` being their interquartile mean with its 95 % interval. Values and
        regrets are in healthy respirations; seconds, solves (linear programs) and iterations (simplex) are
        means per answer; `training_s` is the wall time spent once, before all answers, in seconds.
        """
        rows = []
        for answers in self.answers:
            values = answers.of("value")
            shares = values / self.best_known
            estimated = bootstrap_interval(shares)
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
                    **{cost: float(answers.of(cost).mean()) for cost in ("seconds", "solves", "iterations")},
                    "training_s": answers.method.training_s,
                }
            )
        return sorted(rows, key=lambda row: -row["share"])

    def to_frame(self) -> "pd.DataFrame":
        """`rows` as a table with one row per method."""
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        return pd.DataFrame(self.rows()).set_index("method")

    def summary(self, describe: Callable[[SearchResult], list[dict[str, Any]]]) -> dict[str, Any]:
        """Everything as data, ready for JSON; `describe` gives the placements of an answer as data."""
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


def run_benchmark(
    optima: Mapping[Condition, SearchResult],
    methods: Sequence[Method],
    *,
    reference: str = ORACLE,
    progress: Progress = no_progress,
) -> Benchmark:
    """Run every method under every condition, with each of its seeds.

    Conditions under which no method finds a useful construct do not count. `optima` are the answers of the oracle
    under each condition; it takes part as a method by the name `reference`.
    """
    answers = [Answers(Method(reference, lambda condition, _: optima[condition]), [list(optima.values())])]
    for method in methods:
        progress(method.name)
        answers.append(Answers(method, [[method.answer(c, seed) for c in optima] for seed in range(method.seeds)]))
    benchmark = Benchmark(list(optima), list(optima.values()), answers)
    return benchmark.subset(np.flatnonzero(benchmark.best_known > USEFUL).tolist())
