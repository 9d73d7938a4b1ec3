"""Rollouts of T steps in B environments, and the collector that plays them.

Arrays are time-major, [T, B, ...]. D is the size of an observation and A the number of actions. The same collector
runs inside a Ray actor and, in a serial run, inside the process of the learner.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import gymnasium
import numpy as np
from numpy.typing import NDArray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Candidates, Float32, MaskedCategorical, Policy, PolicyShape

Environment = gymnasium.Env[Any, Any]


class EnvFactory(Protocol):
    """Creates environments; it is pickled and sent to the actors.

    The environments of one call may share state (one linear program) and therefore stay in one process. They have a
    flat `Box` observation, `Discrete` actions, `info["action_mask"]` after reset and step where some actions are
    illegal, and `info["metrics"]`, numbers to be averaged, on the step that ends an episode. Environments of a second
    call must not depend on those of the first.

    Where a factory has a method `together`, it is given the environments of a call after they are created. It returns
    a function that completes all of their latest observations at once, shape (B, D), and their masks, shape (B, A).
    Before it they are not complete, and `info` may have no mask. Where it has a method `at_once` as well, that is
    given them after their first reset. It returns None, or a function that plays one step of all: it is given
    actions, and returns rewards, whether episodes terminated, each of shape (B,), and the metrics of those that did.
    Their next episodes have begun then, and the first function completes what is seen.
    """

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Everything a policy depends on (observation layout, actions, checksums), ready for JSON."""
        ...

    def __call__(self, count: int) -> Sequence[Environment]:
        """Create `count` environments."""
        ...


class Episodes(NamedTuple):
    """The E episodes that ended in a rollout, in the order of their ends: arrays of shape (E,).

    Equal `keys` mean the same actions in whatever order. `metrics` has an array for each name, NaN where an episode
    did not report it.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    keys: NDArray[np.int64]
    metrics: Mapping[str, NDArray[np.float64]]

    def copy(self) -> Self:
        """Return a copy that owns its memory.

        The arrays of a rollout from an actor are views into one buffer, which stays as long as one of them is
        referenced.
        """
        metrics = {name: values.copy() for name, values in self.metrics.items()}
        return self._replace(
            returns=self.returns.copy(), lengths=self.lengths.copy(), keys=self.keys.copy(), metrics=metrics
        )

    @classmethod
    def joined(cls, parts: "Sequence[Episodes]") -> Self:
        """Return the episodes of several rollouts, at least one, in their order."""
        names = dict.fromkeys(name for part in parts for name in part.metrics)
        metrics = {
            name: np.concatenate([part.metrics.get(name, np.full(len(part.keys), np.nan)) for part in parts])
            for name in names
        }
        arrays = zip(*(part[:3] for part in parts), strict=True)
        returns, lengths, keys = map(np.concatenate, arrays)
        return cls(returns, lengths, keys, metrics)


@dataclass(frozen=True, eq=False)
class Rollout:
    """T steps of B environments under one version of the policy.

    `final_observations` has the last observation of each truncated episode, one row for each True in `truncated` in
    the order of `numpy.nonzero`; what follows in `observations` is the first observation of the next episode.
    """

    observations: Float32  # [T + 1, B, D]; the last row is the bootstrap observation
    masks: NDArray[np.bool_]  # legal actions at each step, [T, B, A]
    actions: NDArray[np.int64]  # actions taken, [T, B]
    log_probs: Float32  # their log-probabilities under the behaviour policy, [T, B]
    rewards: Float32  # [T, B], of rescaled returns
    terminated: NDArray[np.bool_]  # whether the action terminated the episode, [T, B]
    truncated: NDArray[np.bool_]  # or truncated it, [T, B]
    final_observations: Float32
    episodes: Episodes  # that ended in this rollout
    version: int  # of the behaviour policy
    actor: int  # index of the actor
    incarnation: int  # generation of its process (0, 1, ...)
    sequence: int  # number of the rollout within that process

    @property
    def transitions(self) -> int:
        """Environment steps in this rollout."""
        return self.actions.size


class Played(NamedTuple):
    """One step of B environments: arrays of shape (B,), and the metrics of the episodes that ended, in order."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    metrics: Sequence[Mapping[str, float]]
    truncated: Any = False
    final_observations: Sequence[Any] = ()


class RolloutCollector:
    """Plays B environments with a policy; episodes continue from one rollout to the next.

    Parameters
    ----------
    factory
        Creates the environments.
    count
        Number of environments, B.
    length
        Steps of a rollout, T.
    hidden_sizes
        Hidden layers of the policy; its other sizes follow from the environments.
    return_scale
        Scale of `rescaled` returns, whose changes are the rewards of the rollouts; 0 leaves the rewards as they are.
    seed
        Seed of the run.
    actor, incarnation
        Index of the actor and generation of its process; with `seed` they determine every random draw.
    state
        Result of `state()` in an earlier process, to continue from there.
    """

    def __init__(
        self,
        factory: EnvFactory,
        *,
        count: int,
        length: int,
        hidden_sizes: Sequence[int],
        seed: int,
        return_scale: float = 0.0,
        actor: int = 0,
        incarnation: int = 0,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._factory, self._count, self._length = factory, count, length
        self._return_scale, self._unit = return_scale, math.asinh(1.0 / return_scale) if return_scale else 1.0
        self._actor, self._incarnation, self._sequence = actor, incarnation, 0
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(actor, incarnation)))
        if state is not None:
            self._rng.bit_generator.state = state["rng"]
            self._sequence = state["sequence"]
        self._environments: Sequence[Environment] = []
        self._policy: Policy | None = None
        self._version = -1
        self.restart()
        self.shape = policy_shape(self._environments[0], tuple(hidden_sizes))

    def state(self) -> dict[str, Any]:
        """Return the random state and counter of rollouts, ready for JSON.

        A later process that starts from it continues exactly as this one does after `restart`.
        """
        return {"rng": self._rng.bit_generator.state, "sequence": self._sequence}

    def restart(self) -> None:
        """Drop unfinished episodes and start new environments with seeds drawn from the random state.

        For a run that must resume bit for bit this is called right after `state()`: new environments carry no history
        (bases, caches), neither in this process nor in the one that resumes.
        """
        self.close()
        self._environments = self._factory(self._count)
        together = getattr(self._factory, "together", None)
        self._complete: Callable[..., None] = together(self._environments) if together else lambda *_: None
        seeds = self._rng.integers(2**31, size=self._count).tolist()
        starts = [env.reset(seed=seed) for env, seed in zip(self._environments, seeds, strict=True)]
        self._observations = np.stack([observation for observation, _ in starts]).astype(np.float32)
        self._masks = np.ones((self._count, action_count(self._environments[0])), dtype=np.bool_)
        for b, (_, info) in enumerate(starts):
            self._masks[b] = info.get("action_mask", True)
        self._complete(self._observations, self._masks)
        at_once = getattr(self._factory, "at_once", None)
        self._at_once = at_once(self._environments) if at_once else None
        self._returns, self._scaled = np.zeros((2, self._count))
        self._taken: list[list[int]] = [[] for _ in range(self._count)]  # actions of the unfinished episodes

    def close(self) -> None:
        """Close the environments."""
        for environment in self._environments:
            environment.close()

    def set_weights(self, parameters: Float32, version: int) -> None:
        """Use these parameters, shape (shape.size,), as behaviour policy from now on."""
        if version != self._version:
            self._policy, self._version = Policy(self.shape, parameters), version

    def _one_by_one(self, actions: NDArray[np.int64]) -> Played:
        """Play one step in each environment; a new episode begins where one ends."""
        rewards, (terminated, truncated) = np.empty(self._count), np.zeros((2, self._count), dtype=np.bool_)
        metrics: list[Mapping[str, float]] = []
        final_observations: list[Any] = []
        for b, (environment, action) in enumerate(zip(self._environments, actions.tolist(), strict=True)):
            observation, reward, terminated[b], truncated[b], info = environment.step(action)
            rewards[b] = reward
            if terminated[b] or truncated[b]:
                if truncated[b]:
                    final_observations.append(observation)
                metrics.append(info.get("metrics", {}))
                observation, info = environment.reset()
            self._observations[b] = observation
            self._masks[b] = info.get("action_mask", True)
        return Played(rewards, terminated, metrics, truncated, final_observations)

    def _rescaled(self, value: float) -> float:
        """Return the inverse hyperbolic sine of a return, 1 for 1: linear around 0, and logarithmic far from it.

        Its gradient is that of the relative return, whatever the best return of a state is; Pohlen et al. 2018,
        arXiv:1805.11593, rescale targets in this way.
        """
        return math.asinh(value / self._return_scale) / self._unit

    def collect(self) -> Rollout:
        """Play T steps in each environment; requires a call of `set_weights` before."""
        if self._policy is None:
            raise RuntimeError("collect() before set_weights()")
        T, B = self._length, self._count
        observations = np.empty((T + 1, B, self.shape.observation_size), dtype=np.float32)
        masks = np.empty((T, B, self.shape.actions), dtype=np.bool_)
        actions = np.empty((T, B), dtype=np.int64)
        log_probs = np.empty((T, B), dtype=np.float32)
        rewards = np.empty((T, B), dtype=np.float32)
        terminated = np.zeros((T, B), dtype=np.bool_)
        truncated = np.zeros((T, B), dtype=np.bool_)
        final_observations: list[Any] = []
        returns, lengths, keys = list[float](), list[int](), list[int]()
        metrics: list[Mapping[str, float]] = []

        for t in range(T):
            observations[t], masks[t] = self._observations, self._masks
            if not (masks[t, :, -1].all() or masks[t].any(axis=-1).all()):
                raise RedoxError(
                    "the environment offers no legal action", hint="the mask must allow at least one action"
                )
            choice: MaskedCategorical = self._policy.distribution(self._observations, self._masks)
            actions[t] = choice.sample(self._rng)
            log_probs[t] = choice.log_prob(actions[t])
            played = self._one_by_one(actions[t]) if self._at_once is None else Played(*self._at_once(actions[t]))
            self._returns += played.rewards
            rewards[t] = played.rewards
            if self._return_scale:
                before, self._scaled = self._scaled, np.array([*map(self._rescaled, self._returns.tolist())])
                rewards[t] = self._scaled - before
            for taken, action in zip(self._taken, actions[t].tolist(), strict=True):
                taken.append(action)
            terminated[t], truncated[t] = played.terminated, played.truncated
            final_observations += played.final_observations
            metrics += played.metrics
            ended = played.terminated | played.truncated
            for b in ended.nonzero()[0].tolist():
                returns.append(float(self._returns[b]))
                lengths.append(len(self._taken[b]))
                keys.append(hash(tuple(sorted(self._taken[b]))))  # the same in every process: of integers
                self._taken[b] = []
            self._returns[ended] = self._scaled[ended] = 0.0
            self._complete(self._observations, self._masks)
        observations[T] = self._observations

        self._sequence += 1
        return Rollout(
            observations=observations,
            masks=masks,
            actions=actions,
            log_probs=log_probs,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            final_observations=np.asarray(final_observations, dtype=np.float32).reshape(
                -1, self.shape.observation_size
            ),
            episodes=Episodes(
                np.asarray(returns, np.float64),
                np.asarray(lengths, np.int64),
                np.asarray(keys, np.int64),
                _by_name(metrics),
            ),
            version=self._version,
            actor=self._actor,
            incarnation=self._incarnation,
            sequence=self._sequence - 1,
        )


def _by_name(metrics: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    """Return the metrics of E episodes as an array for each name, shape (E,)."""
    names = dict.fromkeys(name for each in metrics for name in each)
    return {name: np.asarray([each.get(name, math.nan) for each in metrics], np.float64) for name in names}


def action_count(environment: Environment) -> int:
    """Return the number of actions, A; a RedoxError unless the action space is `Discrete` and starts at 0."""
    space = environment.action_space
    if not isinstance(space, gymnasium.spaces.Discrete) or space.start != 0:
        raise RedoxError(f"the learner needs discrete actions that start at 0, not {space}")
    return int(space.n)


def policy_shape(environment: Environment, hidden_sizes: tuple[int, ...]) -> PolicyShape:
    """Return the sizes of the policy of an environment; a RedoxError unless observations are a flat `Box`."""
    space = environment.observation_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise RedoxError(f"the learner needs a flat Box as observation, not {space}")
    candidates = environment.unwrapped.metadata.get("candidates")
    return PolicyShape(
        space.shape[0], action_count(environment), hidden_sizes, candidates and Candidates(*candidates)
    )
