"""What the watchdog is shown of a run, and who hears of it."""

from __future__ import annotations

import pytest

from redox_balancer.impala.learner import LearnerState, Update
from redox_balancer.impala.rollout import policy_shape
from redox_balancer.resources import ProcessStats
from redox_balancer.runs.monitor import Monitor
from redox_balancer.runs.watchdog import HealthSample, NonsenseError, Watchdog, WatchdogLimits
from toy_envs import Shelf

MEGABYTE = 2**20


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_growing_processes_are_told_with_the_time_left_and_those_that_ended_are_forgotten() -> None:
    lines: list[str] = []
    clock = Clock()
    oversight = Monitor(Watchdog(WatchdogLimits(slope_min_s=60.0), clock=clock), lines.append)

    def look(minute: int, names: str) -> float:
        clock.now = 60.0 * minute
        processes = {
            name: ProcessStats(uss_bytes=(100 + 6 * minute) * MEGABYTE, descriptors=9, threads=5) for name in names
        }
        return oversight.health(processes, HealthSample(0.0, 720 * MEGABYTE))

    assert [look(minute, "ab") for minute in range(2)] == [0.0, 0.0]  # two samples are no trend
    assert look(2, "ab") == pytest.approx(2 * 0.1 * MEGABYTE)
    said = f"2 processes grow by {720 * MEGABYTE / 1e6:,.0f} MB an hour, a by {360 * MEGABYTE / 1e6:,.0f}"
    assert lines == [f"memory: out of memory in 1.0 h: {said}"]
    assert look(3, "a") == pytest.approx(0.1 * MEGABYTE)
    assert look(4, "") == 0.0
    assert look(5, "a") == 0.0  # the next process of that name starts anew


def test_an_update_that_is_no_number_ends_the_run() -> None:
    oversight = Monitor(Watchdog(WatchdogLimits()), pytest.fail)
    state = LearnerState.fresh(policy_shape(Shelf(), (8,)), seed=0)
    oversight.update(Update(state, {"policy_loss": 0.1}, [0], []))
    with pytest.raises(NonsenseError, match="policy_loss not finite"):
        oversight.update(Update(state, {"policy_loss": float("nan")}, [0], []))
