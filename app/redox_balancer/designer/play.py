"""Playing episodes with a policy, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from redox_balancer.design.env import RedoxEnv
from redox_balancer.design.evaluator import Valued
from redox_balancer.impala.policy import Policy

BATCH = 50
"""Episodes played side by side, so that the policy answers for all of them at once."""


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
