"""Preflight checks: what is refused, what raises a warning and what passes, with its remedy."""

import math
import resource
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from commands import python
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.resources import MachineLimits, machine, memory
from redox_balancer.runs import preflight
from redox_balancer.runs.preflight import Check, Level, all_checks, machine_checks, reward_check, solver_check
from redox_balancer.runs.reward_signal import reward_signal
from toy_envs import BEST_RETURN, Fading, Shelf, Shelves

CONFIG = TrainConfig(num_actors=10, object_store_bytes=100_000_000)
AMPLE = MachineLimits(
    files_soft=1024,
    files_hard=10_000,
    threads_limit=math.inf,
    threads=0,
    shared_memory_bytes=10**10,
    disk_bytes=10**11,
    memory_bytes=10**11,
    cores=16,
    environment={},
)


def by_name(config: TrainConfig, found: MachineLimits) -> dict[str, Check]:
    return {check.name: check for check in machine_checks(config, found)}


def test_an_ample_machine_passes_every_check() -> None:
    assert {check.level for check in by_name(CONFIG, AMPLE).values()} == {Level.OK}
    assert not any(check.remedy for check in by_name(CONFIG, AMPLE).values())


NEEDED_FILES = preflight.descriptors_needed(10)
NEEDED_THREADS = preflight.THREADS.at(10, preflight.MARGIN)


@pytest.mark.parametrize(
    ("name", "change", "level", "remedy"),
    [
        ("file limit", {"files_hard": NEEDED_FILES}, Level.OK, ""),
        ("file limit", {"files_hard": NEEDED_FILES - 1}, Level.FAIL, f"prlimit --nofile={NEEDED_FILES}:"),
        ("process limit", {"threads_limit": 100 + NEEDED_THREADS, "threads": 100}, Level.OK, ""),
        (
            "process limit",
            {"threads_limit": 99 + NEEDED_THREADS, "threads": 100},
            Level.FAIL,
            f"prlimit --nproc={100 + NEEDED_THREADS}:",
        ),
        ("shared memory", {"shared_memory_bytes": 100_000_000}, Level.OK, ""),
        ("shared memory", {"shared_memory_bytes": 99_999_999}, Level.WARN, "remount,size=110000000"),
        ("shared memory", {"shared_memory_bytes": None}, Level.OK, ""),
        ("cores", {"cores": 10}, Level.OK, ""),
        ("cores", {"cores": 9}, Level.WARN, "at most 9 actors"),
        (
            "thread variables",
            {"environment": {"RAY_worker_num_grpc_internal_threads": "8"}},
            Level.WARN,
            "unset RAY_worker_num_grpc_internal_threads",
        ),
        ("thread variables", {"environment": {"RAY_worker_num_grpc_internal_threads": "1"}}, Level.OK, ""),
    ],
)
def test_each_limit_is_graded_at_its_edge(name: str, change: dict[str, Any], level: Level, remedy: str) -> None:
    check = by_name(CONFIG, replace(AMPLE, **change))[name]
    assert check.level is level
    assert remedy in check.remedy
    assert bool(check.remedy) is (level is not Level.OK)


def test_learners_in_processes_of_their_own_are_counted() -> None:
    two = CONFIG.changed(learner_cells=2)
    poor = replace(AMPLE, files_hard=NEEDED_FILES, threads_limit=NEEDED_THREADS, cores=10)
    assert {check.level for check in by_name(CONFIG, poor).values()} == {Level.OK}
    assert {name for name, check in by_name(two, poor).items() if check.level is Level.FAIL} == {
        "file limit",
        "process limit",
    }
    assert "10 actors and 2 cells" in by_name(two, poor)["file limit"].needed
    assert by_name(CONFIG.changed(learner_cells=10), replace(AMPLE, cores=9))["cores"].level is Level.WARN


def test_a_joined_cluster_and_a_serial_run_skip_the_checks_that_do_not_concern_them() -> None:
    poor = replace(AMPLE, shared_memory_bytes=0, cores=1)
    assert "cores" not in by_name(CONFIG.changed(ray_address="auto"), poor)
    assert set(by_name(CONFIG.changed(num_actors=0), poor)) == {"file limit", "process limit"}


@pytest.mark.parametrize(
    ("change", "settings", "levels"),
    [
        ({}, {}, {"disk": Level.OK, "memory": Level.OK}),
        ({"disk_bytes": 100_000_000}, {}, {"disk": Level.FAIL, "memory": Level.OK}),
        # 400 milestones of half a megabyte each are more than the rest.
        ({"disk_bytes": 300_000_000}, {}, {"disk": Level.OK, "memory": Level.OK}),
        ({"disk_bytes": 300_000_000}, {"keep_every_steps": 375}, {"disk": Level.FAIL, "memory": Level.OK}),
        ({"memory_bytes": 500_000_000}, {}, {"disk": Level.OK, "memory": Level.FAIL}),
        # Room for some of the actors: a run starts with those, and adds others while memory allows.
        ({"memory_bytes": 10**9}, {}, {"disk": Level.OK, "memory": Level.WARN}),
        ({"memory_bytes": 4 * 10**9}, {"num_actors": 100}, {"disk": Level.OK, "memory": Level.WARN}),
        ({"memory_bytes": 10**9}, {"learner_cells": 3}, {"disk": Level.OK, "memory": Level.FAIL}),
        ({"memory_bytes": 10**9}, {"num_actors": 0}, {"disk": Level.OK}),
    ],
)
def test_disk_and_memory_follow_from_checkpoints_and_actors(
    change: dict[str, Any], settings: dict[str, Any], levels: dict[str, Level]
) -> None:
    config = CONFIG.changed(**settings)
    trial = preflight.Trial.of(config, Shelves())
    found = {
        check.name: check.level
        for check in preflight.environment_checks(config, Shelves(), trial, replace(AMPLE, **change))
    }
    assert found == levels | {"reward signal": Level.OK}


class OneInTen(Shelf):
    """Pays for the last prize only, and only as the second one."""

    def step(self, action: int) -> Any:
        observation, _, over, cut, info = super().step(action)
        return observation, float(self._taken[1:] == [3]), over, cut, info


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "a return of 0 for each"), (0.7, "returns from 0.7 to 0.7"), (math.nan, "a return of nan")],
)
def test_a_reward_without_signal_is_refused(value: float, said: str, tmp_path: Path) -> None:
    warnings: list[str] = []
    with pytest.raises(RedoxError, match=f"reward signal: {said}") as caught:
        preflight.preflight(CONFIG.changed(num_actors=0), Fading(value), tmp_path, warn=warnings.append)
    assert caught.value.exit_code == 2
    assert "conditions" in caught.value.settings
    assert not warnings
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("memory_bytes", "actors"), [(10**9, 5), (4 * 10**9, 30), (40 * 10**9, 100)])
def test_a_run_starts_with_the_actors_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int, actors: int
) -> None:
    """The memory that a hundred actors need is no reason to refuse a machine on which fewer can train."""
    monkeypatch.setattr(preflight, "machine", lambda _: replace(AMPLE, memory_bytes=memory_bytes))
    found = preflight.preflight(CONFIG.changed(num_actors=100), Shelves(), tmp_path, warn=lambda _: None)
    assert found.actors == pytest.approx(actors, rel=0.3)  # the size of an environment is measured
    assert (
        preflight.preflight(
            CONFIG.changed(num_actors=100, ray_address="auto"), Shelves(), tmp_path, warn=lambda _: None
        ).actors
        == 100
    )


def test_the_returns_of_the_trial_and_warnings_are_passed_on(tmp_path: Path) -> None:
    warnings: list[str] = []
    config = CONFIG.changed(num_actors=1, learner_threads=10_000)
    returns, actors = preflight.preflight(config, Shelves(), tmp_path, warn=warnings.append)
    assert actors == 1
    assert 0.0 <= min(returns) < max(returns) <= BEST_RETURN
    assert any(text.startswith("cores: ") for text in warnings)


def test_a_rare_reward_is_found() -> None:
    assert reward_check(reward_signal([Shelf()])).level is Level.OK
    for seed in range(20):
        assert reward_signal([OneInTen()], seed=seed).present


def test_the_error_of_a_solver_is_the_finding() -> None:
    def broken() -> str:
        raise RedoxError("it gives 2", hint="reinstall it")

    assert solver_check(lambda: "fine").level is Level.OK
    assert solver_check(broken) == Check(
        "solver", Level.FAIL, "it gives 2", "the known optimum of a small problem", "reinstall it"
    )


def test_memory_is_that_of_the_container_where_it_has_less_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory()
    assert 0 < whole.available_bytes < whole.total_bytes
    monkeypatch.setattr("redox_balancer.resources.CGROUP", tmp_path)
    (tmp_path / "memory.current").write_text("700000000\n")
    (tmp_path / "memory.stat").write_text("anon 500000000\ninactive_file 150000000\nactive_file 50000000\n")
    for limit in ("max", str(10 * whole.total_bytes)):
        (tmp_path / "memory.max").write_text(limit)
        assert memory().total_bytes == whole.total_bytes
    (tmp_path / "memory.max").write_text("1000000000\n")
    assert memory() == (450_000_000, 1_000_000_000)
    assert machine(tmp_path).memory_bytes == 450_000_000


def test_the_limits_of_this_machine_are_read_and_every_check_is_ready_for_json(tmp_path: Path) -> None:
    found = machine(tmp_path / "not" / "there")
    assert found.files_hard == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert found.disk_bytes > 0
    assert found.memory_bytes > 0
    checks = [asdict(check) for check in all_checks(TrainConfig(), Shelves(), tmp_path, solver=lambda: "fine")]
    assert {"file limit", "process limit", "solver", "disk", "memory", "reward signal"} <= {c["name"] for c in checks}
    assert {check["level"] for check in checks} <= {"ok", "warn", "fail"}


PROGRAM = """
import resource, sys
from pathlib import Path
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.preflight import preflight
from toy_envs import Shelves
resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[1])))
config = TrainConfig(num_actors=10, object_store_bytes=100_000_000)
preflight(config, Shelves(), Path(), warn=lambda _: None)
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize("missing", [0, 1])
def test_the_soft_limit_is_raised_and_a_hard_limit_one_below_the_need_is_refused(missing: int) -> None:
    limit = NEEDED_FILES - missing
    answer = python(PROGRAM, limit, env={"PYTHONPATH": ":".join(sys.path)})
    if missing:
        assert answer.stdout == ""
        assert f"RedoxError: file limit: {limit}" in answer.stderr
    else:
        assert answer.stdout.split() == [str(limit), str(limit)], answer.stderr
