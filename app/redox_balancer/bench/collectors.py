"""Collectors for benchmarks: one that adds up where its time goes, and one that replays what it recorded.

Both are what training collects with, in an actor of training's own pool.
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
"""Rollouts that a `ReplayCollector` gives again and again."""


class _WatchedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that adds up the seconds spent in it."""

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
    """Makes environments whose time is added up, and keeps the newest of them."""

    def __init__(self, inner: EnvFactory) -> None:
        self._inner = inner
        self.fingerprint = inner.fingerprint
        self.made: Sequence[_WatchedEnv] = []

    def __call__(self, count: int) -> Sequence[Environment]:
        self.made = [_WatchedEnv(environment) for environment in self._inner(count)]
        return self.made


class _WatchedPolicy(Policy):
    """A policy that adds up the seconds of its forward passes and of what is asked of their results."""

    seconds = 0.0

    def distribution(self, observations: Float32, mask: NDArray[np.bool_]) -> MaskedCategorical:
        started = time.perf_counter()
        choice = _WatchedChoice(self, super().distribution(observations, mask))
        self.seconds += time.perf_counter() - started
        return choice


class _WatchedChoice(MaskedCategorical):
    """A choice whose drawing counts as its policy's time."""

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
    """A rollout that tells where its seconds went.

    Attributes
    ----------
    env_s, act_s
        Inside the environments, and in forward passes, drawing and log-probabilities.
    collect_s
        In `collect` as a whole, both included.
    ended_at
        When it was ready, on a clock of its process: from one to the next is all that a rollout takes.
    """

    env_s: float
    act_s: float
    collect_s: float
    ended_at: float


class TimedCollector(RolloutCollector):
    """Collects as ever and gives `TimedRollout`s."""

    def __init__(self, factory: EnvFactory, **settings: Any) -> None:
        self._watched = _WatchedEnvs(factory)
        super().__init__(self._watched, **settings)

    def set_weights(self, parameters: Float32, version: int) -> None:
        """Act with these parameters from now on."""
        if version != self._version:
            self._policy, self._version = _WatchedPolicy(self.shape, parameters), version

    def collect(self) -> TimedRollout:
        """Play one rollout."""
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
    """Plays its first rollouts and from then on gives those again, as if the newest policy had made them."""

    _recorded: tuple[Rollout, ...] = ()

    def collect(self) -> Rollout:
        """Give a recorded rollout where enough are."""
        if len(self._recorded) < RECORDED:
            rollout = super().collect()
            self._recorded += (rollout,)
            return rollout
        self._sequence += 1
        sequence = self._sequence - 1
        return replace(self._recorded[sequence % RECORDED], version=self._version, sequence=sequence)
