"""Search under a hidden condition."""

import numpy as np
import pytest

from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.search.belief import Belief, State
from redox_balancer.search.heuristics import greedy
from redox_balancer.search.problem import Problem, Search

PLACEMENTS = 2


def test_one_possible_condition_is_greedy_search(space: DesignSpace) -> None:
    with Evaluator(space) as evaluator:
        for condition in space.conditions[:4]:
            problem = Problem.under(evaluator, condition, PLACEMENTS)
            informed = Search(problem)
            greedy(informed)
            found = Belief(evaluator, [State(condition)], PLACEMENTS).search(Search(problem))
            assert found.construct == informed.found().construct
            assert found.value == pytest.approx(informed.found().value)


def test_measurements_tell_conditions_apart(space: DesignSpace) -> None:
    """It finds more than the best construct that is the same for all conditions."""
    with Evaluator(space) as evaluator:
        belief = Belief(evaluator, [State(condition) for condition in space.conditions], PLACEMENTS)
        found = [
            belief.search(Search(Problem.under(evaluator, condition, PLACEMENTS))) for condition in space.conditions
        ]
        everybody = Problem(
            evaluator, space.conditions, (1.0 / len(space.conditions),) * len(space.conditions), PLACEMENTS
        )
        hidden_condition = Search(everybody)
        greedy(hidden_condition)
        assert len({answer.construct for answer in found}) > 1
        assert np.mean([answer.value for answer in found]) > hidden_condition.found().value + 1e-3
