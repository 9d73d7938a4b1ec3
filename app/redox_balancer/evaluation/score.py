"""Score of a policy under each named condition, against random constructs and the best of all constructs."""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator, Valued
from redox_balancer.design.named_construct import NamedConstruct
from redox_balancer.design.space import DesignSpace
from redox_balancer.designer.play import BATCH, candidates, most_valuable, play_episodes
from redox_balancer.designer.proposal import Proposal, find_condition
from redox_balancer.impala.policy import Policy
from redox_balancer.progress import Progress, no_progress
from redox_balancer.search.exhaustive import ExhaustiveReference, constructs, largest_count

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class ConditionScore:
    """Score of a policy under one condition; values in healthy respirations, answers chosen among `candidates`."""

    condition: str
    growth_without: float  # 1/h, without a construct
    policy_mean: float  # value of the constructs sampled from the policy
    random_mean: float  # value of constructs of uniformly random legal actions
    greedy: Valued  # answer without samples: the construct of the most probable actions, or the empty one
    best: Valued  # answer with the sampled constructs; the same under a hidden condition


@dataclass(frozen=True)
class PolicyScore:
    """Score of a policy under each named condition of its design space, each mean over so many episodes.

    `references` are exhaustive references by condition id; empty where no exhaustive search was made.
    """

    space: DesignSpace
    conditions: Sequence[ConditionScore]
    episodes: int
    references: Mapping[str, ExhaustiveReference] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """One row per condition; `share` is the policy's mean over the best value, None where there is no best."""
        rows = []
        for score in self.conditions:
            best = self._best_of_all(score)
            rows.append(
                {
                    "condition": score.condition,
                    "growth_without": score.growth_without,
                    "random_mean": score.random_mean,
                    "policy_mean": score.policy_mean,
                    "policy_greedy": score.greedy.outcome.value,
                    "best": best.outcome.value if best else None,
                    "share": score.policy_mean / best.outcome.value if best and best.outcome.value > 0 else None,
                    "construct": self.space.describe(score.best.construct),
                    "construct_value": score.best.outcome.value,
                    "construct_growth": score.best.outcome.growth,
                    "construct_capacity": score.best.outcome.capacity,
                    "best_construct": self.space.describe(best.construct) if best else None,
                }
            )
        return rows

    def _best_of_all(self, score: ConditionScore) -> Valued | None:
        reference = self.references.get(score.condition)
        return reference.best[0] if reference else None

    def proposals(self) -> Iterator[Proposal]:
        """The best construct of the policy under each condition, its parts evaluated by the plain task."""
        with Evaluator(self.space.plain) as evaluator:
            for score in self.conditions:
                condition, best = find_condition(self.space, score.condition), score.best
                yield Proposal.valued(evaluator, best.construct, condition, task_value=best.outcome.value)

    def summary(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        rows = self.rows()
        shares = [row["share"] for row in rows if row["share"] is not None]
        bests = [row["best"] for row in rows if row["best"] is not None]
        return {
            "episodes": self.episodes,
            "policy_mean": _mean([row["policy_mean"] for row in rows]),
            "random_mean": _mean([row["random_mean"] for row in rows]),
            "best_mean": _mean(bests) if bests else None,
            "policy_share_of_best": _mean(shares) if shares else None,
            "smallest_share_of_best": min(shares) if shares else None,
            "conditions": rows,
        }

    def to_frame(self) -> "pd.DataFrame":
        """`rows` as a table with one row per condition and constructs as text."""
        import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

        rows = self.rows()
        for row, score in zip(rows, self.conditions, strict=True):
            best = self._best_of_all(score)
            row["construct"] = str(NamedConstruct.of(self.space, score.best.construct))
            row["best_construct"] = str(NamedConstruct.of(self.space, best.construct)) if best else None
        return pd.DataFrame(rows).set_index("condition")


def score_policy(
    environments: RedoxEnvs, policy: Policy, *, episodes: int, seed: int, progress: Progress = no_progress
) -> PolicyScore:
    """Play every named condition, with a policy in the environments that it was trained in and with random actions.

    There are `episodes` of each kind under each condition; `seed` is that of the sampled actions.
    """
    envs = environments.named(min(BATCH, episodes))
    evaluator = envs[0].evaluator
    generator = np.random.default_rng(seed)
    scores = []
    for condition in environments.space.conditions:
        sampled = play_episodes(envs, condition.id, policy, episodes, generator)
        random = play_episodes(envs, condition.id, None, episodes, generator)
        scores.append(
            ConditionScore(
                condition=condition.id,
                growth_without=evaluator.reference(condition).growth,
                policy_mean=_mean([played.outcome.value for played in sampled]),
                random_mean=_mean([played.outcome.value for played in random]),
                greedy=most_valuable(candidates(envs, condition.id, policy)),
                best=most_valuable(candidates(envs, condition.id, policy, sampled)),
            )
        )
        progress(f"playing episodes: {condition.id}")
    evaluator.close()
    return PolicyScore(environments.space, scores, episodes)


def estimated_search_s(space: DesignSpace, placements: int) -> float:
    """Estimated time of an exhaustive search under all conditions on one core, in seconds, from a few constructs."""
    with Evaluator(space, cache_entries=0) as evaluator:
        condition = space.conditions[0]
        evaluator.reference(condition)
        started = time.perf_counter()
        timed = list(itertools.islice(constructs(space, placements), 30))
        if not timed:
            return 0.0
        for construct in timed:
            evaluator.evaluate(construct, condition)
        each = (time.perf_counter() - started) / len(timed)
    return each * largest_count(space, placements) * len(space.conditions)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
