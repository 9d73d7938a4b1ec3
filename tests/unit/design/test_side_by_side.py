"""Environments that are stepped at once play what each of them plays by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.settings import Reward, Sampling
from redox_balancer.design.task import Task
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.rollout import Rollout, RolloutCollector

ROLLOUTS = 6


@dataclass(frozen=True)
class OneByOne(RedoxEnvs):
    """The same environments, stepped one by one."""

    def at_once(self, environments: Sequence[RedoxEnv]) -> None:
        """Step none of them at once."""


def played(factory: RedoxEnvs, count: int = 16) -> list[Rollout]:
    collector = RolloutCollector(factory, **{**TrainConfig(seed=5).collector, "count": count})
    collector.set_weights(collector.shape.initial(np.random.default_rng(5)), 0)
    rollouts = [collector.collect() for _ in range(ROLLOUTS)]
    collector.close()
    return rollouts


def both(**settings: Any) -> tuple[list[Rollout], list[Rollout]]:
    factory = Task(observation="flat", **settings).environments()
    return played(factory), played(OneByOne(**vars(factory)))


@pytest.mark.parametrize(
    ("reward", "sampling", "placements"),
    [("capacity", "named", 2), ("capacity", "box", 3), ("guaranteed", "range", 3), ("rescue", "mixed", 4)],
)
def test_episodes_are_those_of_single_environments(reward: Reward, sampling: Sampling, placements: int) -> None:
    at_once, one_by_one = both(reward=reward, sampling=sampling, placements=placements)

    for ours, theirs in zip(at_once, one_by_one, strict=True):
        for name in ("masks", "actions", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        for name in ("observations", "rewards", "log_probs"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ours.episodes.returns, theirs.episodes.returns, rtol=1e-9, atol=1e-10)
        np.testing.assert_array_equal(ours.episodes.keys, theirs.episodes.keys)
        for name in ("value", "growth", "capacity"):
            np.testing.assert_allclose(
                ours.episodes.metrics[name], theirs.episodes.metrics[name], rtol=1e-9, atol=1e-10
            )


def test_a_rollout_depends_on_its_settings_alone() -> None:
    factory = Task(observation="flat").environments()
    for ours, again in zip(played(factory, 3), played(factory, 3), strict=True):
        np.testing.assert_array_equal(ours.observations, again.observations)
        np.testing.assert_array_equal(ours.rewards, again.rewards)


@pytest.mark.parametrize(
    "settings",
    [
        {"observation": "candidates"},
        {"observation": "flat", "hidden_condition": True},
        {"observation": "flat", "parameter_samples": 4},
        {"observation": "flat", "held_ratios": ("c",)},
        {"observation": "flat", "reward": "sink-flux"},
    ],
)
def test_the_others_are_stepped_one_by_one(settings: dict[str, Any]) -> None:
    factory = Task(**settings).environments()
    environments = factory(2)
    factory.together(environments)
    assert factory.at_once(environments) is None
    for environment in environments:
        environment.close()
