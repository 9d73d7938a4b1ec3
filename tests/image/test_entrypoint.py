"""What the entrypoint does with its words, and what it refuses: one line, exit code 78, nothing started."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from containers import FLAGS, SETTINGS, Engine

EXIT_CONFIG = 78


def assert_refused(answer: subprocess.CompletedProcess[str], said: str) -> None:
    assert answer.returncode == EXIT_CONFIG, answer.stderr
    [refusal] = [line for line in answer.stderr.splitlines() if not line.startswith("redox: warning:")]
    assert refusal.startswith("redox: ")
    assert said in refusal
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("flags", "arguments", "said"),
    [
        ({"nofile": 150}, ["--num-actors", "20"], "nofile is 150, 20 actors need 220: docker run --ulimit"),
        ({"nproc": 400}, ["--num-actors=20"], "nproc is 400, 20 actors need 1030: docker run --ulimit"),
        ({"shm_bytes": 64_000_000}, [], "the object store needs 88000000: docker run --shm-size 88000000"),
        (
            {"shm_bytes": 100_000_000},
            ["--object-store-bytes", "200000000"],
            "the object store needs 220000000: docker run --shm-size 220000000",
        ),
        ({}, ["--checkpoint-dir", "/opt/run"], "/opt/run cannot be written by user 10001: mount"),
    ],
    ids=["files", "processes", "shared memory", "object store", "folder"],
)
def test_what_could_not_work_is_refused_with_one_line(
    engine: Engine, runs: Path, flags: dict[str, Any], arguments: Sequence[str], said: str
) -> None:
    assert_refused(engine.run("train", *arguments, runs=runs, flags=replace(FLAGS, **flags)), said)


def test_a_clock_before_the_commit_is_refused(engine: Engine, runs: Path) -> None:
    answer = engine.run("train", runs=runs, options=["--env=REDOX_COMMIT_TIME=4102444800"])
    assert_refused(answer, "before this program was written: set the host's clock")


def test_a_folder_of_the_host_that_belongs_to_another_user_is_refused(engine: Engine, runs: Path) -> None:
    runs.chmod(0o755)
    answer = engine.run("train", runs=runs)
    assert_refused(answer, "/data/experiments/first cannot be written by user 10001: mount a volume")
    assert list(runs.iterdir()) == []


def test_limits_below_the_settings_are_warned_of_and_trained_with(engine: Engine, runs: Path) -> None:
    flags = replace(FLAGS, nofile=4096, nproc=4096)
    answer = engine.run("train", "--num-actors", "0", "--timesteps", "512", runs=runs, flags=flags)
    assert answer.returncode == 0, answer.stderr
    limits = SETTINGS.limits
    for name, wanted in (("nofile", limits.nofile), ("nproc", limits.nproc)):
        assert f"redox: warning: {name} is 4096, the settings ask for {wanted}: docker run --ulimit" in answer.stderr
    assert (runs / "first" / "latest").is_dir()


def test_one_folder_serves_for_all_that_stays_as_on_the_host(engine: Engine, runs: Path) -> None:
    answer = engine.run("train", "--num-actors", "0", "--timesteps", "512", data=runs)
    assert answer.returncode == 0, answer.stderr
    assert (runs / "experiments" / "first" / "latest").is_dir()
    assert (runs / "spill").is_dir()


def test_errors_of_the_trainer_are_its_own(engine: Engine, runs: Path) -> None:
    answer = engine.run("train", "--num-actors", "many", runs=runs)
    assert answer.returncode == 2
    assert "--num-actors" in answer.stderr


def test_smoke_trains_on_the_embedded_core_and_says_how_fast(engine: Engine) -> None:
    answer = engine.run("smoke")
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    assert result["steps"] > 0
    assert result["steps_per_s"] > 0
    assert not result["finished"]


def test_shell_and_every_command_of_redox_are_modes(engine: Engine) -> None:
    assert engine.run("shell", "-c", "echo $0 $PYTHONPATH").stdout == "bash /opt/redox/app\n"
    checks = json.loads(engine.run("doctor", "--json").stdout)["checks"]
    assert {check["name"]: check["level"] for check in checks}["solver"] == "ok"
    assert "No such command 'dance'" in engine.run("dance").stderr
