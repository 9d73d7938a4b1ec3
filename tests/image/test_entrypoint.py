"""Modes of the entrypoint, and its refusals: one line, exit code 78, nothing started."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from containers import FLAGS, SETTINGS, Engine

EXIT_CONFIG = 78


def assert_refused(answer: subprocess.CompletedProcess[str], words: str) -> None:
    assert answer.returncode == EXIT_CONFIG, answer.stderr
    [refusal] = [line for line in answer.stderr.splitlines() if not line.startswith("redox: warning:")]
    assert refusal.startswith("redox: ")
    assert words in refusal
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("flags", "arguments", "words"),
    [
        ({"nofile": 150}, ["--num-actors", "20"], "nofile is 150, 20 actors need 220: docker run --ulimit"),
        ({"nproc": 400}, ["--num-actors=20"], "nproc is 400, 20 actors need 1030: docker run --ulimit"),
        ({"nofile": 225}, ["--num-actors=20", "--cells=4"], "nofile is 225, 20 actors and 4 cells need 244: docker"),
        ({"shm_bytes": 64_000_000}, [], "the object store needs 88000000: docker run --shm-size 88000000"),
        (
            {"shm_bytes": 100_000_000},
            ["--object-store-bytes", "200000000"],
            "the object store needs 220000000: docker run --shm-size 220000000",
        ),
        ({}, ["--checkpoint-dir", "/opt/run"], "/opt/run cannot be written by user 10001: mount"),
    ],
    ids=["files", "processes", "cells", "shared memory", "object store", "folder"],
)
def test_limits_and_folders_that_cannot_work_are_refused_with_one_line(
    engine: Engine, runs: Path, flags: dict[str, Any], arguments: Sequence[str], words: str
) -> None:
    assert_refused(engine.run("train", *arguments, runs=runs, flags=replace(FLAGS, **flags)), words)


def test_a_clock_before_the_commit_is_refused(engine: Engine, runs: Path) -> None:
    answer = engine.run("train", runs=runs, options=["--env=REDOX_COMMIT_TIME=4102444800"])
    assert_refused(answer, "before this program was written: set the host's clock")


def test_a_folder_of_the_host_that_belongs_to_another_user_is_refused(engine: Engine, runs: Path) -> None:
    runs.chmod(0o755)
    answer = engine.run("train", runs=runs)
    assert_refused(answer, "/data/experiments/first cannot be written by user 10001: mount a volume")
    assert list(runs.iterdir()) == []


def test_limits_below_the_settings_give_a_warning_and_training_runs(engine: Engine, runs: Path) -> None:
    flags = replace(FLAGS, nofile=4096, nproc=4096)
    answer = engine.run("train", "--num-actors", "0", "--timesteps", "512", runs=runs, flags=flags)
    assert answer.returncode == 0, answer.stderr
    limits = SETTINGS.limits
    for name, wanted in (("nofile", limits.nofile), ("nproc", limits.nproc)):
        assert f"redox: warning: {name} is 4096, the settings ask for {wanted}: docker run --ulimit" in answer.stderr
    assert (runs / "first" / "latest").is_dir()


def test_one_data_folder_holds_experiments_and_spilled_objects_as_on_the_host(engine: Engine, runs: Path) -> None:
    answer = engine.run("train", "--num-actors", "0", "--timesteps", "512", data=runs)
    assert answer.returncode == 0, answer.stderr
    assert (runs / "experiments" / "first" / "latest").is_dir()
    assert (runs / "spill").is_dir()


def test_errors_of_the_trainer_are_passed_on(engine: Engine, runs: Path) -> None:
    answer = engine.run("train", "--num-actors", "many", runs=runs)
    assert answer.returncode == 2
    assert "--num-actors" in answer.stderr


def test_shell_and_every_command_of_redox_are_modes(engine: Engine) -> None:
    assert engine.run("shell", "-c", "echo $0 $PYTHONPATH").stdout == "bash /opt/redox/app\n"
    checks = json.loads(engine.run("doctor", "--json").stdout)["checks"]
    assert {check["name"]: check["level"] for check in checks}["solver"] == "ok"
    assert "No such command 'dance'" in engine.run("dance").stderr
