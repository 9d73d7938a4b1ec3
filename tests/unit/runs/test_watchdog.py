"""The watchdog on streams of samples whose health is known."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from redox_balancer.resources import MEBIBYTE, ProcessStats
from redox_balancer.runs.watchdog import Alarm, Watchdog, WatchdogLimits

LIMITS = WatchdogLimits(episodes=20, constructs=4, repeat_s=0.0)
GOOD = {"policy_loss": 0.1, "baseline_loss": 0.2, "entropy": 1.0, "rho_mean": 1.0, "grad_norm": 0.5}
GIGABYTE = 10**9
Episode = tuple[int, float]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def levels(judge: Callable[..., list[Alarm]], samples: Iterable[tuple[Any, ...]]) -> set[tuple[str, str]]:
    return {(alarm.name, alarm.level) for sample in samples for alarm in judge(*sample)}


def episodes(constructs: int, count: int, value: float = 0.0) -> list[Episode]:
    return [(number % constructs, value) for number in range(count)]


def rollouts(stream: list[Episode], size: int) -> Iterator[tuple[Any, Any]]:
    """The episodes of a stream, so many in each rollout."""
    for first in range(0, len(stream), size):
        constructs, values = zip(*stream[first : first + size], strict=True)
        yield np.asarray(constructs), np.asarray(values)


WORSE_FIRST = [(9, 0.1)]
BETTER_FIRST = [(9, 0.9)]


@pytest.mark.parametrize("size", [1, 7, 500])
@pytest.mark.parametrize(
    ("stream", "raised"),
    [
        (episodes(4, 20), {("constant value", "stop")}),
        (episodes(4, 20, 0.7), {("constant value", "stop")}),
        (episodes(4, 19), set()),
        (episodes(3, 200, 0.7), set()),
        (episodes(1, 500, 0.7), set()),
        ([(n, 0.01 * n) for n in range(200)], set()),
        ([*episodes(4, 19), (1, 0.5), *episodes(4, 19)], set()),
        # Values that differ in the last digits are one value.
        ([(n, 0.7 + n * 1e-12) for n in range(20)], {("constant value", "stop")}),
        # All constructs equal and worse than before: the environment broke. All equal and best: a plateau.
        (BETTER_FIRST + episodes(4, 20), {("constant value", "stop")}),
        (WORSE_FIRST + episodes(4, 20, 0.7), {("constant value", "warn")}),
        ([(1, math.nan)], {("nan", "stop")}),
    ],
)
def test_different_constructs_of_one_value_stop_the_run_and_a_converged_policy_does_not(
    stream: list[Episode], raised: set[tuple[str, str]], size: int
) -> None:
    assert levels(Watchdog(LIMITS).episodes, rollouts(stream, size)) == raised


def test_a_resumed_run_on_a_plateau_restores_the_values_seen_before() -> None:
    for best, level in ((0.5, "warn"), (0.9, "stop")):
        watchdog = Watchdog(LIMITS, known_returns=(0.0, best))
        assert levels(watchdog.episodes, rollouts(episodes(4, 20, 0.7), 5)) == {("constant value", level)}


def updates(count: int, *, lag: int = 0, lost: int = 0, **figures: float) -> list[dict[str, Any]]:
    return [
        {"metrics": GOOD | figures, "lag_max": lag, "steps": 500 * (n + 1), "dropped": lost * n} for n in range(count)
    ]


@pytest.mark.parametrize(
    ("stream", "raised"),
    [
        (updates(200), set()),
        (updates(1, policy_loss=math.nan), {("nan", "stop")}),
        (updates(1, grad_norm=math.inf), {("nan", "stop")}),
        (updates(2, rho_mean=11.0), set()),
        (updates(3, rho_mean=11.0), {("exploding", "warn")}),
        (updates(20, grad_norm=1e5), {("exploding", "warn"), ("exploding", "stop")}),
        (10 * [*updates(2, grad_norm=1e5), *updates(1)], set()),
        (updates(1, lag=51), {("lag", "warn")}),
        (updates(200, lag=50), set()),
        (updates(200, lost=100), {("dropped", "warn")}),
        (updates(200, lost=50), set()),
    ],
)  # fmt: skip
def test_metrics_of_updates(stream: list[dict[str, Any]], raised: set[tuple[str, str]]) -> None:
    watchdog = Watchdog(LIMITS)
    assert {(alarm.name, alarm.level) for update in stream for alarm in watchdog.update(**update)} == raised


@pytest.mark.parametrize(("age_s", "raised"), [(900.0, set()), (901.0, {("checkpoint age", "warn")})])
def test_the_age_of_the_newest_checkpoint(age_s: float, raised: set[tuple[str, str]]) -> None:
    found = Watchdog(LIMITS).health({}, checkpoint_age_s=age_s)
    assert {(alarm.name, alarm.level) for alarm in found} == raised


def test_memory_that_grows_is_projected_with_outliers_and_steps_left_aside() -> None:
    clock = Clock()
    watchdog = Watchdog(LIMITS, clock=clock)
    noise = np.random.default_rng(0)
    for minute in range(60):
        clock.now = 60.0 * minute
        # 1 MB a minute each, a spike now and then, and a cache that was given back once.
        uss = 100e6 + 1e6 * minute + 3e8 * (minute % 20 == 7) - 5e6 * (minute > 50) + noise.normal(0, 2e5, 2)
        actors = {f"actor {actor}": ProcessStats(int(uss[actor]), 50, 20) for actor in range(2)}
        assert not watchdog.health(actors)
    slopes = watchdog.memory_slope
    assert slopes["actor 0"] == pytest.approx(1e6 / 60, rel=0.1)
    left_h = 372e6 / sum(slopes.values()) / 3600
    [alarm] = watchdog.health(actors, available_bytes=372_000_000)
    assert (alarm.name, alarm.level) == ("memory", "warn")
    assert alarm.text.startswith(f"out of memory in {left_h:.1f} h: 2 processes grow by ")
    assert 2.8 < left_h < 3.6
    assert not watchdog.health(actors, available_bytes=100 * GIGABYTE)
    assert not watchdog.health(actors, available_bytes=372_000_000, left_s=3600.0 * (left_h - 0.1))
    assert watchdog.health(actors, available_bytes=372_000_000, left_s=3600.0 * (left_h + 0.1))
    assert not watchdog.health({}, available_bytes=372_000_000)


def test_memory_that_holds_or_was_watched_too_short_gives_no_projection() -> None:
    clock = Clock()
    watchdog = Watchdog(LIMITS, clock=clock)
    for step in range(29):
        clock.now = 10.0 * step
        watchdog.health({"learner": ProcessStats(10**8 + 10**6 * step, 50, 20)})
    assert not watchdog.memory_slope
    for step in range(300):
        clock.now += 10.0
        holding = {"learner": ProcessStats(2 * 10**8 + step % 2, 50, 20)}
        watchdog.health(holding)
    assert watchdog.memory_slope["learner"] == pytest.approx(0.0, abs=1.0)
    assert not watchdog.health(holding, available_bytes=GIGABYTE)


@pytest.mark.parametrize(
    ("last", "raised"),
    [
        (ProcessStats(1, 114, 84), set()),
        (ProcessStats(1, 115, 84), {("descriptors of actor 1.0", "warn")}),
        (ProcessStats(1, 114, 85), {("threads of actor 1.0", "warn")}),
    ],
)
def test_descriptors_and_threads_of_a_process_do_not_grow(last: ProcessStats, raised: set[tuple[str, str]]) -> None:
    stream = [({"actor 1.0": ProcessStats(1, 50, 20)},), ({"actor 1.0": last},)]
    assert levels(Watchdog(LIMITS).health, stream) == raised


def test_a_warning_is_repeated_only_after_a_while_and_each_process_has_its_own() -> None:
    clock = Clock()
    watchdog = Watchdog(WatchdogLimits(repeat_s=600.0), clock=clock)
    for clock.now, raised in ((0.0, True), (599.0, False), (600.0, True)):
        assert bool(watchdog.health({}, checkpoint_age_s=1000.0)) is raised


def test_growing_processes_are_reported_with_the_time_left_and_ended_ones_forgotten() -> None:
    clock = Clock()
    watchdog = Watchdog(WatchdogLimits(slope_min_s=60.0), clock=clock)

    def check(minute: int, names: str) -> tuple[float, list[str]]:
        clock.now = 60.0 * minute
        uss_bytes = (100 + 6 * minute) * MEBIBYTE
        processes = {name: ProcessStats(uss_bytes=uss_bytes, descriptors=9, threads=5) for name in names}
        found = watchdog.health(processes, available_bytes=720 * MEBIBYTE)
        return sum(watchdog.memory_slope.values()), [alarm.text for alarm in found]

    for minute in range(2):  # two samples are no trend
        assert check(minute, "ab") == (0.0, [])
    said = f"2 processes grow by {720 * MEBIBYTE / 1e6:,.0f} MB per hour, a by {360 * MEBIBYTE / 1e6:,.0f}"
    assert check(2, "ab") == (pytest.approx(2 * 0.1 * MEBIBYTE), [f"out of memory in 1.0 h: {said}"])
    assert check(3, "a") == (pytest.approx(0.1 * MEBIBYTE), [])
    assert check(4, "") == (0.0, [])
    assert check(5, "a") == (0.0, [])  # a later process of that name starts over
