"""Rollouts in a block of bytes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.impala.packing import MAX_METRICS, Packing
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector
from toy_envs import Counters, Shelves

SIZES = {"count": 2, "length": 6}


def played(factory: EnvFactory, rollouts: int = 1) -> tuple[PolicyShape, Rollout]:
    source = RolloutCollector(factory, **SIZES, hidden_sizes=(4,), seed=1, actor=3, incarnation=2)
    source.set_weights(source.shape.initial(np.random.default_rng(0)), 7)
    return source.shape, [source.collect() for _ in range(rollouts)][-1]


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for name, value in one.items():
            assert_equal(value, other[name])
    elif hasattr(one, "_asdict"):
        assert_equal(one._asdict(), other._asdict())
    else:
        assert one == other


@pytest.mark.parametrize(
    "factory",
    [
        Shelves(),
        Counters((((2, "truncated"),), ((4, "terminated"), (1, "truncated")))),
        Counters((((1, "truncated"),),)),  # the largest rollout: every step ends an episode and truncates it
        Counters((((100, "terminated"),),)),  # no episode ends
    ],
)
def test_a_rollout_comes_back_as_it_was_and_owns_its_memory(factory: EnvFactory) -> None:
    shape, rollout = played(factory, rollouts=2)
    packing = Packing(shape, **SIZES)
    block = np.full(packing.block_bytes, 255, dtype=np.uint8)
    packed = packing.pack(rollout, block, (1, 2, 3, 4, 5))
    found, health = packing.unpack(packed)
    block[:] = 0
    assert health == [1, 2, 3, 4, 5]
    assert_equal(vars(rollout), vars(found))


def test_what_an_episode_did_not_report_is_not_a_number() -> None:
    shape, rollout = played(Counters((((1, "terminated"),),)))
    episodes = rollout.episodes._replace(metrics={"größe": np.where(np.arange(12) % 2, np.nan, 1.0)})
    packing = Packing(shape, **SIZES)
    block = np.zeros(packing.block_bytes, dtype=np.uint8)
    found, health = packing.unpack(packing.pack(replace(rollout, episodes=episodes), block))
    assert health == []
    np.testing.assert_array_equal(found.episodes.metrics["größe"], episodes.metrics["größe"])


def test_more_metrics_than_fit_are_an_error() -> None:
    shape, rollout = played(Shelves())
    metrics = {str(number): rollout.episodes.returns for number in range(MAX_METRICS + 1)}
    packing = Packing(shape, **SIZES)
    with pytest.raises(RedoxError, match="reports 65 metrics"):
        packing.pack(
            replace(rollout, episodes=rollout.episodes._replace(metrics=metrics)),
            np.zeros(packing.block_bytes, dtype=np.uint8),
        )
