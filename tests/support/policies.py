"""Policies without training."""

import numpy as np

from redox_balancer.design.env import RedoxEnvs
from redox_balancer.impala.policy import Policy, PolicyShape
from redox_balancer.impala.rollout import policy_shape


def untrained(environments: RedoxEnvs) -> Policy:
    """A policy with random parameters: almost uniform, with a well-defined most probable action."""
    (env,) = environments(1)
    env.close()
    shape = policy_shape(env, (8,))
    return Policy(shape, shape.initial(np.random.default_rng(0)))


def stubborn(environments: RedoxEnvs, placement: str, fraction: float) -> Policy:
    """A policy that places one enzyme at one proteome fraction, regardless of its observation."""
    space = environments.space
    (env,) = environments(1)
    env.close()
    shape = PolicyShape(env.observation_space.shape[0], space.actions, ())
    parameters = np.zeros(shape.size, dtype=np.float32)
    position = [each.id for each in space.placements].index(placement)
    action = position * len(space.levels) + space.levels.index(fraction)
    shape.unflatten(parameters)["policy/bias"][action] = 100.0
    return Policy(shape, parameters)
