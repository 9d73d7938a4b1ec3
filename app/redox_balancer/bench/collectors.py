"""Collectors for benchmarks: one that measures where its time goes, and one that replays recorded rollouts.

Both run in the actors of a training's own pool.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np

from redox_balancer.impala.policy import Float32, Mask, MaskedCategorical
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector

RECORDED = 8  # rollouts that a `ReplayCollector` records and repeats


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


class CollectorTimes(NamedTuple):
    """What a collector has taken so far: steps and seconds.

    `env_s` is the time in the environments, `act_s` that in forward passes, sampling and log-probabilities, and
    `collect_s` the total of `collect`; `ended_at` is the time of completion on a clock of its process.
    """

    steps: float = 0.0
    env_s: float = 0.0
    act_s: float = 0.0
    collect_s: float = 0.0
    ended_at: float = 0.0

    @classmethod
    def of(cls, rollout: Rollout) -> Self:
        """Return those at the end of a rollout in which an episode ended."""
        return cls(*(float(rollout.episodes.metrics[name][-1]) for name in cls._fields))


class TimedCollector(RolloutCollector):
    """A collector that adds its `CollectorTimes` to the metrics of episodes; environments and policy are timed."""

    times = CollectorTimes()

    def __init__(self, factory: EnvFactory, **settings: Any) -> None:
        self._env, self._act = _Watch(), _Watch()
        super().__init__(factory, **settings)

    def restart(self) -> None:
        """Start new environments."""
        super().restart()
        self._complete = self._env.timed(self._complete)
        self._at_once = self._at_once and self._env.timed(self._at_once)
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

    def collect(self) -> Rollout:
        """Collect one rollout."""
        started = time.perf_counter()
        rollout = super().collect()
        ended = time.perf_counter()
        self.times = CollectorTimes(
            steps=self.times.steps + rollout.transitions,
            env_s=self._env.seconds,
            act_s=self._act.seconds,
            collect_s=self.times.collect_s + ended - started,
            ended_at=ended,
        )
        count = len(rollout.episodes.returns)
        times = {name: np.full(count, value) for name, value in self.times._asdict().items()}
        episodes = rollout.episodes._replace(metrics={**rollout.episodes.metrics, **times})
        return replace(rollout, episodes=episodes)


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
