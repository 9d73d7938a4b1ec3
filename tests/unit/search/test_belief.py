"""Search under a condition that is not told."""

import numpy as np
import pytest

from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.search.belief import Belief
from redox_balancer.search.heuristics import greedy
from redox_balancer.search.problem import Problem, Search, SearchResult

PLACEMENTS = 2


def test_one_state_believed_in_is_greedy_search(space: DesignSpace) -> None:
    with Evaluator(space) as evaluator:
        for condition in space.conditions[:4]:
            problem, state = Problem.under(evaluator, condition, PLACEMENTS), space.state(condition)
            told = Search(problem)
            greedy(told)
            found = Belief(evaluator, [state], PLACEMENTS).search(Search(problem), state)
            assert found.construct == told.found().construct
            assert found.value == pytest.approx(told.found().value)


def test_what_is_measured_tells_states_apart(space: DesignSpace) -> None:
    """It takes more than the same construct for all, and no more than greedy search that is told."""
    states = [space.state(condition) for condition in space.conditions]
    found: list[SearchResult] = []
    with Evaluator(space) as evaluator:
        belief = Belief(evaluator, states, PLACEMENTS)
        for condition, state in zip(space.conditions, states, strict=True):
            found.append(belief.search(Search(Problem.under(evaluator, condition, PLACEMENTS)), state))
        everybody = Problem(evaluator, tuple(states), (1.0 / len(states),) * len(states), PLACEMENTS)
        hidden_condition = Search(everybody)
        greedy(hidden_condition)
        assert len({answer.construct for answer in found}) > 1
        assert np.mean([answer.value for answer in found]) > hidden_condition.found().value + 1e-3
