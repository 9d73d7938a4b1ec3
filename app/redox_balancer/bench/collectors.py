"""Collectors for benchmarks: one that measures where its time goes, and one that replays recorded rollouts.

Both run in the actors of a training's own pool.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from redox_balancer.impala.policy import Float32, MaskedCategorical, Policy, PolicyShape
from redox_balancer.impala.rollout import EnvFactory, Environment, Rollout, RolloutCollector

Result = TypeVar("Result")

RECORDED = 8
"""Rollouts that a `ReplayCollector` records and repeats."""


class _Watch:
    """Measures the time spent in calls."""

    seconds = 0.0

    def time(self, call: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Call, and count the time."""
        started = time.perf_counter()
        try:
            return call(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - started


class _WatchedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that measures the time spent in it."""

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        self.watch = _Watch()

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        return self.watch.time(self.env.reset, **options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        return self.watch.time(self.env.step, action)


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

    def __init__(self, shape: PolicyShape, parameters: Float32) -> None:
        super().__init__(shape, parameters)
        self.watch = _Watch()

    def distribution(self, observations: Float32, mask: NDArray[np.bool_]) -> MaskedCategorical:
        return _WatchedChoice(self.watch, self.watch.time(super().distribution, observations, mask))


class _WatchedChoice(MaskedCategorical):
    """A distribution whose sampling counts as time of its policy."""

    def __init__(self, watch: _Watch, choice: MaskedCategorical) -> None:
        self.__dict__.update(vars(choice))
        self._watch = watch

    def sample(self, rng: np.random.Generator) -> NDArray[np.int64]:
        return self._watch.time(super().sample, rng)

    def log_prob(self, actions: Any) -> Any:
        return self._watch.time(super().log_prob, actions)


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
        watches = [environment.watch for environment in environments]
        for watch in (policy.watch, *watches):
            watch.seconds = 0.0
        started = time.perf_counter()
        rollout = super().collect()
        ended = time.perf_counter()
        return TimedRollout(
            **vars(rollout),
            env_s=sum(watch.seconds for watch in watches),
            act_s=policy.watch.seconds,
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
