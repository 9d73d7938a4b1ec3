"""`make demo`, from deployment to the report of a run that survived its host: the end-to-end test of all commands."""

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
from ops.simulator.policies import allowing
from redox_balancer.errors import RedoxError
from rights import OF_OTHERS
from waiting import wait_until


@pytest.fixture(autouse=True)
def able(cdk: Path) -> None:
    assert cdk.exists()
    try:
        require()
    except RedoxError as error:
        pytest.skip(f"{error.message} ({error.hint})")


def processes_of(folder: Path) -> list[str]:
    """Processes that use a folder, by command line or environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and str(folder) in f"{process.cmdline()} {process.environ()}":
                found.append(f"{process.pid} {process.cmdline()}")
    return found


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo, in a folder of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "demo", "--json", *options],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def test_a_run_survives_its_host_and_loses_one_interval_at_most(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        answer, log = process.communicate()
    assert process.returncode == 0, log
    results = json.loads(answer)
    killed, replaced = results["killed"], results["replaced"]
    assert (killed["host"] != replaced["host"], killed["zone"] != replaced["zone"]) == (True, True)
    assert killed["checkpoint_step"] < killed["step"]
    # It resumed from the last checkpoint, which was not older than one interval.
    assert replaced["step"] == killed["checkpoint_step"]
    assert killed["since_checkpoint_s"] <= results["save_interval_s"]
    finished = results["finished"]
    assert finished["demo"] > killed["step"]
    assert set(finished) == {"demo", "second"}
    assert all(results["pulled"][run] >= steps for run, steps in finished.items())
    assert results["hidden_failures"] == []  # nor a call that its principal has no right to
    for line in results["unused_statements"]:
        principal, _, statement = line.partition(" ")
        assert any(allowing([json.loads(statement)], request) for request in OF_OTHERS[principal]), line
    typed = [step["command"] for step in results["steps"]]
    commands = (
        "train-remote",
        "queue",
        "status",
        "snapshot",
        "logs",
        "stop",
        "health",
        "cost",
        "checkpoints",
        "pull-checkpoints",
    )
    assert all(any(f"-m ops {name} " in f"{each} " for each in typed) for name in commands)
    assert not any("restore" in each for each in typed)  # nobody did anything
    assert any("redox report" in each for each in typed)
    # No folder, server or host is left.
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("sent", "once", "code"),
    [(signal.SIGTERM, "stand-in.log", 130), (signal.SIGKILL, "hosts/*/host.json", -signal.SIGKILL)],
    ids=["ended", "killed"],
)
def test_nothing_outlives_an_interrupted_demo(sent: signal.Signals, once: str, code: int, tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        wait_until(lambda: process.poll() is not None or any(tmp_path.glob(f"redox-demo-*/{once}")))
        process.send_signal(sent)
        log = process.communicate()[1]
    assert process.returncode == code, log
    wait_until(lambda: processes_of(tmp_path) == [])
    # A killed process cannot remove its folder.
    assert bool(list(tmp_path.iterdir())) is (sent == signal.SIGKILL)
