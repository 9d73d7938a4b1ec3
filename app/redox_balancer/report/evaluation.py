"""How good a policy is: its constructs against random ones and against the best there are, by condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.value import Valued
from redox_balancer.learning.policy import Policy

BATCH = 50
"""Episodes played side by side, so that the policy answers for all of them at once."""


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
    progress: Callable[[str], None] = lambda _: None,
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
        Called with the id of each condition when it is done.
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
        progress(condition.id)
    evaluator.close()
    return scores


def mean_value(played: Sequence[Valued]) -> float:
    """Mean value of constructs."""
    return float(np.mean([entry.outcome.value for entry in played]))


def play(
    envs: Sequence[RedoxEnv],
    condition: str,
    policy: Policy | None,
    episodes: int,
    generator: np.random.Generator | None,
) -> list[Valued]:
    """Play episodes under one named condition, side by side.

    Parameters
    ----------
    envs
        Environments to play in.
    condition
        Id of the condition.
    policy
        Who acts; None acts at random among the legal actions, which needs a generator.
    episodes
        How many.
    generator
        Draws the actions; None takes the policy's most probable ones.
    """
    finished: list[Valued] = []
    while len(finished) < episodes:
        running = list(envs[: episodes - len(finished)])
        seen = [env.reset(options={"condition": condition}) for env in running]
        while running:
            masks = np.stack([info["action_mask"] for _, info in seen])
            if policy is not None:
                actions = policy.act(np.stack([observation for observation, _ in seen]), masks, generator)
            else:
                actions = uniform_actions(masks, generator or np.random.default_rng())
            still, seen_next = [], []
            for env, action in zip(running, actions, strict=True):
                observation, _, terminated, _, info = env.step(int(action))
                if terminated:
                    finished.append(Valued(env.construct, env.evaluator.evaluate(env.construct, env.state)))
                else:
                    still.append(env)
                    seen_next.append((observation, info))
            running, seen = still, seen_next
    return finished


def uniform_actions(masks: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.int64]:
    """One legal action for each row of `masks`, shape (N, A), all equally likely; shape (N,)."""
    actions: NDArray[np.int64] = np.argmax(generator.random(masks.shape) * masks, axis=1)
    return actions
