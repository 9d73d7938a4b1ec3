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
        episodes = [_play(environment, start_seed, (), rng) for _ in range(RANDOM_EPISODES)]
        best = _play(environment, start_seed, ())
        for _ in range(GREEDY_STEPS):
            if best.over:
                break
            candidates = rng.permutation(best.legal)[:CANDIDATES].tolist()
            tried = [_play(environment, start_seed, (*best.actions, action)) for action in candidates]
            best = max(tried, key=lambda played: played.value)
        episodes.append(_play(environment, start_seed, best.actions, rng))
        starts.append({played.actions: played.value for played in episodes})
        signal = RewardSignal(starts)
        if signal.present or not signal.finite:
            break
    return signal


def _varies(start: dict[tuple[int, ...], float]) -> bool:
    """Whether returns differ by more than the rounding of an LP optimum; then one of them is not zero."""
    low, high = min(start.values()), max(start.values())
    return not math.isclose(low, high, rel_tol=1e-7, abs_tol=1e-9)


class _Played(NamedTuple):
    actions: tuple[int, ...]
    value: float  # their return
    over: bool
    legal: Any  # actions after them


def _play(
    environment: Environment, seed: int, prefix: Sequence[int], rng: np.random.Generator | None = None
) -> _Played:
    """Play an episode: these actions, and with a generator random ones until it is over or long."""
    _, info = environment.reset(seed=seed)
    actions: list[int] = []
    total, over = 0.0, False
    while True:
        legal = np.flatnonzero(np.broadcast_to(info.get("action_mask", True), action_count(environment)))
        given = len(actions) < len(prefix)
        if over or not (given or (rng is not None and len(actions) < LONGEST_EPISODE)):
            return _Played(tuple(actions), total, over, legal)
        actions.append(prefix[len(actions)] if given or rng is None else int(rng.choice(legal)))
        _, reward, terminated, truncated, info = environment.step(actions[-1])
        total, over = total + float(reward), terminated or truncated
