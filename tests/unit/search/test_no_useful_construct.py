"""Searches where the empty construct is the best answer, or the only one that the budgets allow."""

from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest

from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.search.belief import Belief
from redox_balancer.search.exhaustive import exhaustive
from redox_balancer.search.forecast import State
from redox_balancer.search.problem import Problem, Search, SearchResult
from redox_balancer.search.run import SearchName, run_search


@pytest.fixture(scope="module")
def unaffordable() -> DesignSpace:
    """A space whose budgets are below every level."""
    return Task(budget=1e-9, membrane_budget=1e-9, conditions=("healthy", "hypoxia")).space()


def run_belief(search: Search) -> SearchResult:
    problem = search.problem
    states = [State(condition) for condition in problem.conditions]
    return Belief(problem.evaluator, states, problem.placements, look_ahead=2).search(search)


@pytest.mark.parametrize("run", [*(partial(run_search, name=name) for name in get_args(SearchName)), run_belief])
def test_the_empty_construct_is_found_where_nothing_is_affordable(
    unaffordable: DesignSpace, run: Callable[[Search], SearchResult]
) -> None:
    with Evaluator(unaffordable) as evaluator:
        for condition in unaffordable.conditions:
            found = run(Search(Problem.under(evaluator, condition, 2), evaluations=50))
            assert (len(found.construct), found.value) == (0, 0.0)


def test_exhaustive_search_finds_it_too(unaffordable: DesignSpace) -> None:
    references = exhaustive(unaffordable, 2)
    assert list(references) == ["healthy", "hypoxia"]
    for reference in references.values():
        (best,) = reference.best
        assert (len(best.construct), best.outcome.value) == (0, 0.0)
        assert (reference.constructs, reference.mean) == (0, 0.0)
