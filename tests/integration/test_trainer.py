"""Training with Ray: real actors, real signals."""

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
import ray

from python_path import python_path
from redox_balancer.errors import RedoxError
from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.cluster import DAEMONS, ray_cluster, ray_daemons
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.schedules import geometric, linear
from redox_balancer.runs import checkpoint
from redox_balancer.runs.heartbeat import read_heartbeat
from redox_balancer.runs.progress import open_progress
from redox_balancer.runs.trainer import train
from redox_balancer.runs.watchdog import NonsenseError
from sinks import Recorder
from toy_envs import BEST_RETURN, Broken, Fading, Shelves

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = TrainConfig(timesteps=150_000, num_actors=2, log_interval_steps=5000, learning_rate=3e-3, batch_size=512)


ENDLESS = 100_000_000


@pytest.fixture(autouse=True)
def actors_find_the_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


def processes(name: str) -> Iterator[psutil.Process]:
    for child in psutil.Process().children(recursive=True):
        if name in " ".join(child.cmdline()[:1]):
            yield child


def test_the_cluster_has_its_settings_and_errors_of_actors_arrive_as_such() -> None:
    config = replace(CONFIG, num_actors=3, object_store_bytes=100_000_000)
    with ray_cluster(config):
        resources = ray.cluster_resources()
        assert resources["CPU"] == 3
        assert resources["object_store_memory"] == 100_000_000

        with pytest.raises(RedoxError, match="no shelf for 16") as caught:
            ActorPool(config, Broken(), {0: 0}).shape()
        assert caught.value.hint == "buy one"

        daemons = ray_daemons()
        assert sorted(daemons) == sorted(DAEMONS)
        assert all(stats.descriptors > 20 and stats.threads > 10 for stats in daemons.values())

        pool = ActorPool(config, Shelves(), {0: 0, 1: 5})
        shape = pool.shape()
        assert (shape.observation_size, shape.actions) == (5, 5)
        actors = list(processes("ray::CollectorActor"))
        assert len(actors) >= 2
        for process in [*processes("raylet/raylet"), *actors]:
            environment = process.environ()
            assert environment["RAY_object_spilling_threshold"] == "0.8"
            assert environment["RAY_memory_monitor_refresh_ms"] == "0"
            assert environment["RAY_worker_num_grpc_internal_threads"] == "1"
            assert environment["RAY_core_worker_num_server_call_thread"] == "1"
        for actor in actors:
            assert actor.environ()["OMP_NUM_THREADS"] == "1"
            assert not [library.path for library in actor.memory_maps() if "libtorch" in library.path]

        pool.publish(shape.initial(np.random.default_rng(0)), 3)
        pool.request()
        rollouts: list[Any] = []
        while len(rollouts) < 4:
            rollouts += pool.receive(1.0)
        assert sorted((r.actor, r.incarnation, r.sequence, r.version) for r in rollouts) == [
            (0, 0, 0, 3), (0, 0, 1, 3), (1, 5, 0, 3), (1, 5, 1, 3),
        ]  # fmt: skip


PROGRAM = """
import sys
from pathlib import Path
from test_trainer import CONFIG, ENDLESS, Shelves, open_progress, train
from dataclasses import replace
config = replace(CONFIG, timesteps=ENDLESS)
result = train(config, Shelves(), Path(sys.argv[1]), resume=None, progress=open_progress())
print(result.finished, result.steps)
"""


def test_ctrl_c_saves_and_the_resumed_run_goes_on_from_its_step_and_learns(tmp_path: Path) -> None:
    run = tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": python_path(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(run)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        lines = [process.stderr.readline() for _ in range(3)]
        assert "steps/s" in lines[-1], lines
        # As a terminal does it: to every process of the foreground group, Ray's among them.
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 0, errors
    finished, steps = output.split()
    assert finished == "False"
    assert "--resume auto goes on" in errors
    saved = checkpoint.find(run).checkpoint
    assert saved.step == int(steps) > 10_000
    assert saved.state["incarnations"] == {"0": 0, "1": 0}

    config = replace(CONFIG, timesteps=saved.step + 100_000)
    result = train(config, Shelves(), run, resume="auto", progress=open_progress())
    assert result.finished
    assert result.steps >= config.timesteps
    assert result.last_row["return_mean"] >= 0.9 * BEST_RETURN
    assert result.last_row["lag_max"] <= config.max_lag
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{name: float(text or "nan") for name, text in row.items()} for row in csv.DictReader(file)]
    written = [row["steps"] for row in rows]
    assert written == sorted(set(written))
    assert written[0] < saved.step < written[-1]
    for row in rows:  # the schedules know the step before the update and nothing of processes
        total = config.timesteps if row["steps"] > saved.step else ENDLESS
        before = int(row["steps"]) - CONFIG.batch_size
        rate = linear(before, total=total, start=CONFIG.learning_rate, end=CONFIG.learning_rate_end)
        entropy_cost = geometric(before, total=total, start=CONFIG.entropy_cost, end=CONFIG.entropy_cost_end)
        assert (row["learning_rate"], row["entropy_cost"]) == (rate, entropy_cost)
    after = checkpoint.find(run).checkpoint
    assert after.state["incarnations"] == {"0": 1, "1": 1}
    assert after.state["training_time_s"] > saved.state["training_time_s"]


def test_warnings_come_first_and_the_watchdog_ends_a_training_without_saving_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_object_spilling_threshold", "0.7")
    config, sink = replace(CONFIG, num_actors=1, save_interval_steps=1000), Recorder()
    with pytest.raises(NonsenseError, match=r"constant value.*all have value 0"):
        train(config, Fading(0.0, 2000), tmp_path, resume=None, progress=sink)
    assert any("RAY_object_spilling_threshold=0.7" in text for text in sink.warnings)
    beat = read_heartbeat(tmp_path)
    assert beat is not None
    assert (beat.status, beat.pid) == ("failed", os.getpid())
    assert beat.checkpoint_step == next(iter(checkpoint.steps(tmp_path))) <= beat.step
    assert beat.actor_bytes is not None
    assert beat.trainer_bytes is not None
    assert not ray.is_initialized()
