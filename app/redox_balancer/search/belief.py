"""Search under a hidden condition: place an enzyme, measure, update the belief, place the next one.

The hidden cell does not change, so this is a partially observable decision process whose belief is a weight for each
state (Kaelbling et al. 1998, Artif. Intell. 101:99). A placement is worth what the construct is
expected to be worth after it, or with `look_ahead` 2 after the best answer to its measurement: to stop, or one more
placement. What it costs to measure is deducted, and the search stops where no placement is worth it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.parametric import LARGE
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.measurement import EXACT, Measurement
from redox_balancer.resources import one_blas_thread
from redox_balancer.search.forecast import BOUNDED, ESTIMATED, Forecast, Moves, State
from redox_balancer.search.problem import GAIN, Search, SearchResult

SHARPNESS = 0.02
"""Least standard deviation of the assumed error of a measurement: none of the states considered is the hidden one."""

POSSIBLE_STATES = 512  # number of states that a search considers possible where the condition is hidden
NEGLIGIBLE = 1e-3  # probability of the least likely states together, which no decision considers
SCENARIOS = 256  # measurements that a placement is expected to have, drawn from the belief
SOLVED = 4_096  # random constructs valued before the first answer, for estimates
PROMISING = 12  # placements valued exactly where estimates are no bounds


@dataclass(frozen=True)
class Belief:
    """The states that the hidden cell may be in, all equally likely before the first measurement.

    `evaluator` may be reset between two answers. `placements` is K, the largest number of placements, each of them
    measured with the error and cost of `measurement`. 1 or 2 placements are looked ahead (`look_ahead`); 1 for
    rewards without `ESTIMATED` values.
    """

    evaluator: Evaluator
    states: Sequence[State]
    placements: int
    measurement: Measurement = EXACT
    look_ahead: int = 1

    @classmethod
    def of(
        cls,
        environments: RedoxEnvs,
        evaluator: Evaluator,
        *,
        count: int = POSSIBLE_STATES,
        look_ahead: int | None = None,
    ) -> Self:
        """The belief about the hidden cell of an episode; `evaluator` values constructs in place of their own.

        By default it looks two placements ahead, one in a network of `LARGE` reactions or more: hours otherwise.
        """
        states = possible_states(environments, count)
        if look_ahead is None:
            look_ahead = 1 if len(environments.space.network.reactions) >= LARGE else 2
        return cls(evaluator, states, environments.placements, environments.measurement, look_ahead)

    @one_blas_thread()
    def prepare(self) -> None:
        """Compute what is the same for every hidden cell: the first placement, and what it does in each state."""
        _ = self.first

    @one_blas_thread()
    def search(self, search: Search, generator: np.random.Generator | None = None) -> SearchResult:
        """Choose placements by the belief, one by one, and measure after each.

        The problem of `search` is that of the hidden cell, of which only measurements are used, with errors drawn
        from `generator`; its value, less the cost of measurements, is that of the answer.
        """
        self.prepare()
        problem, generator = search.problem, generator or np.random.default_rng(0)
        hidden = State(problem.conditions[0], problem.sample)
        construct, errors = problem.empty, np.zeros(len(self.states))
        for number in range(self.placements):
            extended, expected = self.first if number == 0 else (self.next(construct, errors, number), None)
            if extended is None:
                return search.chosen(construct, number * self.measurement.cost)
            construct = extended
            measured = self.measurement.take(self.measured(construct, hidden), generator)
            errors = self.updated(errors, construct, measured, expected)
        return search.chosen(construct, self.placements * self.measurement.cost)

    def weights(self, errors: FloatArray) -> FloatArray:
        """Probability of each state, from its squared deviations from all measurements, shape (states,)."""
        likelihoods = np.exp(-0.5 * (errors - errors.min()))
        weights: FloatArray = likelihoods / likelihoods.sum()
        return weights

    def updated(
        self, errors: FloatArray, construct: Construct, measured: Sequence[float], expected: FloatArray | None = None
    ) -> FloatArray:
        """Add the deviations of a measurement, in standard deviations; infinite for states that were negligible.

        `expected`, shape (states, 2), is what it would show in each state, where that is known.
        """
        if expected is None:
            expected = np.full((len(self.states), 2), np.inf)
            for index in self._likely(errors).tolist():
                expected[index] = self.measured(construct, self.states[index])
        updated: FloatArray = errors + np.sum(((expected - np.asarray(measured)) / self.sharpness) ** 2, axis=1)
        return updated

    def measured(self, construct: Construct, state: State) -> tuple[float, float]:
        """What an exact measurement of a construct shows in a state: relative growth and capacity."""
        evaluator = self.evaluator
        outcome, healthy = evaluator.outcome(construct, *state), evaluator.reference(state.condition).healthy_growth
        return outcome.growth / healthy, outcome.capacity / evaluator.space.capacity_unit

    def next(self, construct: Construct, errors: FloatArray, number: int) -> Construct | None:
        """The construct after the best placement, or None where none is worth its cost; `number` are made so far."""
        likely = self._likely(errors)
        weights = self.weights(errors)[likely]
        weights /= weights.sum()
        moves = self.forecast.moves(construct, again=self.measurement.noise > 0)
        if not len(moves.added):
            return None
        value = self._expected(construct, likely, weights)
        if self.placements - number > 1 and self.look_ahead > 1 and self._estimated:
            chosen = self._two_ahead(construct, moves, likely, weights, value)
        else:
            chosen = self._one_ahead(construct, moves, likely, weights, value)
        return None if chosen is None else self.forecast.moved(construct, moves, chosen)

    @cached_property
    def first(self) -> tuple[Construct | None, FloatArray]:
        """The construct of the first placement, None for a stop, and what a measurement of it shows in each state."""
        empty = Construct.empty(len(self.evaluator.space.placements))
        first = self.next(empty, np.zeros(len(self.states)), 0)
        return first, np.asarray([self.measured(first or empty, state) for state in self.states])

    @cached_property
    def forecast(self) -> Forecast:
        """Estimates for all states."""
        return Forecast(self.evaluator, self.states, self.placements, SOLVED)

    @property
    def _estimated(self) -> bool:
        return self.evaluator.space.settings.reward in ESTIMATED

    @property
    def sharpness(self) -> float:
        """Standard deviation that the likelihood of a measurement goes by."""
        return max(self.measurement.noise, SHARPNESS)

    def _likely(self, errors: FloatArray) -> NDArray[np.intp]:
        """The states that are not negligible, the most likely first."""
        weights = self.weights(errors)
        order = np.argsort(-weights, kind="stable")
        return order[: 1 + int(np.searchsorted(np.cumsum(weights[order]), 1.0 - NEGLIGIBLE))]

    def _expected(self, construct: Construct, likely: NDArray[np.intp], weights: FloatArray) -> float:
        values = [self.evaluator.outcome(construct, *self.states[index]).value for index in likely.tolist()]
        return float(weights @ values)

    def _one_ahead(
        self, construct: Construct, moves: Moves, likely: NDArray[np.intp], weights: FloatArray, value: float
    ) -> int | None:
        """The placement of the highest expected value less cost, if that is above `value`.

        Exact values take the place of the estimates, state by state, only as long as the placement may be the best.
        """
        values = np.zeros((len(likely), len(moves.added)))
        if self._estimated:
            values = np.stack([self.forecast.after_one(s, construct, moves)[:, 0] for s in likely.tolist()])
        bounded, estimates = self.evaluator.space.settings.reward in BOUNDED, weights @ values
        best, best_value = None, value + self.measurement.cost + GAIN
        order = np.argsort(-estimates, kind="stable")
        for index in order[: PROMISING if self._estimated and not bounded else None].tolist():
            moved, worth = self.forecast.moved(construct, moves, index), float(estimates[index])
            for place, state in enumerate(likely.tolist()):
                if bounded and worth <= best_value:
                    break
                exact = self.evaluator.outcome(moved, *self.states[state]).value
                worth += float(weights[place]) * (exact - float(values[place, index]))
            if worth > best_value:
                best, best_value = index, worth
        return best

    def _two_ahead(
        self, construct: Construct, moves: Moves, likely: NDArray[np.intp], weights: FloatArray, value: float
    ) -> int | None:
        """The placement of the highest expected value less cost after the best answer to its measurement.

        As long as the best placement rests on estimates, exact values take their place.
        """
        plan = Plan(self, construct, moves, likely, weights)
        while (best := plan.best()) not in plan.exact and plan.worth[best] > value + GAIN:
            plan.refine(best)
        return best if plan.worth[best] > value + GAIN else None


class Plan:
    """What each of A placements is worth if the best answer follows each of its measurements, expected by S states.

    Measurements are drawn from the belief: each state as often as it is likely, with the same errors for all
    placements. `worth` is the expected value less cost of each placement, shape (A,); `exact` are those that rest on
    exact values.
    """

    def __init__(
        self, belief: Belief, construct: Construct, moves: Moves, likely: NDArray[np.intp], weights: FloatArray
    ) -> None:
        self._belief, self._construct, self._moves, self._weights = belief, construct, moves, weights
        states, forecast = likely.tolist(), belief.forecast
        self._states = [belief.states[state] for state in states]
        self._one = np.stack([forecast.after_one(state, construct, moves) for state in states], axis=1)
        self._two = np.stack([forecast.after_two(state, construct, moves) for state in states], axis=2)
        count, noise = max(SCENARIOS, len(states)), belief.measurement.noise
        true = np.searchsorted(np.cumsum(weights), (np.arange(count) + 0.5) / count)
        self._true = true.clip(max=len(states) - 1)
        self._errors = noise * np.random.default_rng(0).standard_normal((count, 1, 2))
        self.worth = np.array([self._answers(first)[0] for first in range(len(moves.added))])
        self.exact: set[int] = set()

    def best(self) -> int:
        """The placement that is worth most."""
        return int(self.worth.argmax())

    def refine(self, first: int) -> None:
        """Replace the estimates that the worth of a placement rests on by exact values."""
        belief, forecast = self._belief, self._belief.forecast
        placed = forecast.moved(self._construct, self._moves, first)
        for place, state in enumerate(self._states):
            worth = belief.evaluator.outcome(placed, *state).value
            self._one[first, place] = worth, *belief.measured(placed, state)
        known = np.zeros(self._two.shape[1:], dtype=bool)
        while True:
            self.worth[first], used = self._answers(first)
            order = np.argsort(-used, axis=None)
            needed = order[: int(np.searchsorted(np.cumsum(used.ravel()[order]), used.sum() - NEGLIGIBLE)) + 1]
            unknown = needed[~known.ravel()[needed] & (used.ravel()[needed] > 0.0)]
            if not len(unknown):
                break
            for second, place in zip(*np.unravel_index(unknown, known.shape), strict=True):
                answered = forecast.moved(placed, self._moves, second)
                self._two[first, second, place] = belief.evaluator.outcome(answered, *self._states[place]).value
                known[second, place] = True
        self.exact.add(first)

    def _answers(self, first: int) -> tuple[float, FloatArray]:
        """Worth of a placement, and the probability that each answer is given in each state, shape (A, S)."""
        belief, one = self._belief, self._one[first]
        errors = (((one[self._true, None, 1:] + self._errors - one[:, 1:]) / belief.sharpness) ** 2).sum(axis=2)
        beliefs = self._weights * np.exp(-0.5 * (errors - errors.min(axis=1, keepdims=True)))
        beliefs /= beliefs.sum(axis=1, keepdims=True)
        values = np.where(self._moves.pairs[first], beliefs @ self._two[first].T, -np.inf) - belief.measurement.cost
        chosen, stopped = values.argmax(axis=1), beliefs @ one[:, 0]
        most = values[np.arange(len(chosen)), chosen]
        used = np.zeros(self._two.shape[1:])
        np.add.at(used, chosen[most > stopped], beliefs[most > stopped] / len(chosen))
        return float(np.maximum(most, stopped).mean()) - belief.measurement.cost, used


def possible_states(environments: RedoxEnvs, count: int = POSSIBLE_STATES) -> list[State]:
    """States drawn as in the training, `count` of them: the belief before anything is measured."""
    (env,) = environments(1)
    states = []
    for seed in range(count):
        env.reset(seed=seed)
        states.append(State(env.condition, env.sample if env.measurement.of_sample else None))
    env.evaluator.close()
    return states
