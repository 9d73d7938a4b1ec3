"""Training on a Ray cluster of several nodes, one of which is lost."""

import re
import signal
import socket
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from ray.cluster_utils import Cluster

from chaos import rollouts_watched
from ray_nodes import node, ray_nodes
from redox_balancer.errors import RedoxError
from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.cluster import dashboard_options, ray_cluster
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.links import Link, Transport
from redox_balancer.impala.rollout import Rollout
from redox_balancer.runs import trainer
from sinks import Recorder
from toy_envs import Shelves

ACTORS = 4
REPLACED = re.compile(r"actor (\d+) .*; incarnation (\d+) takes over")


@pytest.fixture
def nodes() -> Iterator[Cluster]:
    with ray_nodes(2) as cluster:
        yield cluster


def test_the_dashboard_runs_only_if_it_is_enabled() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert dashboard_options(TrainConfig()) == {"include_dashboard": False}
    with ray_cluster(TrainConfig(num_actors=1, object_store_bytes=100_000_000, dashboard=f"127.0.0.1:{port}")):
        answer = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=30)
    assert answer.status_code == 200
    with pytest.raises(RedoxError, match="dashboard = here: String should match"):
        TrainConfig(dashboard="here")


class TwoHosts(Transport):
    """Every other actor is treated as one on another host: here all nodes are on this one."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = cycle((True, False))

    def connect(self, actor: int, handle: Any, *, shares_memory: bool) -> Link:
        assert shares_memory
        return super().connect(actor, handle, shares_memory=next(self._turns))


def test_training_continues_when_a_node_is_lost_and_its_actors_restart_elsewhere(
    tmp_path: Path, nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ActorPool.__init__.__kwdefaults__, "transport", TwoHosts)
    others = [nodes.add_node(**node(2)) for _ in range(2)]
    nodes.wait_for_nodes()
    config = TrainConfig(
        timesteps=100_000_000,
        num_actors=ACTORS,
        ray_address=nodes.address,
        learner_resource="learner",
        log_interval_s=0.5,
    )
    with (
        pytest.raises(RedoxError, match="does not offer 'gold'") as caught,
        ray_cluster(config.changed(learner_resource="gold")),
    ):
        pass
    assert "start Ray on one node with the resource gold" in caught.value.hint

    with ray_cluster(config):
        pool = ActorPool(config, Shelves(), dict.fromkeys(range(ACTORS), 0))
        pool.publish(pool.shape().initial(np.random.default_rng(0)), 0)
        while pool.ready < ACTORS:
            pool.request()
            pool.receive(1.0)
        places = {actor: health.node for actor, health in pool.health.items()}
        assert set(places.values()) == {node.node_id for node in nodes.list_all_nodes()}  # spread
        victim = next(node for node in others if node.node_id in places.values())
        del pool

    sequences: dict[tuple[int, int], list[int]] = {}

    def note(rollout: Rollout) -> None:
        sequences.setdefault((rollout.actor, rollout.incarnation), []).append(rollout.sequence)

    class Breaker(Recorder):
        """Removes a node once every actor has returned rollouts; ends the run once its actors have again."""

        steps_after = 0

        def advance(self, steps: int) -> None:
            if self._at is None and len(sequences) == ACTORS:
                self._at = steps
                nodes.remove_node(victim, allow_graceful=False)
            # The next incarnation may be placed on the dying node as well: then the one after it counts.
            newest = {int(found[1]): int(found[2]) for line in self.messages if (found := REPLACED.match(line))}
            if newest and newest.items() <= sequences.keys() and not self.steps_after:
                self.steps_after = steps  # a second signal would end the process at once
                signal.raise_signal(signal.SIGTERM)

    sink = Breaker()
    with rollouts_watched(note):
        result = trainer.train(config, Shelves(), tmp_path, resume=None, progress=sink)
    assert sink._at is not None
    assert result.steps >= sink.steps_after > sink._at
    assert len(nodes.list_all_nodes()) == 2
    assert {actor for actor, _ in sequences} == set(range(ACTORS))
    assert 1 <= len({actor for actor, incarnation in sequences if incarnation > 0}) <= 2
    assert all(numbers == list(range(len(numbers))) for numbers in sequences.values())
