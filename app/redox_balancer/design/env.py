"""`RedoxEnv`: a construct built placement by placement, as a Gymnasium environment.

An episode starts with a condition and an empty cell; each action places an enzyme or stops. The reward is the change
of the construct's value, less the cost of a measurement, and stopping gives 0, so that with discount 1 the return of
an episode is the value of its final construct, less what was paid for measurements. The Kth placement terminates the
episode: the observation holds the number of placements left, so nothing is truncated.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Self

import gymnasium
import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.parametric import REGION_BYTES
from redox_balancer.design.building import Building
from redox_balancer.design.candidates import CandidateFeatures, feature_names, show_gains
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import CACHE_ENTRIES, Evaluator, Outcome
from redox_balancer.design.fingerprint import space_fingerprint
from redox_balancer.design.held_ratios import HeldCondition
from redox_balancer.design.measurement import EXACT, Measurement
from redox_balancer.design.observation import REMAINING, CellEntries, TrainedLayout, fourier_features, layout
from redox_balancer.design.settings import Observed, Sampling
from redox_balancer.design.side_by_side import Played, at_once
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.states import Box
from redox_balancer.errors import RedoxError

Observation = NDArray[np.float32]
Mask = NDArray[np.bool_]

MIXED = 0.5  # share of the episodes with `mixed` sampling in which several conditions hold at once


class RedoxEnv(gymnasium.Env[Observation, np.int64]):
    """Place enzymes in a cell.

    Action `placement * levels + level` sets a placement to a level, replacing an earlier level; the last action
    stops. `info["action_mask"]` marks the actions that stay within the two protein budgets, of soluble and of
    membrane proteins. Any other action changes nothing and uses up a placement.

    The observation is a float32 vector, see `layout`: the limit of each bound that conditions change, relative to the
    top of its range (1 where nothing is changed), a tenth of ln([NAD+]/[NADH]) where that is held, placements left,
    both budgets left, growth without and with the construct relative to healthy growth, and capacity in healthy
    respirations. A hidden condition shows only in growth and capacity after each placement, as values and as Fourier
    features, 0 for the placements to come. What follows describes each placement of the library, see
    `CandidateFeatures`, and `metadata["candidates"]` has the sizes of that part: placements, features and levels. A
    `flat` observation starts with the level of each placement instead, as a fraction of the highest.

    With parameter samples each episode is rewarded by one sample, drawn at its start, so that the expected return is
    the mean value. The observation follows from the library's own parameters and reveals nothing of the sample, but
    where measurements have an error or a cost they are of the cell with that sample, see `Measurement`.

    Parameters
    ----------
    evaluator
        Values constructs; shared by all environments of a process.
    placements
        K, the maximum number of placements.
    sampling
        `named` takes the limits of the conditions themselves, `range` draws each limit uniformly from its range,
        `mixed` does so for several conditions at once as well, and `box` draws states from the box of all limits.
    hidden_condition
        Whether the observation excludes the condition.
    observation
        `candidates` or `flat`.
    measurement
        Error and cost of what is measured after each placement under a hidden condition.
    trained
        Layout of the observations of a policy that was trained in other environments; by default that of these.
    release
        Called once when the environment is closed. By default the evaluator stays open, for its owner to close.

    Notes
    -----
    `reset(options={"condition": id, "sample": index})` selects condition and parameter sample of one episode; either
    may be left out.
    """

    construct: Construct
    outcome: Outcome
    condition: Condition
    _value: float
    sample: int | None
    paid: float
    _left: int

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        placements: int = 2,
        sampling: Sampling = "named",
        hidden_condition: bool = False,
        observation: Observed = "candidates",
        measurement: Measurement = EXACT,
        trained: TrainedLayout | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        space = evaluator.space
        self.evaluator = evaluator
        self.max_placements = placements
        self.sampling, self.hidden_condition, self.measurement = sampling, hidden_condition, measurement
        self.action_space = gymnasium.spaces.Discrete(space.actions)
        flat = observation == "flat"
        names, changes = layout(space, placements, hidden_condition=hidden_condition, flat=flat), space.changes
        if trained is not None:
            names, changes = trained.names, trained.changes
        self.entries = None if hidden_condition else CellEntries(space, changes, len(space.placements) if flat else 0)
        self.features = None if flat else CandidateFeatures(evaluator, hidden_condition=hidden_condition)
        size = len(names)
        if self.features is not None:
            size += self.features.values.size
            self.metadata = {**self.metadata, "candidates": (*self.features.values.shape, len(space.levels))}
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self._release, self._closed = release, False
        self._stop, self._levels = space.actions - 1, len(space.levels)
        self._empty = Construct.empty(len(space.placements))
        self._remaining_at = names.index(REMAINING[0])
        self._history_at = self._remaining_at + len(REMAINING)
        self._together = False
        self._use(Building(space, 1, len(names), self._remaining_at), 0)
        self._conditions = {condition.id: condition for condition in space.conditions}
        self._box = Box(space) if sampling == "box" else None
        self._begin(space.healthy)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode with an empty construct; a RedoxError for an unknown condition or a closed environment."""
        self._refuse_if_closed()
        super().reset(seed=seed)
        options = options or {}
        self._begin(self.draw(options.get("condition")), options.get("sample"))
        return self._observation(), self._info()

    def draw(self, name: str | None = None) -> Condition:
        """Draw the condition of an episode, or the limits and ratios of a named one."""
        space = self.evaluator.space
        if name is None and self._box is not None:
            condition = self._box.draw(self.np_random)
        elif name is None:
            offered = space.conditions
            if self.sampling == "mixed" and space.mixtures and self.np_random.random() < MIXED:
                offered = space.mixtures
            condition = offered[int(self.np_random.integers(len(offered)))]
        elif name in self._conditions:
            condition = self._conditions[name]
        else:
            raise RedoxError(f"unknown condition {name!r}", hint=f"known: {', '.join(self._conditions)}")
        if self.sampling in ("range", "mixed"):
            condition = condition.sampled(self.np_random)
        return space.ratios.holding(condition, self.np_random) if space.ratios else condition

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Place one enzyme, or stop; a RedoxError if the environment is closed."""
        self._refuse_if_closed()
        position = int(action)
        stopped = position == self._stop
        reward, self._left = 0.0, 0 if stopped else self._left - 1
        if not stopped:
            if self._mask[position]:
                before = self._value
                self._place(*divmod(position, self._levels))
                reward = self._value - before
            if self.hidden_condition:
                reward -= self.measurement.cost
                self.paid += self.measurement.cost
                features = fourier_features(self.measurement.take(self._measured(), self.np_random))
                start = self._history_at + (self.max_placements - self._left - 1) * features.size
                self._observed[start : start + features.size] = features
        terminated = self._left == 0
        info = self._info()
        if terminated:
            info["metrics"] = {
                "value": self._value,
                "growth": self.outcome.growth,
                "capacity": self.outcome.capacity,
                # Of this process so far: optima that needed no solve, and those of them that a solve contradicted.
                "hit_rate": self.evaluator.hits / self.evaluator.lookups,
                "disagreements": self.evaluator.disagreements,
            } | ({"paid": self.paid} if self.measurement.cost else {})
        return self._observation(), reward, terminated, False, info

    def join(self, building: Building, row: int) -> None:
        """Use a row of what environments share, and leave it to others to complete observations and show masks."""
        self._together = True
        self._use(building, row)

    def close(self) -> None:
        """Release the evaluator; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._release()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RedoxError("the environment is closed", hint="create another one")

    def _use(self, building: Building, row: int) -> None:
        self.building, self._row = building, row
        self._mask, self._observed = building.masks[row], building.observed[row]

    def _begin(self, condition: Condition, sample: int | None = None) -> None:
        space = self.evaluator.space
        self.condition = condition
        self.construct = self._empty
        samples = len(space.parameter_samples)
        drawn = int(self.np_random.integers(samples)) if samples else None
        self.sample, self.paid = drawn if sample is None else sample, 0.0
        self._measured_sample = self.sample if self.measurement.of_sample else None
        self._evaluate()
        self._left = self.max_placements
        self.building.begin(self._row)
        reference, cell = self.evaluator.cell(condition)
        self._healthy_growth = reference.healthy_growth
        if self.entries is not None:
            ratios = condition.ratios if isinstance(condition, HeldCondition) else ()
            self.entries.write(self._observed, cell.limits, ratios)
            self._observed[-3] = reference.growth / reference.healthy_growth
        if not self._together:
            self.building.update()
        if self.features is not None:
            self.features.enter(condition)

    def _place(self, placement: int, level: int) -> None:
        """Extend the construct by one placement."""
        self.construct = self.construct.place(placement, level)
        self._evaluate()
        self.building.place(self._row, placement, level)
        if not self._together:
            self.building.update()
        if self.features is None:
            self._observed[placement] = (level + 1) / self._levels
        else:
            self.features.placed(placement, level)

    def _evaluate(self) -> None:
        """Outcome of the construct for the observation, and its value for the reward."""
        measured = self._measured_sample
        self.outcome = rewarded = self.evaluator.outcome(self.construct, self.condition, measured)
        if self.sample != measured:
            rewarded = self.evaluator.outcome(self.construct, self.condition, self.sample)
        self._value = rewarded.value

    def _measured(self) -> tuple[float, float]:
        """Growth relative to healthy growth, and capacity in healthy respirations."""
        return self.outcome.growth / self._healthy_growth, self.outcome.capacity / self.evaluator.space.capacity_unit

    def _observation(self) -> Observation:
        observed: Observation = self._observed
        observed[self._remaining_at] = self._left / self.max_placements
        if not self.hidden_condition:
            observed[-2], observed[-1] = self._measured()
        if self.features is None:
            return observed if self._together else observed.copy()
        legal = self._mask[:-1] if self._left else None
        self.features.look_ahead(self.construct, self.outcome, legal, self._left)
        observation = np.concatenate([observed, self.features.values.ravel()])
        if not self._together:
            show_gains([self.features], observation[None])
        return observation

    def _info(self) -> dict[str, Any]:
        info = {"condition": self.condition.id}
        return info if self._together else info | {"action_mask": self._mask.copy()}


@dataclass(frozen=True)
class RedoxEnvs:
    """Factory of environments that share one evaluator; it pickles, so that an actor can call it in its process.

    Its fields are those of `RedoxEnv` and of the `Evaluator` of each process.
    """

    space: DesignSpace
    placements: int = 2
    sampling: Sampling = "named"
    hidden_condition: bool = False
    observation: Observed = "candidates"
    measurement: Measurement = EXACT
    trained: TrainedLayout | None = None
    cache_entries: int = CACHE_ENTRIES
    region_bytes: int = REGION_BYTES
    exact_check: bool = False

    @property
    def named(self) -> Self:
        """The same with the limits and ratios of the conditions themselves: what a policy is evaluated on."""
        ratios = self.space.ratios
        held = ratios and replace(ratios, held=tuple(replace(r, low=r.value, high=r.value) for r in ratios.held))
        return replace(self, sampling="named", space=replace(self.space, ratios=held) if held else self.space)

    def __call__(self, count: int) -> Sequence[RedoxEnv]:
        """Create `count` environments on one set of linear programs, which the last of them to close frees."""
        evaluator = Evaluator(
            self.space, cache_entries=self.cache_entries, region_bytes=self.region_bytes, exact_check=self.exact_check
        )
        still_open = count

        def release() -> None:
            nonlocal still_open
            still_open -= 1
            if not still_open:
                evaluator.close()

        shared = ("placements", "sampling", "hidden_condition", "observation", "measurement", "trained")
        settings: dict[str, Any] = {name: getattr(self, name) for name in shared}
        return [RedoxEnv(evaluator, **settings, release=release) for _ in range(count)]

    @staticmethod
    def together(environments: Sequence[RedoxEnv]) -> Callable[[Observation, Mask], None]:
        """Leave masks and gains of N environments to the result, which is given all observations and masks."""
        building = environments[0].building.of(len(environments))
        for row, environment in enumerate(environments):
            environment.join(building, row)
        features = [environment.features for environment in environments if environment.features]

        def complete(observations: Observation, masks: Mask) -> None:
            building.update()
            observations[:, : building.observed.shape[1]], masks[:] = building.observed, building.masks
            if features:
                show_gains(features, observations)

        return complete

    def at_once(self, environments: Sequence[RedoxEnv]) -> Callable[[NDArray[np.int64]], Played] | None:
        """What steps environments at once, after `together` and their first reset; None where it cannot."""
        return None if self.exact_check else at_once(environments)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that a policy trained here depends on: layout of observations and actions, and checksums."""
        flat = self.observation == "flat"
        names = layout(self.space, self.placements, hidden_condition=self.hidden_condition, flat=flat)
        return {
            **space_fingerprint(self.space),
            "observation": [*names, *(() if flat else feature_names(self.space))],
            "actions": self.space.actions,
            "max_placements": self.placements,
            "sampling": self.sampling,
            **({"measurement": list(astuple(self.measurement))} if self.measurement.of_sample else {}),
        }
