"""`make demo`, from nothing to the report of a run that outlived its host: the end-to-end test of the daily work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from infra.settings import ROOT
from ops.simulator.host import require
from redox_balancer.errors import RedoxError
from waiting import wait_until


@pytest.fixture(autouse=True)
def able(cdk: Path) -> None:
    assert cdk.exists()
    try:
        require()
    except RedoxError as error:
        pytest.skip(f"{error.message} ({error.hint})")


def processes_of(folder: Path) -> list[str]:
    """Whoever works on a folder, by command line or by what it was told."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and str(folder) in f"{process.cmdline()} {process.environ()}":
                found.append(f"{process.pid} {process.cmdline()}")
    return found


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that is under way, in a folder of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "demo", "--json", *options],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def test_a_run_outlives_its_host_and_loses_one_interval_at_most(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        answer, said = process.communicate()
    assert process.returncode == 0, said
    figures = json.loads(answer)
    killed, restored = figures["killed"], figures["restored"]
    assert killed["host"] != restored["host"]
    assert killed["checkpoint_step"] < killed["step"]
    # What was saved is what it went on from, and it was not older than an interval.
    assert restored["step"] == killed["checkpoint_step"]
    assert killed["since_checkpoint_s"] <= figures["save_interval_s"]
    assert figures["pulled"]["step"] > killed["step"]
    assert figures["hidden_failures"] == []
    typed = [step["command"] for step in figures["steps"]]
    verbs = ("train-remote", "status", "snapshot", "health", "restore", "stop", "checkpoints", "pull-checkpoints")
    assert all(any(f"-m ops {verb} " in f"{each} " for each in typed) for verb in verbs)
    assert any("redox report" in each for each in typed)
    # Nothing is left: no folder, no server, no host.
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("sent", "once", "code"),
    [(signal.SIGTERM, "stand-in.log", 130), (signal.SIGKILL, "hosts/*/host.json", -signal.SIGKILL)],
    ids=["ended", "killed"],
)
def test_nothing_outlives_a_demo_that_is_ended_in_the_middle(
    sent: signal.Signals, once: str, code: int, tmp_path: Path
) -> None:
    with demo(tmp_path) as process:
        wait_until(lambda: process.poll() is not None or any(tmp_path.glob(f"redox-demo-*/{once}")))
        process.send_signal(sent)
        said = process.communicate()[1]
    assert process.returncode == code, said
    wait_until(lambda: processes_of(tmp_path) == [])
    # Only what could still act leaves its folder in order.
    assert bool(list(tmp_path.iterdir())) is (sent == signal.SIGKILL)
