"""Actors that die, hang and grow, and signals that end a training: real processes, real signals."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

from chaos import break_training
from faulty_envs import FaultyShelves
from python_path import python_path
from redox_balancer.errors import RedoxError
from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.cluster import ray_cluster
from redox_balancer.impala.config import TrainConfig
from redox_balancer.resources import MEBIBYTE
from redox_balancer.runs import checkpoint
from sinks import Recorder
from toy_envs import Shelves

if TYPE_CHECKING:
    from collections.abc import Callable

    from redox_balancer.impala.rollout import EnvFactory

CONFIG = TrainConfig(timesteps=100_000_000, num_actors=3, log_interval_s=1.0)


@pytest.fixture(autouse=True)
def actors_find_the_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


def test_killed_and_hanging_actors_come_back_and_no_rollout_is_used_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Recorder()
    damage = break_training(
        monkeypatch,
        replace(CONFIG, actor_timeout_s=5.0),
        Shelves(),
        tmp_path,
        progress=sink,
        faults=(signal.SIGKILL, signal.SIGSTOP),
        rest_s=2.0,
    )
    assert len(damage.recoveries_s) == 2, sink.messages
    assert damage.doubled == 0
    for numbers in damage.sequences.values():
        assert numbers == list(range(len(numbers)))  # none is left out either
    replaced = [line for line in sink.messages if "takes over" in line]
    assert len(replaced) == 2
    assert "died" in replaced[0]
    assert "returned nothing for 5 s" in replaced[1]

    with (tmp_path / "metrics.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["restarts"]) == 2
    assert float(last["actors"]) == 3
    assert float(last["rollouts_refused"]) == 0
    assert 2 <= float(last["rollouts_discarded"]) <= 4
    assert float(last["rollouts_used"]) <= damage.rollouts
    saved = checkpoint.find(tmp_path).checkpoint.state["incarnations"]
    assert sorted(saved.items()) == sorted({str(actor): number for actor, number in sorted(damage.sequences)}.items())


def collect_until(pool: ActorPool, done: Callable[[list[Any]], bool]) -> list[Any]:
    pool.publish(pool.shape().initial(np.random.default_rng(0)), 0)
    rollouts: list[Any] = []
    while not done(rollouts):
        pool.request()
        rollouts += pool.receive(1.0)
    return rollouts


def test_a_pool_grows_recycles_and_gives_up_on_an_actor_that_keeps_dying() -> None:
    lines: list[str] = []

    def pool_of(factory: EnvFactory, actors: int, **changes: Any) -> ActorPool:
        return ActorPool(replace(CONFIG, **changes), factory, dict.fromkeys(range(2), 0), lines.append, actors)

    with ray_cluster(replace(CONFIG, num_actors=2)):
        pool = pool_of(Shelves(), 1)
        assert {r.actor for r in collect_until(pool, lambda found: len(found) >= 4)} == {0}
        pool.grow(2)
        collect_until(pool, lambda found: {r.actor for r in found} == {0, 1})
        assert len(pool.process_stats()) == pool.ready == pool.size == 2
        assert sorted(pool.pids) == [0, 1]
        taken = max(stats.uss_bytes for stats in pool.process_stats().values())
        assert 20 * MEBIBYTE < taken < 1000 * MEBIBYTE
        assert all(stats.descriptors > 3 and stats.threads > 3 for stats in pool.process_stats().values())
        assert 0 < pool.memory()[0] < pool.memory()[1] == psutil.virtual_memory().total
        del pool

        budget = taken // MEBIBYTE + 200
        pool = pool_of(FaultyShelves("grow"), 1, actor_memory_mb=budget, log_interval_s=0.01, envs_per_actor=2)
        rollouts = collect_until(pool, lambda _: pool.recycled == 2 and pool.ready == 1)
        assert [line.split(";")[1] for line in lines] == [" incarnation 1 takes over", " incarnation 2 takes over"]
        assert (pool.restarts, pool.ledger.discarded, pool.ledger.refused) == (0, 0, 0)
        assert len({(r.incarnation, r.sequence) for r in rollouts}) == len(rollouts) == pool.ledger.used
        del pool

        pool = pool_of(Shelves(), 1, actor_timeout_s=0.01)
        pool.shape()  # a process takes longer to start than that, and gets the time
        assert pool.restarts == 0
        del pool

        pool = pool_of(Shelves(), 1, actor_memory_mb=1)
        with pytest.raises(RedoxError, match="a new actor takes") as caught:
            pool.shape()
        assert "actor_memory_mb" in caught.value.settings
        del pool

        lines.clear()
        pool = pool_of(FaultyShelves("die"), 1)
        with pytest.raises(RedoxError, match="actor 0 was lost 5 times without a rollout in between"):
            collect_until(pool, lambda _: False)
        assert [f"in {seconds} s" in line for seconds, line in zip("0124", lines, strict=True)] == [
            False, True, True, True,
        ]  # fmt: skip
        assert pool.metrics()["restarts"] == 4


PROGRAM = """
import signal, sys
from dataclasses import replace
from pathlib import Path
import psutil
from test_faults import CONFIG, FaultyShelves, Recorder, Shelves
from redox_balancer.runs.trainer import train

def twice():
    print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)

if sys.argv[2] == "twice":
    sink, factory = Recorder(10_000, twice), Shelves()
else:
    sink, factory = Recorder(2000, lambda: print("learning", flush=True)), FaultyShelves("hang", 300)
result = train(replace(CONFIG, num_actors=2), factory, Path(sys.argv[1]), resume=None, progress=sink)
print(result.finished, result.steps)
"""


def program(folder: Path, what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), what],
        env=os.environ | {"PYTHONPATH": python_path(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_sigterm_saves_and_exits_0_though_every_actor_hangs(tmp_path: Path) -> None:
    with program(tmp_path, "hang") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "learning\n"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    finished, steps = output.split()
    assert finished == "False"
    assert checkpoint.find(tmp_path).checkpoint.step == int(steps) >= 2000


def test_a_second_sigint_leaves_at_once_and_ray_with_it(tmp_path: Path) -> None:
    with program(tmp_path, "twice") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT
    left = [psutil.Process(int(pid)) for pid in output.split() if psutil.pid_exists(int(pid))]
    assert len(output.split()) >= 4
    assert not psutil.wait_procs(left, timeout=30)[1]
