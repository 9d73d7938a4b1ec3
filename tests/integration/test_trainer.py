"""Training with Ray: real actors, real signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.schedules import geometric, linear
from redox_balancer.runs import checkpoint
from redox_balancer.runs.progress import open_progress
from redox_balancer.runs.trainer import train
from redox_balancer.runs.watchdog import NonsenseError
from runs_on_disk import heartbeat_of, rows_of
from sinks import Recorder
from toy_envs import BEST_RETURN, Fading, Shelves

CONFIG = TrainConfig(timesteps=150_000, num_actors=2, log_interval_steps=5000, learning_rate=3e-3, batch_size=512)
ENDLESS = 100_000_000


PROGRAM = """
import sys
from pathlib import Path
from test_trainer import CONFIG, ENDLESS, Shelves, open_progress, train
config = CONFIG.changed(timesteps=ENDLESS)
result = train(config, Shelves(), Path(sys.argv[1]), resume=None, progress=open_progress())
print(result.finished, result.steps)
"""


def test_ctrl_c_saves_and_the_resumed_run_continues_from_its_step_and_learns(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(run)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        lines = [process.stderr.readline() for _ in range(3)]
        assert "steps/s" in lines[-1], lines
        # As a terminal does it: to every process of the foreground group, Ray's among them.
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 0, errors
    finished, steps = output.split()
    assert finished == "False"
    assert "the run can be resumed from there" in errors
    saved = checkpoint.find(run).checkpoint
    assert saved.step == int(steps) > 10_000
    assert saved.state["incarnations"] == {"0": 0, "1": 0}

    config = CONFIG.changed(timesteps=saved.step + 100_000)
    result = train(config, Shelves(), run, resume="auto", progress=open_progress())
    assert result.finished
    assert result.steps >= config.timesteps
    assert result.last_row["return_mean"] >= 0.9 * BEST_RETURN
    assert result.last_row["lag_max"] <= config.max_lag
    rows = rows_of(run)
    written = [row["steps"] for row in rows]
    assert written == sorted(set(written))
    assert written[0] < saved.step < written[-1]
    for row in rows:  # schedules depend on the step before the update and not on the process
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
    config, sink = CONFIG.changed(num_actors=1, save_interval_steps=1000), Recorder()
    with pytest.raises(NonsenseError, match=r"constant value.*all have value 0"):
        train(config, Fading(0.0, 2000), tmp_path, resume=None, progress=sink)
    assert any("RAY_object_spilling_threshold=0.7" in text for text in sink.warnings)
    beat = heartbeat_of(tmp_path)
    assert (beat.status, beat.pid) == ("failed", os.getpid())
    assert beat.checkpoint_step == next(iter(checkpoint.steps(tmp_path))) <= beat.step
    assert beat.actor_bytes is not None
    assert beat.trainer_bytes is not None
    assert not ray.is_initialized()
