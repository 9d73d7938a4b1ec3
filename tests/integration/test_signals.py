"""Signals that end a training with actors: real processes, real signals."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from commands import REDOX
from redox_balancer.runs import checkpoint
from runs_on_disk import heartbeat_of

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
    return subprocess.Popen([sys.executable, "-c", PROGRAM, folder, kind], stdout=subprocess.PIPE, text=True)


def test_sigterm_saves_and_exits_0_though_every_actor_hangs(tmp_path: Path) -> None:
    with program(tmp_path, "hang") as process:
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


@contextmanager
def on_a_terminal(*arguments: object, nohup: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `redox` on a terminal of its own, of which the other end is returned."""
    master, slave = os.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        # The tests themselves may run under nohup.
        signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)

    with subprocess.Popen(
        [REDOX, *map(str, arguments)],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=take_terminal,
    ) as process:  # fmt: skip
        os.close(slave)
        try:
            yield process, master
        finally:
            process.kill()


def read_until(master: int, text: bytes) -> None:
    seen = b""
    while text not in seen:
        seen += os.read(master, 1000)


TRAIN = ("train", "--hidden-sizes", 16, "--log-interval-s", 0.2)


@pytest.mark.parametrize("options", [("--num-actors", 0, "--supervise"), ("--num-actors", 1)])
def test_a_closed_terminal_saves_and_exits_0(tmp_path: Path, options: tuple[object, ...]) -> None:
    run = tmp_path / "run"
    endless = (*TRAIN, "--timesteps", 10**9, *options, "--checkpoint-dir", run)
    with on_a_terminal(*endless) as (process, master):
        read_until(master, b"return")  # a row of metrics
        # The kernel sends SIGHUP to every process in the foreground, and each write to the terminal fails.
        os.close(master)
        assert process.wait(60) == 0
    assert checkpoint.find(run).checkpoint.step > 0
    assert heartbeat_of(run).status == "stopped"


def test_with_nohup_a_training_outlives_its_terminal(tmp_path: Path) -> None:
    short = (*TRAIN, "--timesteps", 8_000, "--num-actors", 0, "--checkpoint-dir", tmp_path / "run")
    with on_a_terminal(*short, nohup=True) as (process, master):
        read_until(master, b"return")
        os.close(master)
        assert process.wait(60) == 0
    assert checkpoint.find(tmp_path / "run").checkpoint.step >= 8_000
