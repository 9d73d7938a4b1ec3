"""Actors that replay recorded rollouts, and one that reports where its time goes: real ones, in Ray processes."""

from pathlib import Path

import numpy as np
import pytest

from chaos import rollouts_watched
from redox_balancer.bench import throughput
from redox_balancer.bench.collectors import RECORDED, ReplayCollector
from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.links import RayTransport, Transport
from redox_balancer.impala.rollout import Rollout
from redox_balancer.runs import trainer
from sinks import Recorder
from toy_envs import Shelves, WideShelves


def test_replayed_rollouts_go_through_ray_and_the_learner(tmp_path: Path) -> None:
    learnt: dict[int, list[Rollout]] = {0: [], 1: []}
    config = TrainConfig(timesteps=4 * RECORDED * 2 * 256, num_actors=2, object_store_bytes=100_000_000)
    replay = {"progress": Recorder(), "collector": ReplayCollector}
    with rollouts_watched(lambda rollout: learnt[rollout.actor].append(rollout)):
        result = trainer.train(config, Shelves(), tmp_path, resume=None, **replay)

    assert result.finished
    assert result.steps >= config.timesteps
    assert result.updates == result.steps / 512
    replayed = 0
    for rollouts in learnt.values():
        assert [rollout.sequence for rollout in rollouts] == list(range(len(rollouts)))
        versions = [rollout.version for rollout in rollouts]
        assert versions == sorted(versions)
        for first, again in zip(rollouts, rollouts[RECORDED:], strict=False):
            assert np.array_equal(first.observations, again.observations)
            assert np.array_equal(first.log_probs, again.log_probs)
            replayed += again.version > first.version
        if len(rollouts) > 1:  # on a busy machine one actor may have delivered next to nothing
            assert not all(np.array_equal(rollouts[0].actions, other.actions) for other in rollouts[1:RECORDED])
    assert replayed > 0


def test_used_rollouts_of_other_hosts_leave_the_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ActorPool.__init__.__kwdefaults__, "transport", RayTransport)
    # 4.5 MB a rollout, 20 of which fill the store. Further ones are spilled to files on disk that the raylet keeps
    # open, ten times as slow: the watchdog warns of so many descriptors.
    config = TrainConfig(
        timesteps=256 * 80, num_actors=2, hidden_sizes=(4,), object_store_bytes=90_000_000, heartbeat_interval_s=0.1
    )
    progress = Recorder()
    result = trainer.train(config, WideShelves(), tmp_path, resume=None, progress=progress, collector=ReplayCollector)
    assert result.finished
    assert progress.warnings == []


def test_rollouts_of_replaying_actors_are_received_through_shared_memory() -> None:
    """`redox advise` measures the other terms."""
    assert min(throughput.transport(Shelves(), TrainConfig(), 0.5, Transport)[0::2]) > 0
