"""Small environments whose best return is known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from redox_balancer.errors import RedoxError

PRIZES = (0.1, 0.9, 0.3, 0.5)
STOP = len(PRIZES)


class Shelf(gymnasium.Env[Any, Any]):
    """Take two of four prizes, or stop; each can be taken once.

    The first prize counts in full. The second counts in full if it is left of the first, else half, so the order
    matters and the best return is 0.9 + 0.3 = 1.2 / (0.5 then 0.9) = 1.4.
    """

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (STOP + 1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(STOP + 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed, options=options)
        self._taken: list[int] = []
        self._noise = float(self.np_random.random())
        return self._view()

    def _view(self) -> tuple[Any, dict[str, Any]]:
        mask = np.ones(STOP + 1, dtype=np.bool_)
        mask[self._taken] = False
        return np.append(~mask[:STOP], self._noise).astype(np.float32), {"action_mask": mask}

    def step(self, action: int) -> Any:
        if action in self._taken:
            raise AssertionError("an illegal action was taken")
        reward = 0.0
        if action != STOP:
            share = 1.0 if not self._taken or action < self._taken[0] else 0.5
            reward = share * PRIZES[action]
            self._taken.append(action)
        over = action == STOP or len(self._taken) == 2
        observation, info = self._view()
        if over:
            info["metrics"] = {"value": float(len(self._taken)), "growth": 0.5}
        return observation, reward, over, False, info


BEST_RETURN = 1.4


@dataclass(frozen=True)
class Shelves:
    """Factory of `Shelf`; `flavour` only changes the fingerprint."""

    flavour: str = "plain"
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", {"flavour": self.flavour, "actions": STOP + 1})

    def __call__(self, count: int) -> Sequence[Shelf]:
        return [Shelf() for _ in range(count)]


WIDTH = 4096


class WideShelf(Shelf):
    """A shelf seen by many numbers, most of them 0."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (WIDTH,), np.float32)

    def _view(self) -> tuple[Any, dict[str, Any]]:
        observation, info = super()._view()
        return np.pad(observation, (0, WIDTH - len(observation))), info


class WideShelves(Shelves):
    """Factory of `WideShelf`: a step takes 16 kB."""

    def __call__(self, count: int) -> Sequence[Shelf]:
        return [WideShelf() for _ in range(count)]


class Counter(gymnasium.Env[Any, Any]):
    """Shows how often it was stepped, and rewards each step with that number; ends by a plan.

    `plan[e]` is (length, kind) of the e-th episode, with kind "terminated" or "truncated"; the plan repeats.
    """

    def __init__(self, plan: Sequence[tuple[int, str]]) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)
        self._plan = plan
        self._episode = -1
        self._clock = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed, options=options)
        self._episode += 1
        self._age = 0
        return np.asarray([self._clock, 0.0], dtype=np.float32), {}

    def step(self, action: int) -> Any:
        del action
        self._clock += 1
        self._age += 1
        length, kind = self._plan[self._episode % len(self._plan)]
        over = self._age == length
        info = {"metrics": {"length": float(self._age)}} if over else {}
        observation = np.asarray([self._clock, self._age], dtype=np.float32)
        return observation, float(self._clock), over and kind == "terminated", over and kind == "truncated", info


@dataclass(frozen=True)
class Counters:
    """Factory of `Counter`: environment b of a call has the b-th plan."""

    plans: tuple[tuple[tuple[int, str], ...], ...]
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, count: int) -> Sequence[Counter]:
        return [Counter(self.plans[b % len(self.plans)]) for b in range(count)]


@dataclass(frozen=True)
class Broken:
    """A factory with an error that the user has to fix."""

    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, count: int) -> Sequence[Shelf]:
        raise RedoxError(f"no shelf for {count} environments", hint="buy one")


class Digits(gymnasium.Env[Any, Any]):
    """Choose three digits below five; their sum is the reward of the first episodes, later ones have a constant."""

    def __init__(self, value: float, good: Iterator[bool]) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(5)
        self._value, self._good = value, good

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed, options=options)
        self._chosen: list[int] = []
        self._fine = next(self._good)
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action: int) -> Any:
        self._chosen.append(action)
        over = len(self._chosen) == 3
        reward = 0.0 if not over else sum(self._chosen) / 10 if self._fine else self._value
        return np.asarray([len(self._chosen) / 3], dtype=np.float32), reward, over, False, {}


@dataclass(frozen=True)
class Fading:
    """Factory of `Digits` whose reward depends on the action in the first `episodes` of all together only."""

    value: float
    episodes: int = 0
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    _good: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._good.extend([True] * self.episodes)

    def __call__(self, count: int) -> Sequence[Digits]:
        good = iter(lambda: bool(self._good and self._good.pop()), None)
        return [Digits(self.value, good) for _ in range(count)]
