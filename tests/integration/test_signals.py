"""Signals that end a training with actors: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from python_path import python_path
from redox_balancer.runs import checkpoint

PROGRAM = """
import signal, sys
from pathlib import Path
import psutil
from faulty_envs import FaultyShelves
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.trainer import train
from sinks import Recorder
from toy_envs import Shelves

def twice():
    print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)

if sys.argv[2] == "twice":
    sink, factory = Recorder(10_000, twice), Shelves()
else:
    sink, factory = Recorder(2000, lambda: print("learning", flush=True)), FaultyShelves("hang", 300)
config = TrainConfig(timesteps=100_000_000, num_actors=2, log_interval_s=1.0)
result = train(config, factory, Path(sys.argv[1]), resume=None, progress=sink)
print(result.finished, result.steps)
"""


def program(folder: Path, kind: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), kind],
        env=os.environ | {"PYTHONPATH": python_path()},
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


def test_a_second_sigint_ends_the_training_and_ray_at_once(tmp_path: Path) -> None:
    with program(tmp_path, "twice") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT
    left = [psutil.Process(int(pid)) for pid in output.split() if psutil.pid_exists(int(pid))]
    assert len(output.split()) >= 4
    assert not psutil.wait_procs(left, timeout=30)[1]
