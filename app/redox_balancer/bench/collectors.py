"""Collectors for benchmarks: one that measures where its time goes, and one that replays recorded rollouts.

Both run in the actors of a training's own pool.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from redox_balancer.impala.policy import Float32, MaskedCategorical, Policy
from redox_balancer.impala.rollout import EnvFactory, Environment, Rollout, RolloutCollector

RECORDED = 8
"""Rollouts that a `ReplayCollector` records and repeats."""


class _WatchedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that measures the time spent in it."""

    seconds = 0.0

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        started = time.perf_counter()
        try:
            return self.env.reset(**options)
        finally:
            self.seconds += time.perf_counter() - started

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        started = time.perf_counter()
        try:
            return self.env.step(action)
        finally:
            self.seconds += time.perf_counter() - started


class _WatchedEnvs:
    """Factory of environments that measure their time; keeps the most recent ones."""

    def __init__(self, inner: EnvFactory) -> None:
        self._inner = inner
        self.fingerprint = inner.fingerprint
        self.made: Sequence[_WatchedEnv] = []

    def __call__(self, count: int) -> Sequence[Environment]:
        self.made = [_WatchedEnv(environment) for environment in self._inner(count)]
        return self.made


class _WatchedPolicy(Policy):
    """A policy that measures the time of its forward passes, sampling and log-probabilities."""

    seconds = 0.0

    def distribution(self, observations: Float32, mask: NDArray[np.bool_]) -> MaskedCategorical:
        started = time.perf_counter()
        choice = _WatchedChoice(self, super().distribution(observations, mask))
        self.seconds += time.perf_counter() - started
        return choice


class _WatchedChoice(MaskedCategorical):
    """A distribution whose sampling counts as time of its policy."""

    def __init__(self, policy: _WatchedPolicy, choice: MaskedCategorical) -> None:
        self.__dict__.update(vars(choice))
        self._policy = policy

    def sample(self, rng: np.random.Generator) -> NDArray[np.int64]:
        started = time.perf_counter()
        actions = super().sample(rng)
        self._policy.seconds += time.perf_counter() - started
        return actions

    def log_prob(self, actions: Any) -> Any:
        started = time.perf_counter()
        log_probs = super().log_prob(actions)
        self._policy.seconds += time.perf_counter() - started
        return log_probs


@dataclass(frozen=True, eq=False, kw_only=True)
class TimedRollout(Rollout):
    """A rollout with the time that its collection took.

    Attributes
    ----------
    env_s, act_s
        Time in the environments, and in forward passes, sampling and log-probabilities, s.
    collect_s
        Total time of `collect`, s.
    ended_at
        Time of completion on a clock of its process, s; the difference of two rollouts is the total time of one.
    """

    env_s: float
    act_s: float
    collect_s: float
    ended_at: float


class TimedCollector(RolloutCollector):
    """A collector that returns `TimedRollout`s."""

    def __init__(self, factory: EnvFactory, **settings: Any) -> None:
        self._watched = _WatchedEnvs(factory)
        super().__init__(self._watched, **settings)

    def set_weights(self, parameters: Float32, version: int) -> None:
        """Use these parameters for subsequent rollouts."""
        if version != self._version:
            self._policy, self._version = _WatchedPolicy(self.shape, parameters), version

    def collect(self) -> TimedRollout:
        """Collect one rollout."""
        policy, environments = self._policy, self._watched.made
        if not isinstance(policy, _WatchedPolicy):
            raise TypeError("collect() before set_weights()")
        policy.seconds = 0.0
        for environment in environments:
            environment.seconds = 0.0
        started = time.perf_counter()
        rollout = super().collect()
        ended = time.perf_counter()
        return TimedRollout(
            **vars(rollout),
            env_s=sum(environment.seconds for environment in environments),
            act_s=policy.seconds,
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
