"""The contract between host, infrastructure and operations: one meaning for run states, freshness and idle time."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from infra.machine.contract import ENDED, FRESH_S, HEARTBEAT, UPDATE_S, WatchState, at_work, idle_since
from infra.settings import ROOT
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import heartbeat
from redox_balancer.runs.heartbeat import Heartbeat, Status

NOW = 1_800_000_000.0
HOUR = 3_600.0


def test_run_states_are_those_of_the_trainer() -> None:
    statuses: tuple[Status, ...] = get_args(Status)
    assert set(statuses) > ENDED
    for status in statuses:
        assert Heartbeat(pid=1, host="", status=status).ended is (status in ENDED)
    assert heartbeat.HEARTBEAT == HEARTBEAT


def test_a_live_trainer_is_never_stale() -> None:
    interval_s = TrainConfig().heartbeat_interval_s
    assert 10 * interval_s <= FRESH_S
    assert UPDATE_S > FRESH_S


@pytest.mark.parametrize(
    ("status", "age_s", "expected"),
    [
        ("training", 0.0, True),
        ("starting", FRESH_S, True),
        ("saving", FRESH_S + 1, False),
        ("training", -FRESH_S - 1, False),  # from the future: the clock was set back
        ("stopped", 0.0, False),
        ("finished", 0.0, False),
        ("failed", 0.0, False),
    ],
)
def test_at_work(status: Status, age_s: float, *, expected: bool) -> None:
    assert at_work(status, NOW - age_s, NOW) is expected
    assert Heartbeat(pid=1, host="", status=status, written_at=NOW - age_s).at_work(NOW) is expected


@pytest.mark.parametrize(
    ("previous_s", "uptime_s", "training", "awake_s", "expected"),
    [
        (None, 9 * HOUR, True, None, None),
        (2 * HOUR, 9 * HOUR, True, 0.0, None),
        (None, 9 * HOUR, False, None, 9 * HOUR),  # nothing is recorded: idle time starts now, regardless of uptime
        (2 * HOUR, 9 * HOUR, False, None, 2 * HOUR),
        (9 * HOUR, 60.0, False, None, 60.0),  # recorded before a reboot
        (2 * HOUR, 9 * HOUR, False, HOUR, 8 * HOUR),
        (8.5 * HOUR, 9 * HOUR, False, HOUR, 8.5 * HOUR),
    ],
)
def test_idle_since(
    previous_s: float | None, uptime_s: float, awake_s: float | None, expected: float | None, *, training: bool
) -> None:
    assert idle_since(previous_s, uptime_s=uptime_s, training=training, awake_s=awake_s) == expected


def test_the_state_of_the_watch_survives_its_restart(tmp_path: Path) -> None:
    path = tmp_path / "watch.json"
    assert WatchState.read(path) is None
    state = WatchState(idle_since_s=60.0, counted_s=120.0, saved={"2026-01": 5.0}, alarms=["no ledger"])
    state.write(path)
    assert WatchState.read(path) == state
    for damaged in ("", "{", "[1]", '{"unknown": 1}'):
        path.write_text(damaged)
        assert WatchState.read(path) is None


def test_it_needs_nothing_but_python() -> None:
    command = [sys.executable, "-S", "-I", ROOT / "infra/machine/contract.py"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
