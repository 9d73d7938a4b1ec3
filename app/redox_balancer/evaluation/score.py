"""How good a policy is: its constructs against random ones and against the best there are, by condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator, Valued
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.design import Design, work_out
from redox_balancer.designer.model import open_model
from redox_balancer.designer.play import BATCH, play
from redox_balancer.designer.proposal import Proposal, named
from redox_balancer.impala.policy import Policy
from redox_balancer.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class ConditionScore:
    """What a policy reaches under one condition.

    Attributes
    ----------
    condition
        Its id.
    growth_without
        Growth with nothing inserted, 1/h.
    policy_mean, random_mean
        Mean value of the constructs that the policy samples, and of uniformly random legal ones.
    greedy
        The construct of the most probable actions.
    best_seen
        The best construct the policy sampled.
    """

    condition: str
    growth_without: float
    policy_mean: float
    random_mean: float
    greedy: Valued
    best_seen: Valued


def score(
    environments: RedoxEnvs,
    policy: Policy,
    *,
    episodes: int,
    seed: int,
    progress: Progress = no_progress,
) -> list[ConditionScore]:
    """Play every named condition with a policy and with random actions.

    Parameters
    ----------
    environments
        Where the policy was trained.
    policy
        The policy.
    episodes
        Episodes of each kind under each condition.
    seed
        Seed of the samples.
    progress
        Receives the id of each condition when it is done.
    """
    envs = environments.named(min(BATCH, episodes))
    evaluator = envs[0].evaluator
    generator = np.random.default_rng(seed)
    scores = []
    for condition in environments.space.conditions:
        sampled = play(envs, condition.id, policy, episodes, generator)
        random = play(envs, condition.id, None, episodes, generator)
        (greedy,) = play(envs, condition.id, policy, 1, None)
        scores.append(
            ConditionScore(
                condition=condition.id,
                growth_without=evaluator.reference(environments.space.state(condition)).growth,
                policy_mean=mean_value(sampled),
                random_mean=mean_value(random),
                greedy=greedy,
                best_seen=max(sampled, key=lambda played: played.outcome.value),
            )
        )
        progress(f"playing episodes: {condition.id}")
    evaluator.close()
    return scores


def mean_value(played: Sequence[Valued]) -> float:
    """Mean value of constructs."""
    return float(np.mean([entry.outcome.value for entry in played]))


def best_designs(
    task: Task, space: DesignSpace, scores: Sequence[ConditionScore], *, progress: Progress = no_progress
) -> list[Design]:
    """Work out the best construct that a policy showed under each condition."""
    model = open_model(task)
    designs = []
    with Evaluator(space.plain) as evaluator:
        for score in scores:
            progress(f"designs: {score.condition}")
            proposal = Proposal.valued(evaluator, best_of(score).construct, named(space, score.condition))
            with model:
                designs.append(work_out(model, proposal, linked=False)[0])
    return designs


def best_of(score: ConditionScore) -> Valued:
    """The best construct that a policy showed under a condition."""
    return max((score.greedy, score.best_seen), key=lambda played: played.outcome.value)
