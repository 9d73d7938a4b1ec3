"""Collectors for benchmarks: one that measures where its time goes, and one that replays recorded rollouts.

Both run in the actors of a training's own pool.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from redox_balancer.impala.policy import Float32, Mask, MaskedCategorical
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector

RECORDED = 8
"""Rollouts that a `ReplayCollector` records and repeats."""


class _Watch:
    """Sums the time spent in functions."""

    seconds = 0.0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted."""

        def counted(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - started

        return counted


@dataclass(frozen=True, eq=False, kw_only=True)
class TimedRollout(Rollout):
    """A rollout with the time that its collection took, s.

    `env_s` is the time in the environments, `act_s` that in forward passes, sampling and log-probabilities, and
    `collect_s` the total of `collect`; `ended_at` is the time of completion on a clock of its process.
    """

    env_s: float
    act_s: float
    collect_s: float
    ended_at: float


class TimedCollector(RolloutCollector):
    """A collector that returns `TimedRollout`s: methods of its environments and its policy are timed."""

    def __init__(self, factory: EnvFactory, **settings: Any) -> None:
        self._env, self._act = _Watch(), _Watch()
        super().__init__(factory, **settings)

    def restart(self) -> None:
        """Start new environments."""
        super().restart()
        self._complete = self._env.timed(self._complete)
        for environment in self._environments:
            environment.reset = self._env.timed(environment.reset)  # type: ignore[method-assign]
            environment.step = self._env.timed(environment.step)  # type: ignore[method-assign]

    def set_weights(self, parameters: Float32, version: int) -> None:
        """Use these parameters for subsequent rollouts."""
        if version == self._version:
            return
        super().set_weights(parameters, version)
        policy = self._policy
        assert policy is not None  # noqa: S101 - it was just set
        distribution = self._act.timed(policy.distribution)

        def timed(observations: Float32, mask: Mask) -> MaskedCategorical:
            choice: MaskedCategorical = distribution(observations, mask)
            choice.sample = self._act.timed(choice.sample)  # type: ignore[method-assign]
            choice.log_prob = self._act.timed(choice.log_prob)  # type: ignore[method-assign]
            return choice

        policy.distribution = timed  # type: ignore[method-assign]

    def collect(self) -> TimedRollout:
        """Collect one rollout."""
        self._env.seconds = self._act.seconds = 0.0
        started = time.perf_counter()
        rollout = super().collect()
        ended = time.perf_counter()
        return TimedRollout(
            **vars(rollout),
            env_s=self._env.seconds,
            act_s=self._act.seconds,
            collect_s=ended - started,
            ended_at=ended,
        )


class ReplayCollector(RolloutCollector):
    """A collector that records its first rollouts and then repeats them, labelled with the newest version."""

    _recorded: tuple[Rollout, ...] = ()

    def collect(self) -> Rollout:
        """Return a recorded rollout once enough are recorded."""
        if len(self._recorded) < RECORDED:
            rollout = super().collect()
            self._recorded += (rollout,)
            return rollout
        self._sequence += 1
        sequence = self._sequence - 1
        return replace(self._recorded[sequence % RECORDED], version=self._version, sequence=sequence)
