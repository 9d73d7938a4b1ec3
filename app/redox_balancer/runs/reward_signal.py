"""Reward signal of an environment: a few random and greedy episodes show whether there is anything to learn."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from redox_balancer.impala.rollout import Environment, action_count

STARTS = 4  # initial states (conditions) that are tried before the signal counts as missing
RANDOM_EPISODES = 4  # per initial state
CANDIDATES = 8  # actions that a greedy step compares
GREEDY_STEPS = 3  # a greedy step replays the episode for each candidate; later steps are random
LONGEST_EPISODE = 64


class RewardSignal(NamedTuple):
    """Returns of the episodes that were played: for each initial state by their actions."""

    starts: Sequence[dict[tuple[int, ...], float]]

    @property
    def returns(self) -> tuple[float, ...]:
        """All returns."""
        return tuple(value for start in self.starts for value in start.values())

    @property
    def finite(self) -> bool:
        """Whether all returns are finite."""
        return all(math.isfinite(value) for value in self.returns)

    @property
    def present(self) -> bool:
        """Whether different actions from one initial state have different returns."""
        return self.finite and any(_varies(start) for start in self.starts)


def reward_signal(environments: Sequence[Environment], *, seed: int = 0) -> RewardSignal:
    """Play random and greedy episodes until returns vary with the actions, from at most `STARTS` initial states.

    The same seed repeats the same initial state, so that differences of returns come from the actions alone. The
    environments are left in the middle of an episode.
    """
    rng = np.random.default_rng(seed)
    starts: list[dict[tuple[int, ...], float]] = []
    for number in range(STARTS):
        environment = environments[number % len(environments)]
        start_seed = int(rng.integers(2**31))
        played = dict(_play(environment, start_seed, (), rng) for _ in range(RANDOM_EPISODES))
        prefix: tuple[int, ...] = ()
        for _ in range(GREEDY_STEPS):
            _, over, legal = _replay(environment, start_seed, prefix)
            if over:
                break
            candidates = rng.permutation(legal)[:CANDIDATES].tolist()
            rewards = {action: _replay(environment, start_seed, (*prefix, action))[0] for action in candidates}
            prefix = (*prefix, max(rewards, key=lambda action: rewards[action]))
        actions, value = _play(environment, start_seed, prefix, rng)
        played[actions] = value
        starts.append(played)
        signal = RewardSignal(starts)
        if signal.present or not signal.finite:
            break
    return signal


def _varies(start: dict[tuple[int, ...], float]) -> bool:
    """Whether returns differ by more than the rounding of an LP optimum; then one of them is not zero."""
    low, high = min(start.values()), max(start.values())
    return not math.isclose(low, high, rel_tol=1e-7, abs_tol=1e-9)


def _replay(environment: Environment, seed: int, actions: Sequence[int]) -> tuple[float, bool, Any]:
    """Return the return of these actions, whether the episode is over, and the legal actions after them."""
    _, info = environment.reset(seed=seed)
    total, over = 0.0, False
    for action in actions:
        total, over, info = _step(environment, action, total)
        if over:
            break
    return total, over, _legal(environment, info)


def _step(environment: Environment, action: int, total: float) -> tuple[float, bool, dict[str, Any]]:
    _, reward, terminated, truncated, info = environment.step(action)
    return total + float(reward), terminated or truncated, info


def _legal(environment: Environment, info: dict[str, Any]) -> Any:
    return np.flatnonzero(np.broadcast_to(info.get("action_mask", True), action_count(environment)))


def _play(
    environment: Environment, seed: int, prefix: tuple[int, ...], rng: np.random.Generator
) -> tuple[tuple[int, ...], float]:
    """Return actions and return of an episode that starts with `prefix` and continues with random actions."""
    total, over, legal = _replay(environment, seed, prefix)
    actions = list(prefix)
    while not over and len(actions) < LONGEST_EPISODE:
        actions.append(int(rng.choice(legal)))
        total, over, info = _step(environment, actions[-1], total)
        legal = _legal(environment, info)
    return tuple(actions), total
