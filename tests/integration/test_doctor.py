"""`redox doctor` as a user runs it."""

import resource
from pathlib import Path

from commands import assert_refused, redox_json, redox_process
from redox_balancer.runs.preflight import descriptors_needed

TOO_SMALL = ("--budget", "1e-9", "--membrane-budget", "1e-9")


def test_a_machine_that_can_train_passes_and_nothing_is_written(tmp_path: Path) -> None:
    small = ("--num-actors", 1, "--object-store-bytes", 80_000_000)
    answer = redox_json("doctor", *small, run=redox_process, cwd=tmp_path)
    checks = {check["name"]: check for check in answer["checks"]}
    assert checks["solver"]["level"] == checks["reward signal"]["level"] == checks["file limit"]["level"] == "ok"
    assert "swiglpk" in checks["solver"]["found"]
    assert list(tmp_path.iterdir()) == []


def test_every_check_is_shown_and_the_failing_ones_are_named(tmp_path: Path) -> None:
    limit = descriptors_needed(100) - 1

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    answer = redox_process("doctor", "--num-actors", "100", *TOO_SMALL, cwd=tmp_path, limit=lower)
    assert_refused(answer, f"file limit: {limit}", "(and 1 more)", f"prlimit --nofile={limit + 1}:", finding=True)
    assert "reward signal" in answer.stdout
    assert "a return of 0 for each" in answer.stdout
