"""`RedoxEnv`: one construct built placement by placement, as a Gymnasium environment.

An episode draws a condition, then places up to K enzymes or stops. The reward is the change of the construct's
value, stopping gives 0 and the discount is 1, so the return of an episode is the value of its final construct.
K placements end the episode as `terminated`: how many are left is in the observation, so nothing is truncated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.media import Condition
from redox_balancer.cell.parametric import REGION_BYTES
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import CACHE_ENTRIES, Evaluator, Outcome
from redox_balancer.design.settings import Sampling
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError

Observation = NDArray[np.float32]
Mask = NDArray[np.bool_]

MIXED = 0.5
"""Share of the episodes of `mixed` sampling in which several conditions hold at once."""

LEFT = ("placements left", "budget left", "membrane budget left")
MEASURED = ("growth without construct", "growth", "capacity")
"""What an observation ends with where the condition is told."""

WAVES = (1, 2, 4, 8)
"""Half periods within a unit of the waves that an hidden_condition condition's figures are shown by.

Two conditions may differ in the second digit of an answer and in all that follows from it. A network learns such
functions late; sines and cosines of the figure bring them within reach (Tancik et al. 2020, Fourier features let
networks learn high frequency functions in low dimensional domains, NeurIPS 33). Without them policies ended with
one construct for all conditions.
"""


class RedoxEnv(gymnasium.Env[Observation, np.int64]):
    """Place enzymes in a cell.

    Action `placement * levels + level` puts that level of that placement into the construct, replacing an
    earlier level; the last action stops. `info["action_mask"]` tells which actions stay within the protein
    budgets, one for soluble and one for membrane proteins. An action outside it changes nothing and uses up a
    placement.

    The observation is a flat float32 vector, see `layout`: the level of each placement as a share of the highest, the
    limit of each parameter of the condition relative to the top of its range (1 where nothing is lowered), placements
    left, both budgets left, growth without and with the construct relative to healthy growth, and capacity in healthy
    respirations. A hidden condition shows in growth and capacity after each placement only, as figures and as
    `WAVES` of them, 0 for placements to come.

    With uncertain figures each episode is paid by one set of them, drawn anew, so that the expected return is the
    mean value; what is observed is what the library's own figures give, which tells nothing of the set.

    Parameters
    ----------
    evaluator
        Values constructs; shared by all environments of a process.
    placements
        K, the number of placements of an episode.
    sampling
        `named` takes the conditions' own figures, `range` draws each limit uniformly from its range, and `mixed`
        does so for several conditions at once, too.
    hidden_condition
        Whether the condition is not told.

    Notes
    -----
    `reset(options={"condition": id})` fixes the condition of one episode.
    """

    construct: Construct
    outcome: Outcome
    condition: Condition
    _value: float
    _figures: int | None
    _left: int
    _spent: NDArray[np.float64]
    _mask: Mask

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        placements: int = 2,
        sampling: Sampling = "named",
        hidden_condition: bool = False,
    ) -> None:
        space = evaluator.space
        self.evaluator = evaluator
        self.max_placements = placements
        self.sampling, self.hidden_condition = sampling, hidden_condition
        self.action_space = gymnasium.spaces.Discrete(space.actions)
        names = layout(space, placements, hidden_condition=hidden_condition)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (len(names),), np.float32)
        self._levels = np.asarray(space.levels)
        # Of each placement: which of the two budgets it draws on.
        self._purse = np.asarray(space.in_membrane, dtype=np.intp)
        self._budgets = np.asarray([space.budget, space.membrane_budget])
        self._limits = self._budgets[self._purse, None] * (1 + 1e-9)
        self._shares = np.asarray([0.0, *space.levels])
        self._left_at = names.index(LEFT[0])
        self._answers = self._left_at + len(LEFT)
        # The level of each placement, 0 where there is none, and the observation, kept up to date.
        self._placed = np.zeros(len(space.placements), dtype=np.intp)
        self._seen = np.zeros(self.observation_space.shape, dtype=np.float32)
        self._limit_tops = np.asarray([change.high for change in space.changes])
        self._conditions = {condition.id: condition for condition in space.conditions}
        self._begin(space.healthy)

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
        self._begin(condition if self.sampling == "named" else condition.sampled(self.np_random))
        return self._observation(), self._info()

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Place one enzyme, or stop."""
        position = int(action)
        reward, stopped = 0.0, position == self.evaluator.space.actions - 1
        if not stopped:
            self._left -= 1
            if self._mask[position]:
                before = self._value
                self._place(*divmod(position, len(self._levels)))
                reward = self._value - before
            if self.hidden_condition:
                shown = fourier_features(self._measured())
                self._seen[self._answers + (self.max_placements - self._left - 1) * shown.size :][: shown.size] = (
                    shown
                )
        terminated = stopped or self._left == 0
        info = self._info()
        if terminated:
            info["metrics"] = {
                "value": self._value,
                "growth": self.outcome.growth,
                "capacity": self.outcome.capacity,
                # Of this process so far: optima that needed no solve, and those of them that a solve contradicted.
                "hit_rate": self.evaluator.hits / self.evaluator.lookups,
                "disagreements": self.evaluator.disagreements,
            }
        return self._observation(), reward, terminated, False, info

    def _begin(self, condition: Condition) -> None:
        space = self.evaluator.space
        self.condition = condition
        self.construct = Construct.empty(len(space.placements))
        sets = len(space.parameter_samples)
        self._figures = int(self.np_random.integers(sets)) if sets else None
        self._value_construct()
        self._left = self.max_placements
        self._placed[:] = 0
        self._spent = np.zeros(2)
        self._seen[:] = 0.0
        if not self.hidden_condition:
            limits = np.minimum(space.limits(condition) / self._limit_tops, 1.0)
            self._seen[len(space.placements) :][: limits.size] = limits
            self._seen[-3] = self.evaluator.reference(condition).growth / self.evaluator.healthy_growth
        self._mask = self._legal()

    def _place(self, placement: int, level: int) -> None:
        """Build and value the construct with one placement more."""
        self.construct = self.construct.place(placement, level)
        self._value_construct()
        replaced = self._shares[self._placed[placement]]
        self._placed[placement] = level + 1
        self._spent[self._purse[placement]] += self._levels[level] - replaced
        self._seen[placement] = (level + 1) / len(self._levels)
        self._mask = self._legal()

    def _value_construct(self) -> None:
        """What the construct shows, and what it is paid."""
        self.outcome = self.evaluator.outcome(self.construct, self.condition)
        paid = self.outcome
        if self._figures is not None:
            paid = self.evaluator.outcome(self.construct, self.condition, self._figures)
        self._value = paid.value

    def _measured(self) -> tuple[float, float]:
        """Growth relative to healthy growth, and capacity in healthy respirations."""
        evaluator = self.evaluator
        respiration = 2.0 * evaluator.space.oxygen_uptake
        return self.outcome.growth / evaluator.healthy_growth, self.outcome.capacity / respiration

    def _legal(self) -> Mask:
        """Which actions stay within the protein budgets, shape (actions,); stopping always does."""
        legal = np.ones(self._placed.size * self._levels.size + 1, dtype=np.bool_)
        without = self._spent[self._purse] - self._shares[self._placed]
        np.less_equal(without[:, None] + self._levels, self._limits, out=legal[:-1].reshape(without.size, -1))
        return legal

    def _observation(self) -> Observation:
        seen, left = self._seen, self._left_at
        seen[left] = self._left / self.max_placements
        seen[left + 1 : left + 3] = 1.0 - self._spent / self._budgets
        if not self.hidden_condition:
            seen[-2:] = self._measured()
        return seen.copy()

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self._mask, "condition": self.condition.id}


def layout(space: DesignSpace, placements: int, *, hidden_condition: bool = False) -> tuple[str, ...]:
    """Name of each number of an observation; fixed by the library, the conditions, K and whether they are told."""
    levels = (f"level:{placement.id}" for placement in space.placements)
    if hidden_condition:
        waves = (f" as {wave} {half}" for half in ("sin", "cos") for wave in WAVES)
        shown = [f"{what}{form}" for form in ("", *waves) for what in MEASURED[1:]]
        return (*levels, *LEFT, *(f"{what} after {number}" for number in range(1, placements + 1) for what in shown))
    limits = (f"limit:{change.reaction}:{change.side.value}" for change in space.changes)
    return (*levels, *limits, *LEFT, *MEASURED)


def fourier_features(figures: Sequence[float]) -> NDArray[np.float64]:
    """The figures, then their sines and cosines wave by wave."""
    angles = np.pi * np.outer(WAVES, figures).ravel()
    return np.concatenate((figures, np.sin(angles), np.cos(angles)))


@dataclass(frozen=True)
class RedoxEnvs:
    """Makes environments that share one evaluator; pickles, so that an actor can call it in its process.

    Attributes
    ----------
    space
        What can be built, into what.
    placements, sampling, hidden_condition
        As in `RedoxEnv`.
    cache_entries, region_bytes, exact_check
        As in `Evaluator`, in each process.
    """

    space: DesignSpace
    placements: int = 2
    sampling: Sampling = "named"
    hidden_condition: bool = False
    cache_entries: int = CACHE_ENTRIES
    region_bytes: int = REGION_BYTES
    exact_check: bool = False

    @property
    def named(self) -> RedoxEnvs:
        """The same with the conditions' own figures: what a policy is asked about, however it was trained."""
        return replace(self, sampling="named")

    def __call__(self, count: int) -> Sequence[RedoxEnv]:
        """Make `count` environments on one pair of linear programs."""
        evaluator = Evaluator(
            self.space,
            cache_entries=self.cache_entries,
            region_bytes=self.region_bytes,
            exact_check=self.exact_check,
        )
        return [
            RedoxEnv(
                evaluator, placements=self.placements, sampling=self.sampling, hidden_condition=self.hidden_condition
            )
            for _ in range(count)
        ]

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a policy trained here depends on: layout of observations and actions, and checksums."""
        return {
            **self.space.fingerprint,
            "observation": list(layout(self.space, self.placements, hidden_condition=self.hidden_condition)),
            "actions": self.space.actions,
            "max_placements": self.placements,
            "sampling": self.sampling,
        }
