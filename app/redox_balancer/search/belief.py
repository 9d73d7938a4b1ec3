"""Search under a hidden condition: place an enzyme, measure, update the belief, place the next one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.measurement import EXACT, Measurement
from redox_balancer.search.problem import Problem, Search, SearchResult

SHARPNESS = 0.02
"""Least standard deviation of the assumed error of a measurement: none of the states considered is the hidden one."""

POSSIBLE_STATES = 512
"""Number of states that a search considers possible where the condition is hidden."""


class State(NamedTuple):
    """A cell that may be the hidden one: its condition, and its parameter sample where the space has any."""

    condition: Condition
    sample: int | None = None


@dataclass(frozen=True)
class Belief:
    """The states that the hidden cell may be in, all equally likely before the first measurement."""

    evaluator: Evaluator
    states: Sequence[State]
    placements: int
    measurement: Measurement = EXACT
    look_ahead: int = 1

    @classmethod
    def of(cls, environments: RedoxEnvs, evaluator: Evaluator, *, count: int = POSSIBLE_STATES) -> Self:
        """The belief about the hidden cell of an episode; `evaluator` values constructs in place of their own."""
        states = possible_states(environments, count)
        return cls(evaluator, states, environments.placements, environments.measurement)

    def search(self, search: Search, generator: np.random.Generator | None = None) -> SearchResult:
        """Add the placement that raises the expected value most, until none does; measure after each.

        The problem of `search` is that of the hidden cell, of which only measurements are used, with errors drawn
        from `generator`; its value is that of the answer.
        """
        problem, generator = search.problem, generator or np.random.default_rng(0)
        hidden = State(problem.conditions[0], problem.sample)
        construct, paid = problem.empty, 0.0
        errors = np.zeros(len(self.states))
        while True:
            extended = self._best_extension(construct, errors)
            if extended is None:
                return search.chosen(construct, paid)
            construct, paid = extended, paid + self.measurement.cost
            measured = self.measurement.take(self._measured(construct, hidden), generator)
            expected = np.asarray([self._measured(construct, state) for state in self.states])
            errors += np.sum(((expected - measured) / max(self.measurement.noise, SHARPNESS)) ** 2, axis=1)

    def _best_extension(self, construct: Construct, errors: FloatArray) -> Construct | None:
        """The placement with the highest expected value; None if none improves the construct.

        `errors`, shape (states,), are the squared deviations of each state from all measurements.
        """
        weights = np.exp(-0.5 * (errors - errors.min()))
        weights /= weights.sum()
        likely = np.flatnonzero(weights > 1e-6)

        def value(construct: Construct) -> float:
            outcomes = [self.evaluator.outcome(construct, *self.states[index]) for index in likely.tolist()]
            return float(weights[likely] @ [outcome.value for outcome in outcomes])

        best, best_value = None, value(construct) + self.measurement.cost
        problem = Problem(self.evaluator, (), (), self.placements)
        for extended in problem.extensions(construct):
            if (worth := value(extended)) > best_value:
                best, best_value = extended, worth
        return best

    def _measured(self, construct: Construct, state: State) -> tuple[float, float]:
        evaluator = self.evaluator
        outcome, healthy = evaluator.outcome(construct, *state), evaluator.reference(state.condition).healthy_growth
        return outcome.growth / healthy, outcome.capacity / evaluator.space.capacity_unit


def possible_states(environments: RedoxEnvs, count: int = POSSIBLE_STATES) -> list[State]:
    """States drawn as in the training, `count` of them: the belief before anything is measured."""
    (env,) = environments(1)
    states = []
    for seed in range(count):
        env.reset(seed=seed)
        states.append(State(env.condition, env.sample if env.measurement.of_sample else None))
    env.evaluator.close()
    return states
