import itertools
from typing import get_args

import numpy as np
import pytest

from commands import assert_refused, redox
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.search.exhaustive import ExhaustiveReference, constructs
from redox_balancer.search.heuristics import decode, evolutionary, greedy, random_construct, random_search
from redox_balancer.search.problem import Problem, Search
from redox_balancer.search.run import EVALUATIONS, SearchName, limited


@pytest.fixture(scope="module")
def evaluator(space: DesignSpace) -> Evaluator:
    return Evaluator(space)


def problem_of(evaluator: Evaluator, name: str, placements: int) -> Problem:
    (condition,) = (condition for condition in evaluator.space.conditions if condition.id == name)
    return Problem.under(evaluator, condition, placements)


def test_extensions_are_exactly_the_affordable_constructs_with_one_placement_more(evaluator: Evaluator) -> None:
    problem = problem_of(evaluator, "healthy", 2)
    pairs = {pair for single in problem.extensions(problem.empty) for pair in problem.extensions(single)}
    assert pairs == {construct for construct in constructs(evaluator.space, 2) if len(construct) == 2}
    assert not problem.extensions(next(iter(pairs)))


def test_greedy_takes_the_best_single_placement_and_adds_to_it(evaluator: Evaluator) -> None:
    for condition in evaluator.space.conditions:
        first, second = (Search(Problem.under(evaluator, condition, placements)) for placements in (1, 2))
        greedy(first)
        greedy(second)
        best = max(evaluator.evaluate(construct, condition).value for construct in constructs(evaluator.space, 1))
        single, pair = first.found(), second.found()
        assert single.value == pytest.approx(best, abs=1e-8)
        assert pair.value >= single.value
        placed = dict(pair.construct)
        assert all(placed[placement] == level for placement, level in single.construct)
        assert single.evaluations == len(first.problem.extensions(first.problem.empty))
        assert pair.evaluations > single.evaluations


@pytest.mark.parametrize("search_by", [random_search, evolutionary])
def test_a_search_keeps_to_its_evaluations_and_repeats_itself(evaluator: Evaluator, search_by: object) -> None:
    problem = problem_of(evaluator, "complex_iii_closed", 3)
    founds = []
    for seed in (1, 1, 2):
        search = Search(problem, evaluations=250)
        search_by(search, np.random.default_rng(seed))  # type: ignore[operator]
        founds.append(search.found())
    assert [found.evaluations for found in founds] == [250] * 3
    assert founds[0].construct == founds[1].construct
    assert founds[0].solves == founds[1].solves > 0
    for found in founds:
        assert evaluator.space.affordable(found.construct)
        assert evaluator.evaluate(found.construct, problem.conditions[0]).value == pytest.approx(
            found.value, abs=1e-8
        )


def test_a_limit_of_time_alone_lifts_that_of_constructs(evaluator: Evaluator) -> None:
    problem = problem_of(evaluator, "healthy", 3)
    for name, seconds, ends in (("local", None, True), ("local", 600.0, False), ("greedy", None, False)):
        search = limited(problem, name, evaluations=None, seconds=seconds)  # type: ignore[arg-type]
        for _ in range(EVALUATIONS):
            search.value(problem.empty)
        assert search.spent() is ends


@pytest.mark.parametrize("name", [name for name in get_args(SearchName) if name != "greedy"])
def test_no_time_is_refused(name: str) -> None:
    option = "--time-limit-s" if name == "milp" else "--seconds"
    assert_refused(redox("search", name, option, 0), "is 0.0, not a number above 0", f"({option})")


def test_a_search_stops_when_its_time_is_over(evaluator: Evaluator) -> None:
    search = Search(problem_of(evaluator, "healthy", 3), seconds=0.2)
    random_search(search, np.random.default_rng(0))
    found = search.found()
    assert found.evaluations > 10
    assert 0.2 <= found.seconds < 5.0


def test_evolution_finds_more_than_random_search_with_as_many_evaluations(
    evaluator: Evaluator, references: dict[str, ExhaustiveReference]
) -> None:
    shares = {evolutionary: [], random_search: []}
    for condition, seed in itertools.product(evaluator.space.conditions, (7, 8, 9)):
        for search_by, reached in shares.items():
            search = Search(Problem.under(evaluator, condition, 2), evaluations=600)
            search_by(search, np.random.default_rng(seed))
            reached.append(search.found().value / references[condition.id].best[0].outcome.value)
    assert max(max(reached) for reached in shares.values()) <= 1.0 + 1e-7
    assert np.mean(shares[evolutionary]) > np.mean(shares[random_search])
    assert np.mean(shares[evolutionary]) > 0.95


def test_random_constructs_reach_every_placement_and_level(evaluator: Evaluator) -> None:
    problem = problem_of(evaluator, "healthy", 3)
    generator = np.random.default_rng(5)
    drawn = [random_construct(problem, generator) for _ in range(3_000)]
    assert {pair for construct in drawn for pair in construct} == {
        pair for single in problem.extensions(problem.empty) for pair in single
    }
    assert all(len(construct) == 3 or not problem.extensions(construct) for construct in drawn)


def test_genes_beyond_the_budget_are_omitted(space: DesignSpace) -> None:
    top = len(space.levels) - 2
    construct = decode(space, np.asarray([0, 1, len(space.placements)]), np.asarray([top, top, 0]))
    assert dict(construct) == {0: top}
