"""The pool of actors on a real cluster of one node: settings, errors, growth and replacement."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import ray

from faulty_envs import FaultyShelves
from python_path import write_shadows
from redox_balancer.errors import RedoxError
from redox_balancer.impala import links
from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.cluster import DAEMONS, ray_cluster, ray_daemons
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.links import RayTransport, Transport
from redox_balancer.impala.packing import Packing
from redox_balancer.impala.rollout import EnvFactory
from redox_balancer.resources import MEBIBYTE, Memory
from toy_envs import Broken, Shelves

CONFIG = TrainConfig(num_actors=3, log_interval_s=1.0, object_store_bytes=100_000_000)


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster started in a folder with a user's own files, which no actor may take for modules."""
    folder = tmp_path_factory.mktemp("shadows")
    write_shadows(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with ray_cluster(CONFIG):
            yield


def pool_of(factory: EnvFactory, lines: list[str] | None = None, **changes: Any) -> ActorPool:
    """A pool of two actors, one of which is started."""
    report = (lambda _: None) if lines is None else lines.append
    return ActorPool(CONFIG.changed(**changes), factory, dict.fromkeys(range(2), 0), report, 1)


def collect_until(pool: ActorPool, done: Callable[[list[Any]], bool]) -> list[Any]:
    pool.publish(pool.shape().initial(np.random.default_rng(0)), 0)
    rollouts: list[Any] = []
    while not done(rollouts):
        pool.request()
        rollouts += pool.receive(1.0)
    return rollouts


def processes(name: str) -> Iterator[psutil.Process]:
    for child in psutil.Process().children(recursive=True):
        if name in " ".join(child.cmdline()[:1]):
            yield child


def test_ray_has_the_settings_of_the_run() -> None:
    resources = ray.cluster_resources()
    assert resources["CPU"] == 3
    assert resources["object_store_memory"] == 100_000_000
    daemons = ray_daemons()
    assert sorted(daemons) == sorted(DAEMONS)
    assert all(stats.descriptors > 20 and stats.threads > 10 for stats in daemons.values())


def test_ray_and_actors_have_few_threads_and_actors_do_not_load_torch() -> None:
    pool = pool_of(Shelves())
    pool.shape()
    actors = [psutil.Process(pid) for pid in pool.pids.values()]
    assert actors
    for process in [*processes("raylet/raylet"), *actors]:
        environment = process.environ()
        assert environment["RAY_object_spilling_threshold"] == "0.8"
        assert environment["RAY_memory_monitor_refresh_ms"] == "0"
        assert environment["RAY_worker_num_grpc_internal_threads"] == "1"
        assert environment["RAY_core_worker_num_server_call_thread"] == "1"
    for actor in actors:
        assert actor.environ()["OMP_NUM_THREADS"] == "1"
        assert not [library.path for library in actor.memory_maps() if "libtorch" in library.path]


def test_an_error_of_a_factory_arrives_as_it_was_raised() -> None:
    with pytest.raises(RedoxError, match="no shelf for 16") as caught:
        pool_of(Broken()).shape()
    assert caught.value.hint == "buy one"


def test_any_error_of_an_environment_arrives_with_its_type() -> None:
    with pytest.raises(ValueError, match="the shelf is empty"):
        collect_until(pool_of(FaultyShelves("raise", 10)), lambda _: False)


@pytest.mark.parametrize("transport", [Transport, RayTransport])
def test_rollouts_carry_their_origin_and_arrive_in_order(transport: type[Transport]) -> None:
    pool = ActorPool(CONFIG, Shelves(), {0: 0, 1: 5}, transport=transport)
    shape = pool.shape()
    assert (shape.observation_size, shape.actions) == (5, 5)
    pool.publish(shape.initial(np.random.default_rng(0)), 3)
    rollouts: list[Any] = []
    while pool.ready < 2:
        rollouts += pool.receive(1.0)
    pool.request()
    while len(rollouts) < 4:
        rollouts += pool.receive(1.0)
    assert sorted((r.actor, r.incarnation, r.sequence, r.version) for r in rollouts) == [
        (0, 0, 0, 3), (0, 0, 1, 3), (1, 5, 0, 3), (1, 5, 1, 3),
    ]  # fmt: skip
    for rollout in rollouts:
        assert rollout.observations.shape == (17, 16, 5)
        assert rollout.observations.any()
        assert set(rollout.episodes.metrics) == {"value", "growth"}


def test_rollouts_too_large_for_the_memory_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "memory", lambda: Memory(MEBIBYTE // 2, 8 * MEBIBYTE))
    with pytest.raises(RedoxError, match="rollouts of 2 actors take 1 MB, and 0 are free") as caught:
        pool_of(Shelves()).shape()
    assert "rollout_length" in caught.value.settings


def test_a_pool_grows_and_reports_its_processes() -> None:
    pool = pool_of(Shelves())
    assert {r.actor for r in collect_until(pool, lambda found: len(found) >= 4)} == {0}
    pool.grow(2)
    collect_until(pool, lambda found: {r.actor for r in found} == {0, 1})
    assert len(pool.process_stats()) == pool.ready == pool.size == 2
    assert sorted(pool.pids) == [0, 1]
    stats = pool.process_stats().values()
    assert all(20 * MEBIBYTE < each.uss_bytes < 1000 * MEBIBYTE for each in stats)
    assert all(each.descriptors > 3 and each.threads > 3 for each in stats)
    assert 0 < pool.memory()[0] < pool.memory()[1] == psutil.virtual_memory().total


def test_a_rollout_that_comes_again_or_after_a_gap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of(Shelves())
    pool.shape()
    answers: list[Any] = []

    unpack = Packing.unpack

    def second_is_the_first_again(packing: Packing, block: Any) -> Any:  # an actor writes each rollout once
        answers.append(unpack(packing, block))
        return answers[0] if len(answers) == 2 else answers[-1]

    monkeypatch.setattr(Packing, "unpack", second_is_the_first_again)
    rollouts = collect_until(pool, lambda _: pool.refused >= 3)
    assert [rollout.sequence for rollout in rollouts] == [0]
    assert (pool.used, pool.refused, pool.discarded) == (1, len(answers) - 1, 0)


def test_an_actor_that_outgrows_its_memory_is_replaced_and_its_rollouts_are_used() -> None:
    lines: list[str] = []
    small = pool_of(Shelves())
    small.shape()
    (stats,) = small.process_stats().values()
    budget = stats.uss_bytes // MEBIBYTE + 200
    pool = pool_of(FaultyShelves("grow"), lines, actor_memory_mb=budget, log_interval_s=0.01, envs_per_actor=2)
    rollouts = collect_until(pool, lambda _: pool.recycled == 2 and pool.ready == 1)
    assert [line.split(";")[1] for line in lines] == [" incarnation 1 takes over", " incarnation 2 takes over"]
    assert f"over its budget of {budget}" in lines[0]
    assert (pool.restarts, pool.discarded, pool.refused) == (0, 0, 0)
    assert len({(r.incarnation, r.sequence) for r in rollouts}) == len(rollouts) == pool.used


def test_an_actor_may_start_for_longer_than_its_timeout() -> None:
    pool = pool_of(Shelves(), actor_timeout_s=0.01)
    pool.shape()
    assert pool.restarts == 0


def test_an_actor_too_large_from_the_start_is_an_error() -> None:
    with pytest.raises(RedoxError, match="a new actor takes") as caught:
        pool_of(Shelves(), actor_memory_mb=1).shape()
    assert "actor_memory_mb" in caught.value.settings


def test_an_actor_that_keeps_dying_ends_the_run_after_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    fast = SimpleNamespace(monotonic=lambda: 10 * time.monotonic(), sleep=lambda seconds: time.sleep(seconds / 10))
    monkeypatch.setattr("redox_balancer.impala.actor_pool.time", fast)
    pool = pool_of(FaultyShelves("die"), lines)
    with pytest.raises(RedoxError, match="actor 0 was lost 5 times without a rollout in between"):
        collect_until(pool, lambda _: False)
    assert [f"in {seconds} s" in line for seconds, line in zip("0124", lines, strict=True)] == [
        False, True, True, True,
    ]  # fmt: skip
    assert pool.metrics()["restarts"] == 4
