"""The watchdog: judges the health of a run from samples, as pure logic on a clock that a test can replace.

Samples go in, alarms come out: `warn` is logged, `stop` ends the run with `EXIT_NONSENSE`, after which a supervisor
does not restart it, because the next process would compute the same nonsense.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from redox_balancer.errors import EXIT_NONSENSE, RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.resources import ProcessStats

CHECKED_FOR_NAN = ("policy_loss", "baseline_loss", "entropy", "rho_mean", "grad_norm")


@dataclass(frozen=True)
class Alarm:
    """A problem: its name, whether the run must stop, and one line of text."""

    name: str
    level: Literal["warn", "stop"]
    text: str


class NonsenseError(RedoxError):
    """A training that learns from nonsense: its state must not be saved, and a restart would not help."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(
            f"stopped by the watchdog ({alarm.name}): {alarm.text}",
            hint="check the reward signal of the environment; the checkpoints before this are kept",
            exit_code=EXIT_NONSENSE,
        )


@dataclass(frozen=True)
class WatchdogLimits:
    """Limits beyond which an alarm is raised.

    Times are in seconds. Consecutive episodes with at least `constructs` different constructs and a single value are
    nonsense. `exploding_warn` and `exploding_stop` count consecutive updates beyond `rho_mean` or `grad_norm`.
    """

    episodes: int = 512
    constructs: int = 16
    rho_mean: float = 10.0  # importance ratio (1 on policy) that no healthy update reaches
    grad_norm: float = 1e4  # the same of the norm of the unclipped gradient
    exploding_warn: int = 3
    exploding_stop: int = 20
    lag: int = 50  # versions of the policy between acting and learning
    dropped_share: float = 0.1  # of the transitions, over `dropped_window` of them, as too old
    dropped_window: int = 20_000
    checkpoint_age_s: float = 900.0
    # Projections further ahead, or beyond the end of the run, are not reported: caches that fill in the first minutes
    # look like a leak.
    memory_horizon_s: float = 24 * 3600.0
    slope_samples: int = 120  # memory samples that are kept for a fit, which must span `slope_min_s`
    slope_min_s: float = 300.0
    growth: int = 64  # descriptors or threads above the first sample of a process
    repeat_s: float = 600.0  # until an alarm of the same name is repeated

    @classmethod
    def of(cls, config: TrainConfig) -> Self:
        """Return the limits of a run: its largest lag, and three missed checkpoints if they are due by time."""
        age_s = math.inf if config.save_interval_steps else 3 * config.save_interval_s
        return cls(lag=config.max_lag, checkpoint_age_s=age_s)


class Watchdog:
    """Raises alarms from samples of a run.

    `known_returns` were observed before, such as in the preflight checks: without them a resumed run whose policy
    rests on a plateau looks as if no other value existed. `clock` is monotonic time in seconds.
    """

    def __init__(
        self,
        limits: WatchdogLimits,
        *,
        known_returns: Sequence[float] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._clock = limits, clock
        self._alike: deque[int] = deque(maxlen=limits.episodes)  # constructs of the newest value
        self._value = math.nan  # that value
        self._low, self._high = min(known_returns, default=math.inf), max(known_returns, default=-math.inf)
        self._exploding = 0
        self._counters: deque[tuple[int, int]] = deque()
        self._memory: dict[str, deque[tuple[float, int]]] = {}
        self._first: dict[str, ProcessStats] = {}
        self._raised: dict[tuple[str, str], float] = {}

    def episodes(self, constructs: NDArray[np.int64], values: NDArray[np.float64]) -> list[Alarm]:
        """Judge consecutive episodes, shape (E,): numbers that tell their constructs apart, and their returns.

        Like the other judgements, it has no warnings of a name that was raised a short time ago.
        """
        return self._due(self._constant(constructs.tolist(), values.tolist()))

    def update(self, metrics: Mapping[str, float], *, lag_max: int, steps: int, dropped: int) -> list[Alarm]:
        """Judge an update of the learner: its metrics, the largest lag of its rollouts, and the run's counters."""
        found = [*_not_a_number(metrics), *self._exploded(metrics), *self._dropping(steps, dropped)]
        if lag_max > self._limits.lag:
            found.append(Alarm("lag", "warn", f"rollouts are {lag_max} versions old, more than {self._limits.lag}"))
        return self._due(found)

    def health(
        self,
        processes: Mapping[str, ProcessStats],
        *,
        checkpoint_age_s: float = 0.0,
        available_bytes: float = math.inf,
        left_s: float = math.inf,
    ) -> list[Alarm]:
        """Judge all processes, the age of the newest checkpoint, the free memory and the time to the last step.

        The name of a process includes its incarnation, as in `actor 3.0`.
        """
        for ended in self._first.keys() - processes.keys():
            del self._first[ended], self._memory[ended]
        found = [alarm for name, stats in processes.items() for alarm in self._process(name, stats)]
        found += self._out_of_memory(available_bytes, left_s)
        if checkpoint_age_s > self._limits.checkpoint_age_s:
            found.append(Alarm("checkpoint age", "warn", f"no checkpoint for {checkpoint_age_s / 60:.0f} min"))
        return self._due(found)

    def _process(self, name: str, stats: ProcessStats) -> Iterator[Alarm]:
        samples = self._memory.setdefault(name, deque(maxlen=self._limits.slope_samples))
        samples.append((self._clock(), stats.uss_bytes))
        for kind in ("descriptors", "threads"):
            now = getattr(stats, kind)
            more = now - getattr(self._first.setdefault(name, stats), kind)
            if more > self._limits.growth:
                yield Alarm(f"{kind} of {name}", "warn", f"{name} has {now} {kind}, {more} more than at first")

    @property
    def memory_slope(self) -> Mapping[str, float]:
        """Growth of each process with enough samples, in bytes per second."""
        slopes = {process: _slope(samples, self._limits.slope_min_s) for process, samples in self._memory.items()}
        return {process: slope for process, slope in slopes.items() if slope is not None}

    def _due(self, alarms: Iterable[Alarm]) -> list[Alarm]:
        now, due = self._clock(), []
        for alarm in alarms:
            key = alarm.level, alarm.name
            if alarm.level == "stop" or now - self._raised.get(key, -math.inf) >= self._limits.repeat_s:
                self._raised[key] = now
                due.append(alarm)
        return due

    def _constant(self, constructs: Sequence[int], values: Sequence[float]) -> Iterator[Alarm]:
        """Detect different constructs that all have one value.

        A converged policy may rest on a plateau where its constructs are equally good. Such a plateau is the best
        value ever observed, with worse ones below it, and only raises a warning.
        """
        if not math.isfinite(sum(values)):
            yield Alarm("nan", "stop", "the value of a construct is not finite")
            return
        alike, limits, first = self._alike, self._limits, 0
        if len(alike) + len(values) < limits.episodes:  # no value has enough, but the last one may go on
            changes = (n for n in range(len(values) - 1, 0, -1) if not _same(values[n], values[n - 1]))
            first = next(changes, 0)
        last = values[first - 1] if first else self._value
        for number, (construct, value) in enumerate(zip(constructs[first:], values[first:], strict=True), first):
            # Only episodes since the last different value count.
            if value != last and not _same(value, last):
                alike.clear()
            alike.append(construct)
            last = value
            if len(alike) == limits.episodes and (different := len(set(alike))) >= limits.constructs:
                seen = values[: number + 1]
                low, high = min(self._low, *seen), max(self._high, *seen)
                plateau = not _same(low, high) and _same(value, high)
                text = f"{different} different constructs in {len(alike)} episodes all have value {value:.6g}"
                yield Alarm("constant value", "warn" if plateau else "stop", text)
        self._value = last
        self._low, self._high = min([self._low, *values]), max([self._high, *values])

    def _exploded(self, metrics: Mapping[str, float]) -> list[Alarm]:
        beyond = [
            f"{name} {metrics[name]:.3g}"
            for name, limit in (("rho_mean", self._limits.rho_mean), ("grad_norm", self._limits.grad_norm))
            if metrics.get(name, 0.0) > limit
        ]
        self._exploding = self._exploding + 1 if beyond else 0
        if self._exploding < self._limits.exploding_warn:
            return []
        text = f"{', '.join(beyond)} in the last of {self._exploding} consecutive updates beyond the limit"
        return [Alarm("exploding", "stop" if self._exploding >= self._limits.exploding_stop else "warn", text)]

    def _dropping(self, steps: int, dropped: int) -> Iterator[Alarm]:
        counters = self._counters
        counters.append((steps, dropped))
        while sum(counters[-1]) - sum(counters[0]) >= self._limits.dropped_window:
            used, lost = (after - before for before, after in zip(counters[0], counters[-1], strict=True))
            share = lost / (used + lost)
            if share > self._limits.dropped_share:
                yield Alarm("dropped", "warn", f"{100 * share:.0f} % of the transitions were dropped as too old")
            counters.popleft()

    def _out_of_memory(self, available_bytes: float, left_s: float) -> Iterator[Alarm]:
        """Project the growth of all processes together onto the free memory."""
        slopes = self.memory_slope
        total = sum(slopes.values())
        if total > 0 and (full_s := available_bytes / total) <= min(self._limits.memory_horizon_s, left_s):
            worst = max(slopes, key=lambda process: slopes[process])
            yield Alarm(
                "memory",
                "warn",
                f"out of memory in {full_s / 3600:.1f} h: {len(slopes)} processes grow by {total * 3600 / 1e6:,.0f} "
                f"MB per hour, {worst} by {slopes[worst] * 3600 / 1e6:,.0f}",
            )


def _not_a_number(metrics: Mapping[str, float]) -> list[Alarm]:
    broken = [name for name in CHECKED_FOR_NAN if not math.isfinite(metrics.get(name, 0.0))]
    return [Alarm("nan", "stop", f"{', '.join(broken)} not finite")] if broken else []


def _same(one: float, other: float) -> bool:
    """Whether two values are equal: LP optima differ in their last digits with the path of the solver."""
    return math.isclose(one, other, rel_tol=1e-7, abs_tol=1e-9)


def _slope(samples: deque[tuple[float, int]], least_s: float) -> float | None:
    """Return the median of all pairwise slopes (Theil-Sen) in bytes per second, None for too short a time span.

    A cache that fills or is emptied at once is a step, which hardly moves that median.
    """
    if len(samples) < 3 or samples[-1][0] - samples[0][0] < least_s:
        return None
    at, size = np.asarray(samples, dtype=np.float64).T
    return float(theilslopes(size, at).slope)
