"""Answers of several methods under the same conditions: shares of the best known value by time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.space import DesignSpace
from redox_balancer.evaluation.methods import SEARCHES, TRAINED
from redox_balancer.evaluation.statistics import bootstrap_interval
from redox_balancer.search.local import PROVEN, proven
from redox_balancer.search.problem import SearchResult

SHARES = (0.9, 0.95, 0.99)  # mean shares of the best known value whose cost is reported

Described = list[dict[str, Any]]


class ProvenBest(NamedTuple):
    """A proven optimum: its value, in healthy respirations, and the placements of its construct as data."""

    value: float
    construct: Described


def state_of(condition: Condition) -> list[Any]:
    """What the value of a construct depends on under a condition, as data.

    The state that growth refers to, the bounds that change (reaction, side, value in mmol/gDW/h, whether it opens),
    and the ratios that are held.
    """
    changed = [[change.reaction, change.side.value, change.value, change.opens] for change in condition.changes]
    return [condition.reference, changed, *getattr(condition, "ratios", ())]


def steps(last: float) -> list[float]:
    """Times from a fiftieth of the last one: 1, 2 and 5 times each power of ten, and the last."""
    power = math.floor(math.log10(last))
    times = (step * 10.0**each for each in range(power - 2, power + 1) for step in (1, 2, 5))
    return [time for time in times if last / 50 <= time * (1 + 1e-9) and time < last] + [last]


def break_even(training_s: float, trained_s: float, search_s: float) -> int | None:
    """The least number N of answers with training_s + N trained_s <= N search_s; None if there is none."""
    if search_s <= trained_s:
        return None
    return max(1, math.ceil(training_s / (search_s - trained_s)))


@dataclass(frozen=True)
class Benchmark:
    """Answers of several methods under the same conditions."""

    conditions: Sequence[Condition]
    optima: Sequence[ProvenBest | None]  # None where none is proven
    found: Mapping[str, Sequence[Sequence[SearchResult]]]  # the answers of each method, by seed and condition
    seconds: float  # time at which the methods are compared; infinite for the time that each takes
    times: Sequence[float]  # of the curves, ascending, s; the searches went on until the last
    training_s: float  # wall time of the training, mean of the runs

    @property
    def best_known(self) -> FloatArray:
        """Value of the best known construct under each condition, shape (conditions,): the optimum where proven."""
        optima = [optimum.value if optimum else -np.inf for optimum in self.optima]
        answered = [[found.value for found in row] for rows in self.found.values() for row in rows]
        best: FloatArray = np.max([optima, *answered], axis=0)
        return best

    @property
    def unproven(self) -> list[str]:
        """Conditions whose optimum has no proof, or a proof that some answer contradicts."""
        return [
            condition.id
            for condition, optimum, best in zip(self.conditions, self.optima, self.best_known, strict=True)
            if optimum is None or not proven(optimum.value, best)
        ]

    def shares(self, name: str, seconds: float) -> FloatArray:
        """Shares of the best known value that a method has reached, shape (seeds, conditions)."""
        values = [[found.value_at(seconds) for found in row] for row in self.found[name]]
        shares: FloatArray = np.asarray(values) / self.best_known
        return shares

    def seconds_to(self, name: str, share: float) -> float:
        """Time from which on the mean share of a method is at least so much; infinite if it never is."""
        steps = []
        for row in self.found[name]:
            for found, best in zip(row, self.best_known, strict=True):
                reached = 0.0
                for seconds, value in found.improvements:
                    steps.append((seconds, (value - reached) / best))
                    reached = value
        gains = np.asarray(sorted(steps)).reshape(-1, 2)
        means = np.cumsum(gains[:, 1]) / (len(self.found[name]) * len(self.conditions))
        below = np.flatnonzero(means < share - PROVEN)
        first = int(below[-1]) + 1 if below.size else 0
        return float(gains[first, 0]) if first < len(gains) else math.inf

    def rows(self) -> list[dict[str, Any]]:
        """One row per method, the largest mean share first.

        Shares are those reached at `seconds`: `share` is their interquartile mean, `mean_share` their mean, each with
        its 95 % interval. `seconds` is the mean time of an answer, and `seconds_to` that until the mean share is
        one of `SHARES`.
        """
        rows = []
        for name, found in self.found.items():
            shares = self.shares(name, self.seconds)
            middle, mean = bootstrap_interval(shares), bootstrap_interval(shares, np.mean)
            rows.append(
                {
                    "method": name,
                    "seeds": len(found),
                    **dict(zip(("share", "share_low", "share_high"), middle, strict=True)),
                    **dict(zip(("mean_share", "mean_low", "mean_high"), mean, strict=True)),
                    "smallest_share": float(shares.min()),
                    "seconds": float(np.mean([[one.seconds for one in row] for row in found])),
                    "seconds_to": {f"{share:g}": _finite(self.seconds_to(name, share)) for share in SHARES},
                }
            )
        return sorted(rows, key=lambda row: -row["mean_share"])

    def crossings(self) -> list[dict[str, Any]]:
        """For each trained method, search and one of `SHARES`, the number of answers that pay for the training.

        `queries` is None where the search is as fast, or the trained method does not reach the share. Where the
        search does not reach it in the last of `times`, the number is that of one that does, `at_most` so many.
        """
        rows = []
        for trained in (name for name in TRAINED if name in self.found):
            for search in (name for name in SEARCHES if name in self.found):
                for share in SHARES:
                    own, others = self.seconds_to(trained, share), self.seconds_to(search, share)
                    queries = (
                        break_even(self.training_s, own, min(others, self.times[-1])) if own < math.inf else None
                    )
                    rows.append(
                        {
                            "trained": trained,
                            "search": search,
                            "share": share,
                            "queries": queries,
                            "at_most": queries is not None and others == math.inf,
                        }
                    )
        return rows

    def summary(self, space: DesignSpace) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        curves = {
            name: [bootstrap_interval(self.shares(name, time), np.mean) for time in self.times] for name in self.found
        }
        return {
            "seconds": _finite(self.seconds),
            "methods": self.rows(),
            "unproven": self.unproven,
            "times": self.times,
            "curves": curves,
            "crossings": self.crossings(),
            "conditions": [self._of_condition(column, space) for column in range(len(self.conditions))],
        }

    def _of_condition(self, column: int, space: DesignSpace) -> dict[str, Any]:
        condition, optimum = self.conditions[column], self.optima[column]
        found = {name: [row[column] for row in rows] for name, rows in self.found.items()}
        best = max((answer for answers in found.values() for answer in answers), key=lambda answer: answer.value)
        return {
            "condition": condition.id,
            "state": state_of(condition),
            "best_known": float(self.best_known[column]),
            "construct": optimum.construct if optimum else space.describe(best.construct),
            "values": {
                name: [[round(answer.value_at(time), 9) for time in self.times] for answer in answers]
                for name, answers in found.items()
            },
        }


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def proven_best(found: SearchResult, construct: Described) -> ProvenBest | None:
    """The optimum that an answer of the oracle is; None without its proof."""
    return ProvenBest(found.value, construct) if proven(found.value, found.bound) else None
