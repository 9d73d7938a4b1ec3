"""`RedoxEnv`: one construct built placement by placement, as a Gymnasium environment.

An episode draws a condition, then places up to K enzymes or stops. The reward is the change of the construct's
value, stopping gives 0 and the discount is 1, so the return of an episode is the value of its final construct.
K placements end the episode as `terminated`: how many are left is in the observation, so nothing is truncated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.media import Condition
from redox_balancer.cell.regions import REGION_BYTES
from redox_balancer.design.construct import Construct
from redox_balancer.design.space import DesignSpace, State
from redox_balancer.design.value import CACHE_ENTRIES, Evaluator, Outcome
from redox_balancer.errors import RedoxError

Observation = NDArray[np.float32]
Mask = NDArray[np.bool_]
Sampling = Literal["named", "range", "mixed"]

MIXED = 0.5
"""Share of the episodes of `mixed` sampling in which several conditions hold at once."""

SCALARS = (
    *("placements left", "budget left", "membrane budget left"),
    *("growth without construct", "growth", "capacity"),
)
"""What an observation ends with."""


class RedoxEnv(gymnasium.Env[Observation, np.int64]):
    """Place enzymes in a cell.

    Action `placement * levels + level` puts that level of that placement into the construct, replacing an
    earlier level; the last action stops. `info["action_mask"]` tells which actions stay within the protein
    budgets, one for soluble and one for membrane proteins. An action outside it changes nothing and uses up a
    placement.

    The observation is a flat float32 vector, see `layout`: the level of each placement as a share of the highest,
    placements left, both budgets left, the limit of each parameter of the condition relative to the top of its range
    (1 where nothing is lowered), growth without and with the construct relative to healthy growth, and capacity in
    healthy respirations.

    Parameters
    ----------
    evaluator
        Values constructs; shared by all environments of a process.
    placements
        K, the number of placements of an episode.
    sampling
        `named` takes the conditions' own figures, `range` draws each limit uniformly from its range, and `mixed`
        does so for several conditions at once, too.

    Notes
    -----
    `reset(options={"condition": id})` begins an episode under that condition, by its own figures.
    """

    construct: Construct
    outcome: Outcome
    condition: Condition
    state: State
    _left: int
    _spent: NDArray[np.float64]
    _mask: Mask

    def __init__(self, evaluator: Evaluator, *, placements: int = 2, sampling: Sampling = "named") -> None:
        space = evaluator.space
        self.evaluator = evaluator
        self.max_placements = placements
        self.sampling = sampling
        self.action_space = gymnasium.spaces.Discrete(space.actions)
        self.observation_space = gymnasium.spaces.Box(0.0, np.inf, (len(layout(space)),), np.float32)
        self._levels = np.asarray(space.levels)
        # Of each placement: which of the two budgets it draws on.
        self._purse = np.asarray(space.in_membrane, dtype=np.intp)
        self._budgets = np.asarray([space.budget, space.membrane_budget])
        self._limits = self._budgets[self._purse, None] * (1 + 1e-9)
        self._shares = np.asarray([0.0, *space.levels])
        # The level of each placement, 0 where there is none, and the observation, kept up to date.
        self._placed = np.zeros(len(space.placements), dtype=np.intp)
        self._seen = np.zeros(self.observation_space.shape, dtype=np.float32)
        self._parameter_tops = np.asarray([parameter.high for parameter in space.parameters])
        self._conditions = {condition.id: condition for condition in space.conditions}
        self._begin(space.conditions[0], space.healthy)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode with nothing placed."""
        super().reset(seed=seed)
        space = self.evaluator.space
        name = (options or {}).get("condition")
        if name is None:
            offered = space.conditions
            if self.sampling == "mixed" and space.mixtures and self.np_random.random() < MIXED:
                offered = space.mixtures
            condition = offered[int(self.np_random.integers(len(offered)))]
        elif name in self._conditions:
            condition = self._conditions[name]
        else:
            raise RedoxError(f"unknown condition {name!r}", hint=f"known: {', '.join(self._conditions)}")
        own = self.sampling == "named" or name is not None
        self._begin(condition, space.state(condition) if own else space.sample_state(condition, self.np_random))
        return self._observation(), self._info()

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Place one enzyme, or stop."""
        position = int(action)
        reward, stopped = 0.0, position == self.evaluator.space.actions - 1
        if not stopped:
            self._left -= 1
            if self._mask[position]:
                before = self.outcome.value
                self._place(*divmod(position, len(self._levels)))
                reward = self.outcome.value - before
        terminated = stopped or self._left == 0
        info = self._info()
        if terminated:
            info["metrics"] = {
                "value": self.outcome.value,
                "growth": self.outcome.growth,
                "capacity": self.outcome.capacity,
                # Of this process so far: optima that needed no solve, and those of them that a solve contradicted.
                "hit_rate": self.evaluator.hits / self.evaluator.lookups,
                "disagreements": self.evaluator.disagreements,
            }
        return self._observation(), reward, terminated, False, info

    def _begin(self, condition: Condition, state: State) -> None:
        space = self.evaluator.space
        self.condition, self.state = condition, state
        self.construct = Construct.empty(len(space.placements))
        self.outcome = self.evaluator.evaluate(self.construct, state)
        self._left = self.max_placements
        self._placed[:] = 0
        self._spent = np.zeros(2)
        limits = np.minimum(np.asarray(state) / self._parameter_tops, 1.0)
        self._seen[:] = 0.0
        self._seen[len(space.placements) : -len(SCALARS)] = limits
        self._seen[-3] = self.evaluator.reference(state).growth / self.evaluator.healthy_growth
        self._mask = self._legal()

    def _place(self, placement: int, level: int) -> None:
        """Build and value the construct with one placement more."""
        self.construct = self.construct.place(placement, level)
        self.outcome = self.evaluator.evaluate(self.construct, self.state)
        replaced = self._shares[self._placed[placement]]
        self._placed[placement] = level + 1
        self._spent[self._purse[placement]] += self._levels[level] - replaced
        self._seen[placement] = (level + 1) / len(self._levels)
        self._mask = self._legal()

    def _legal(self) -> Mask:
        """Which actions stay within the protein budgets, shape (actions,); stopping always does."""
        legal = np.ones(self._placed.size * self._levels.size + 1, dtype=np.bool_)
        without = self._spent[self._purse] - self._shares[self._placed]
        np.less_equal(without[:, None] + self._levels, self._limits, out=legal[:-1].reshape(without.size, -1))
        return legal

    def _observation(self) -> Observation:
        space = self.evaluator.space
        seen = self._seen
        seen[-6] = self._left / self.max_placements
        seen[-5:-3] = 1.0 - self._spent / self._budgets
        seen[-2] = self.outcome.growth / self.evaluator.healthy_growth
        seen[-1] = self.outcome.capacity / (2.0 * space.oxygen_uptake)
        return seen.copy()

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self._mask, "condition": self.condition.id}


def layout(space: DesignSpace) -> tuple[str, ...]:
    """Name of each number of an observation; fixed by the library and the conditions."""
    return (
        *(f"level:{placement.id}" for placement in space.placements),
        *(f"limit:{parameter.reaction}:{parameter.side.value}" for parameter in space.parameters),
        *SCALARS,
    )


@dataclass(frozen=True)
class RedoxEnvs:
    """Makes environments that share one evaluator; pickles, so that an actor can call it in its process.

    Attributes
    ----------
    space
        What can be built, into what.
    placements, sampling
        As in `RedoxEnv`.
    cache_entries, region_bytes, exact_check
        As in `Evaluator`, in each process.
    """

    space: DesignSpace
    placements: int = 2
    sampling: Sampling = "named"
    cache_entries: int = CACHE_ENTRIES
    region_bytes: int = REGION_BYTES
    exact_check: bool = False

    def __call__(self, count: int) -> Sequence[RedoxEnv]:
        """Make `count` environments on one pair of linear programs."""
        evaluator = Evaluator(
            self.space,
            cache_entries=self.cache_entries,
            region_bytes=self.region_bytes,
            exact_check=self.exact_check,
        )
        return [RedoxEnv(evaluator, placements=self.placements, sampling=self.sampling) for _ in range(count)]

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a policy trained here depends on: layout of observations and actions, and checksums."""
        return {
            **self.space.fingerprint,
            "observation": list(layout(self.space)),
            "actions": self.space.actions,
            "max_placements": self.placements,
            "sampling": self.sampling,
        }
