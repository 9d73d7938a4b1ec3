"""Search under a hidden condition: place an enzyme, measure, update the belief, place the next one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.search.problem import Problem, Search, SearchResult

SHARPNESS = 0.02
"""Standard deviation of the assumed measurement error, of growth or capacity relative to the healthy cell."""

POSSIBLE_CONDITIONS = 64
"""Number of conditions that a search considers possible where the condition is hidden."""
CONSIDERED = 16
"""Number of conditions, the most likely ones, that a placement is chosen for after the first measurement."""


@dataclass(frozen=True)
class Belief:
    """The conditions that the hidden one may be, all equally likely before the first measurement."""

    evaluator: Evaluator
    conditions: Sequence[Condition]
    placements: int

    def search(self, search: Search, hidden: Condition) -> SearchResult:
        """Add the placement that raises the expected value most, until none does; measure after each.

        `search` records the cost, and its problem values the answer under the true condition, `hidden`, of which only
        growth and capacity of the constructs built are used.
        """
        construct = search.problem.empty
        errors = np.zeros(len(self.conditions))
        while True:
            extended = self._best_extension(construct, errors)
            if extended is None:
                return search.chosen(construct)
            construct = extended
            measured = self._measured(construct, hidden)
            expected = np.asarray([self._measured(construct, condition) for condition in self.conditions])
            errors += np.sum(((expected - measured) / SHARPNESS) ** 2, axis=1)

    def _best_extension(self, construct: Construct, errors: FloatArray) -> Construct | None:
        """The placement with the highest expected value; None if none improves the construct.

        `errors`, shape (conditions,), are the squared deviations of each condition from all measurements.
        """
        likely = np.arange(errors.size) if not errors.any() else np.argsort(errors, kind="stable")[:CONSIDERED]
        weights = np.exp(-0.5 * (errors[likely] - errors[likely].min()))
        problem = Problem(
            self.evaluator,
            tuple(self.conditions[place] for place in likely.tolist()),
            tuple((weights / weights.sum()).tolist()),
            self.placements,
        )
        best, best_value = None, problem.value(construct)
        for extended in problem.extensions(construct):
            value = problem.value(extended)
            if value > best_value:
                best, best_value = extended, value
        return best

    def _measured(self, construct: Construct, condition: Condition) -> tuple[float, float]:
        evaluator = self.evaluator
        outcome, healthy = evaluator.outcome(construct, condition), evaluator.reference(condition).healthy_growth
        return outcome.growth / healthy, outcome.capacity / evaluator.space.capacity_unit


def possible_conditions(environments: RedoxEnvs, count: int = POSSIBLE_CONDITIONS) -> list[Condition]:
    """Conditions sampled as in the training: the belief about a hidden condition before anything is measured."""
    (env,) = environments(1)
    conditions = []
    for seed in range(count):
        env.reset(seed=seed)
        conditions.append(env.condition)
    env.evaluator.close()
    return conditions
