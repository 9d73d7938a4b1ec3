"""The monitor: samples for the watchdog, and where its alarms go."""

import pytest

from redox_balancer.errors import EXIT_NONSENSE
from redox_balancer.impala.learner import LearnerState, Update
from redox_balancer.impala.rollout import policy_shape
from redox_balancer.resources import ProcessStats
from redox_balancer.runs.monitor import Monitor, NonsenseError
from redox_balancer.runs.watchdog import Watchdog, WatchdogLimits
from toy_envs import Shelf

MEGABYTE = 2**20


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_growing_processes_are_reported_with_the_time_left_and_ended_ones_forgotten() -> None:
    lines: list[str] = []
    clock = Clock()
    monitor = Monitor(Watchdog(WatchdogLimits(slope_min_s=60.0), clock=clock), lines.append)

    def check(minute: int, names: str) -> float:
        clock.now = 60.0 * minute
        processes = {
            name: ProcessStats(uss_bytes=(100 + 6 * minute) * MEGABYTE, descriptors=9, threads=5) for name in names
        }
        return monitor.health(processes, checkpoint_age_s=0.0, available_bytes=720 * MEGABYTE)

    assert [check(minute, "ab") for minute in range(2)] == [0.0, 0.0]  # two samples are no trend
    assert check(2, "ab") == pytest.approx(2 * 0.1 * MEGABYTE)
    said = f"2 processes grow by {720 * MEGABYTE / 1e6:,.0f} MB per hour, a by {360 * MEGABYTE / 1e6:,.0f}"
    assert lines == [f"memory: out of memory in 1.0 h: {said}"]
    assert check(3, "a") == pytest.approx(0.1 * MEGABYTE)
    assert check(4, "") == 0.0
    assert check(5, "a") == 0.0  # a later process of that name starts over


def test_an_update_that_is_not_finite_ends_the_run() -> None:
    monitor = Monitor(Watchdog(WatchdogLimits()), pytest.fail)
    state = LearnerState.fresh(policy_shape(Shelf(), (8,)), seed=0)
    monitor.update(Update(state, {"policy_loss": 0.1}, [0], []))
    with pytest.raises(NonsenseError, match=r"nan.*policy_loss not finite") as caught:
        monitor.update(Update(state, {"policy_loss": float("nan")}, [0], []))
    assert caught.value.exit_code == EXIT_NONSENSE == 70  # which is not restarted
