"""Watchdogs: what a run's samples say about its health, as pure logic with a clock that can be given.

A sample goes in, alarms come out: `warn` is a line in the log, `stop` ends the run with `EXIT_NONSENSE`, which a
supervisor must not restart, because the next process would compute the same nonsense.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import theilslopes

from redox_balancer.errors import EXIT_NONSENSE, RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.rollout import Rollout
from redox_balancer.resources import ProcessStats

CHECKED_FOR_NAN = ("policy_loss", "baseline_loss", "entropy", "rho_mean", "grad_norm")


@dataclass(frozen=True)
class EpisodeSample:
    """An episode that ended.

    Attributes
    ----------
    construct
        The actions taken, sorted: the same placements in another order are the same construct.
    value
        Its return.
    """

    construct: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class UpdateSample:
    """An update of the learner: its figures, the largest lag of its rollouts, and the run's counters after it."""

    metrics: Mapping[str, float]
    lag_max: int
    steps: int
    dropped: int


@dataclass(frozen=True)
class ProcessSample:
    """What a process takes; `process` names it and its incarnation, as in `actor 3.0`."""

    process: str
    stats: ProcessStats


@dataclass(frozen=True)
class HealthSample:
    """The state of the run as a whole.

    Attributes
    ----------
    checkpoint_age_s
        Seconds since the last whole checkpoint was written (or since the start).
    available_bytes
        Memory that is still free on this machine.
    left_s
        Seconds until the run has all its steps.
    """

    checkpoint_age_s: float
    available_bytes: int
    left_s: float = math.inf


Sample = EpisodeSample | UpdateSample | ProcessSample | HealthSample


@dataclass(frozen=True)
class Alarm:
    """What is wrong: a name, whether the run must stop, and one line."""

    name: str
    level: Literal["warn", "stop"]
    text: str


@dataclass(frozen=True)
class WatchdogLimits:
    """When to raise an alarm.

    Attributes
    ----------
    episodes, constructs
        So many episodes in a row with so many different constructs among them and one value are nonsense.
    rho_mean, grad_norm
        Mean importance ratio (1 on policy) and norm of the unclipped gradient that no healthy update has.
    exploding_warn, exploding_stop
        So many updates in a row beyond one of these.
    lag
        Versions of the policy between acting and learning.
    dropped_share
        Share of transitions thrown away as too old, over `dropped_window` transitions.
    checkpoint_age_s
        Age of the newest checkpoint.
    memory_horizon_s
        Projections further away, or after the end of the run, are not reported: caches that fill in the first
        minutes look like a leak.
    slope_samples, slope_min_s
        Samples of memory kept for a fit, and the time they must span.
    growth
        Descriptors or threads above the first sample of a process.
    repeat_s
        An alarm of one name is repeated after this time at the earliest.
    """

    episodes: int = 512
    constructs: int = 16
    rho_mean: float = 10.0
    grad_norm: float = 1e4
    exploding_warn: int = 3
    exploding_stop: int = 20
    lag: int = 50
    dropped_share: float = 0.1
    dropped_window: int = 20_000
    checkpoint_age_s: float = 900.0
    memory_horizon_s: float = 24 * 3600.0
    slope_samples: int = 120
    slope_min_s: float = 300.0
    growth: int = 64
    repeat_s: float = 600.0

    @classmethod
    def of(cls, config: TrainConfig) -> WatchdogLimits:
        """WatchdogLimits of a run: its own largest lag, and three missed checkpoints where those go by seconds."""
        age_s = math.inf if config.save_interval_steps else 3 * config.save_interval_s
        return cls(lag=config.max_lag, checkpoint_age_s=age_s)


class Watchdog:
    """Looks at samples of a run and says what is wrong with it.

    Parameters
    ----------
    limits
        When to raise an alarm.
    seen
        Returns that the environment is known to give, as the reward signal of the preflight checks. Without them a
        resumed run whose policy rests on a plateau looks as if no other value existed.
    clock
        Seconds that only grow.
    """

    def __init__(
        self, limits: WatchdogLimits, *, seen: Sequence[float] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._clock = limits, clock
        self._episodes: deque[EpisodeSample] = deque(maxlen=limits.episodes)
        self._range = (min(seen, default=math.inf), max(seen, default=-math.inf))
        self._exploding = 0
        self._counters: deque[tuple[int, int]] = deque()
        self._memory: dict[str, deque[tuple[float, int]]] = {}
        self._first: dict[str, ProcessStats] = {}
        self._raised: dict[str, float] = {}

    def observe(self, sample: Sample) -> list[Alarm]:
        """Take in a sample; the alarms it raises, without those of the same name raised a short time ago."""
        match sample:
            case EpisodeSample():
                alarms = self._constant(sample)
            case UpdateSample():
                alarms = [*_not_a_number(sample.metrics), *self._exploded(sample.metrics), *self._lagging(sample)]
            case ProcessSample():
                alarms = self._growing(sample)
            case HealthSample():
                alarms = [*self._unsaved(sample), *self._out_of_memory(sample)]
        return [alarm for alarm in alarms if self._due(alarm)]

    def forget(self, process: str) -> None:
        """A process has ended: its samples no longer count."""
        self._memory.pop(process, None)
        self._first.pop(process, None)

    @property
    def memory_slope(self) -> Mapping[str, float]:
        """Growth of each process that was watched long enough, in bytes per second."""
        slopes = {process: _slope(samples, self._limits.slope_min_s) for process, samples in self._memory.items()}
        return {process: slope for process, slope in slopes.items() if slope is not None}

    def _due(self, alarm: Alarm) -> bool:
        now, key = self._clock(), f"{alarm.level} {alarm.name}"
        if alarm.level == "warn" and now - self._raised.get(key, -math.inf) < self._limits.repeat_s:
            return False
        self._raised[key] = now
        return True

    def _constant(self, sample: EpisodeSample) -> list[Alarm]:
        """Different constructs that all have one value.

        A policy that has converged may rest on a plateau where its constructs are equally good. Such a plateau is
        the best that was ever seen, with worse below it; that is worth a warning and no more.
        """
        if math.isnan(sample.value):
            return [Alarm("nan", "stop", "the value of a construct is not a number")]
        low, high = self._range = min(self._range[0], sample.value), max(self._range[1], sample.value)
        # The episode that differs leaves the window at the earliest after `episodes` others.
        if self._episodes and not _same(sample.value, self._episodes[-1].value):
            self._episodes.clear()
        self._episodes.append(sample)
        if len(self._episodes) < self._limits.episodes:
            return []
        constructs = len({episode.construct for episode in self._episodes})
        if constructs < self._limits.constructs:
            return []
        plateau = not _same(low, high) and _same(sample.value, high)
        text = (
            f"{constructs} different constructs in {len(self._episodes)} episodes all have value {sample.value:.6g}"
        )
        return [Alarm("constant value", "warn" if plateau else "stop", text)]

    def _exploded(self, metrics: Mapping[str, float]) -> list[Alarm]:
        beyond = [
            f"{name} {metrics[name]:.3g}"
            for name, limit in (("rho_mean", self._limits.rho_mean), ("grad_norm", self._limits.grad_norm))
            if metrics.get(name, 0.0) > limit
        ]
        self._exploding = self._exploding + 1 if beyond else 0
        if self._exploding < self._limits.exploding_warn:
            return []
        text = f"{', '.join(beyond)} in the last of {self._exploding} updates in a row beyond the limit"
        return [Alarm("exploding", "stop" if self._exploding >= self._limits.exploding_stop else "warn", text)]

    def _lagging(self, sample: UpdateSample) -> list[Alarm]:
        alarms = []
        if sample.lag_max > self._limits.lag:
            alarms.append(
                Alarm("lag", "warn", f"rollouts are {sample.lag_max} versions old, more than {self._limits.lag}")
            )
        counters = self._counters
        counters.append((sample.steps, sample.dropped))
        while sum(counters[-1]) - sum(counters[0]) >= self._limits.dropped_window:
            used, lost = (after - before for before, after in zip(counters[0], counters[-1], strict=True))
            share = lost / (used + lost)
            if share > self._limits.dropped_share:
                alarms.append(Alarm("dropped", "warn", f"{100 * share:.0f} % of the transitions were too old to use"))
            counters.popleft()
        return alarms

    def _growing(self, sample: ProcessSample) -> list[Alarm]:
        process, stats = sample.process, sample.stats
        samples = self._memory.setdefault(process, deque(maxlen=self._limits.slope_samples))
        samples.append((self._clock(), stats.uss_bytes))
        first = self._first.setdefault(process, stats)
        return [
            Alarm(f"{what} of {process}", "warn", f"{process} has {now} {what}, {now - before} more than at first")
            for what, before, now in (
                ("descriptors", first.descriptors, stats.descriptors),
                ("threads", first.threads, stats.threads),
            )
            if now - before > self._limits.growth
        ]

    def _unsaved(self, sample: HealthSample) -> list[Alarm]:
        age = sample.checkpoint_age_s
        if age <= self._limits.checkpoint_age_s:
            return []
        return [Alarm("checkpoint age", "warn", f"no checkpoint for {age / 60:.0f} min")]

    def _out_of_memory(self, sample: HealthSample) -> list[Alarm]:
        """Projects the growth of all processes together onto the memory that is left."""
        slopes = self.memory_slope
        total = sum(slopes.values())
        if total <= 0:
            return []
        left_s = sample.available_bytes / total
        if left_s > min(self._limits.memory_horizon_s, sample.left_s):
            return []
        worst = max(slopes, key=lambda process: slopes[process])
        return [
            Alarm(
                "memory",
                "warn",
                f"out of memory in {left_s / 3600:.1f} h: {len(slopes)} processes grow by {total * 3600 / 1e6:,.0f} "
                f"MB an hour, {worst} by {slopes[worst] * 3600 / 1e6:,.0f}",
            )
        ]


class EpisodeTracker:
    """Puts the episodes of an actor together again from its rollouts, which cut them at any step."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[tuple[int, int], list[list[int]]]] = {}

    def samples(self, rollout: Rollout) -> list[EpisodeSample]:
        """Episodes that ended in this rollout and whose every step was seen here."""
        follows, taken = self._open.get(rollout.actor, ((-1, -1), []))
        if follows != (rollout.incarnation, rollout.sequence):
            taken = [[] for _ in range(rollout.actions.shape[1])]
        found = []
        episodes = zip(rollout.episodes.returns.tolist(), rollout.episodes.lengths.tolist(), strict=True)
        over = rollout.terminated | rollout.truncated
        for actions, ends in zip(rollout.actions.tolist(), over.tolist(), strict=True):
            for b, (action, end) in enumerate(zip(actions, ends, strict=True)):
                taken[b].append(action)
                if end:
                    value, length = next(episodes)
                    # More actions than steps: the collector dropped an episode and began anew. Fewer: it began in a
                    # rollout that is not here.
                    if len(taken[b]) >= length:
                        found.append(EpisodeSample(tuple(sorted(taken[b][-length:])), value))
                    taken[b] = []
        self._open[rollout.actor] = (rollout.incarnation, rollout.sequence + 1), taken
        return found


class NonsenseError(RedoxError):
    """A training that learns from nonsense: its state must not be saved, and to start it again would not help."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(
            f"stopped by the watchdog ({alarm.name}): {alarm.text}",
            hint="redox doctor checks the reward signal; the checkpoints before this are kept",
            exit_code=EXIT_NONSENSE,
        )


def raise_if_stop(alarms: Iterable[Alarm]) -> None:
    """Raise a `NonsenseError` for the first alarm that stops a run."""
    for alarm in alarms:
        if alarm.level == "stop":
            raise NonsenseError(alarm)


def _not_a_number(metrics: Mapping[str, float]) -> list[Alarm]:
    broken = [name for name in CHECKED_FOR_NAN if not math.isfinite(metrics.get(name, 0.0))]
    return [Alarm("nan", "stop", f"{', '.join(broken)} not finite")] if broken else []


def _same(one: float, other: float) -> bool:
    """Whether two values are one: LP optima differ in their last digits with the path that led to them."""
    return math.isclose(one, other, rel_tol=1e-7, abs_tol=1e-9)


def _slope(samples: deque[tuple[float, int]], least_s: float) -> float | None:
    """Return bytes per second by the median of all pairwise slopes (Theil-Sen), None where too short a time is known.

    A cache that fills or is emptied at once is a step, which hardly moves that median.
    """
    if len(samples) < 3 or samples[-1][0] - samples[0][0] < least_s:
        return None
    at, size = np.asarray(samples, dtype=np.float64).T
    return float(theilslopes(size, at).slope)
