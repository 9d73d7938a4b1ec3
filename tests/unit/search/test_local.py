"""The design engine: what its screening promises, and what it ends with."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from redox_balancer.cell.conditions import combined
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.sampled_cuts import sampled_cuts
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.search.exhaustive import ExhaustiveReference, search_condition
from redox_balancer.search.heuristics import random_construct
from redox_balancer.search.local import CUTS, GREEDY, PROMISING, Descents, engine
from redox_balancer.search.problem import Problem, Search
from redox_balancer.search.screening import Screen

TASKS: dict[str, dict[str, Any]] = {
    "known": {},
    "guaranteed": {"reward": "guaranteed"},
    "rescue": {"reward": "rescue"},
    "sink flux": {"reward": "sink-flux"},
    "ratio": {"reward": "ratio", "placements": 2},
    "held ratios": {"held_ratios": "c,m"},
    "robust": {"parameter_samples": 3},
    "robust and guaranteed": {"reward": "guaranteed", "parameter_samples": 2},
}


@pytest.fixture(scope="module", params=TASKS)
def evaluator(request: pytest.FixtureRequest) -> Iterator[Evaluator]:
    with Evaluator(Task(**TASKS[request.param]).space()) as evaluator:
        yield evaluator


def problems(evaluator: Evaluator, placements: int) -> list[Problem]:
    space = evaluator.space
    pair = combined([space.conditions[1], space.conditions[3]])
    single = [Problem.under(evaluator, condition, placements) for condition in (space.conditions[2], pair)]
    return [*single, Problem(evaluator, space.conditions[2:4], (0.3, 0.7), placements)]


def neighbours(problem: Problem, construct: Construct) -> set[Construct]:
    """All constructs that differ in one placement, one by one."""
    space, found = problem.evaluator.space, set()
    for kept in (construct, *(construct.place(place, -1) for place, _ in construct)):
        found |= {kept, *problem.extensions(kept)}
    assert all(space.affordable(each) for each in found)
    return found - {construct}


def test_no_change_is_worth_more_than_its_bound(evaluator: Evaluator) -> None:
    generator = np.random.default_rng(0)
    for problem in problems(evaluator, 3):
        Search(problem)
        screen = Screen(problem)
        for construct in (problem.empty, random_construct(problem, generator)):
            problem.value(construct)
            changes = screen.changes(construct)
            changed = [screen.changed(construct, changes, index) for index in range(len(changes.added))]
            assert set(changed) == neighbours(problem, construct)
            assert len(changed) == len(set(changed))
            values = np.asarray([problem.value(each) for each in changed])
            assert (values <= changes.bounds + 1e-9).all()
            if evaluator.space.settings.reward == "ratio":  # windows are interpolated
                promising = np.argsort(-screen.changes(construct).estimates, kind="stable")[:PROMISING]
                assert values.max() == pytest.approx(values[promising].max(), abs=1e-8)
            elif np.isfinite(changes.bounds).all():  # nothing is estimated for the reward sink-flux
                # Now that every change has been solved for, nothing is left to estimate, but for held ratios: the
                # growth that they leave counts as none below a threshold.
                estimates = screen.changes(construct).estimates
                exact = estimates == pytest.approx(values, abs=1e-8)
                assert exact or (evaluator.space.ratios and np.isclose(estimates, values, atol=1e-8).mean() > 0.9)
            grown = screen.changes(construct, additions=True)
            extended = [screen.changed(construct, grown, index) for index in range(len(grown.added))]
            assert sorted(each.levels for each in extended) == sorted(
                each.levels for each in problem.extensions(construct)
            )


def test_sampled_cuts_lower_bounds_which_still_no_change_exceeds() -> None:
    with Evaluator(Task().space()) as evaluator:
        problem = problems(evaluator, 3)[1]
        Search(problem)
        alone = Screen(problem).changes(problem.empty)
        sampled_cuts(evaluator)
        screen = Screen(problem)
        changes = screen.changes(problem.empty)
        assert (changes.bounds <= alone.bounds + 1e-12).all()
        assert (changes.bounds < alone.bounds - 1e-6).any()
        values = [problem.value(screen.changed(problem.empty, changes, i)) for i in range(len(changes.added))]
        assert (np.asarray(values) <= changes.bounds + 1e-9).all()


def test_the_search_ends_with_a_local_optimum_of_the_whole_neighbourhood(evaluator: Evaluator) -> None:
    for problem in problems(evaluator, 2):
        search = Search(problem)
        descents = Descents(search)
        descents.run([(GREEDY, [problem.empty])])
        assert descents.confirmed == search.best
        assert search.best_value >= 0.0
        evaluator.reset()
        best = max(map(problem.value, neighbours(problem, search.best)))
        assert best <= problem.value(search.best) + 1e-8


def test_it_reaches_the_exhaustive_optimum_and_proves_it(
    space: DesignSpace, references: dict[str, ExhaustiveReference]
) -> None:
    with Evaluator(space) as evaluator:
        for condition in space.conditions:
            found = engine(Search(Problem.under(evaluator, condition, 2), seconds=60.0), np.random.default_rng(0))
            optimum = references[condition.id].best[0].outcome.value
            assert found.value == pytest.approx(optimum, abs=1e-7)
            assert found.bound == pytest.approx(optimum, abs=1e-6)
            assert found.seconds < 60.0
            assert found.is_local_optimum


@pytest.mark.parametrize("limit", [{}, {"evaluations": 1_000}, {"seconds": 600.0}])
def test_it_ends_with_a_proof_once_every_construct_is_valued_or_ruled_out(
    evaluator: Evaluator, limit: dict[str, Any]
) -> None:
    for condition in evaluator.space.conditions[:4]:
        found = engine(Search(Problem.under(evaluator, condition, 1), **limit), np.random.default_rng(0))
        assert found.value == found.bound
        assert found.is_local_optimum
        best = search_condition(evaluator, condition, 1, 1).best[0]
        assert found.value == pytest.approx(max(0.0, best.outcome.value), abs=1e-8)


def test_pairs_are_exhausted_where_no_program_has_the_optimum() -> None:
    with Evaluator(Task(reward="guaranteed").space()) as evaluator:
        for condition in evaluator.space.conditions[1:4]:
            found = engine(Search(Problem.under(evaluator, condition, 2), seconds=600.0), np.random.default_rng(0))
            assert found.value == found.bound
            best = search_condition(evaluator, condition, 2, 1).best[0]
            assert found.value == pytest.approx(best.outcome.value, abs=1e-8)
            assert found.evaluations < 10_000  # of 16,926 constructs at most


def test_a_cell_that_needs_two_enzymes_to_live_is_rescued(evaluator: Evaluator) -> None:
    by_id = {condition.id: condition for condition in evaluator.space.conditions}
    condition = combined([by_id["complex_iii_closed"], by_id["hypoxia_ldha_deficiency"]])
    problem = Problem.under(evaluator, condition, 2)
    search = Search(problem)
    assert not any(alive(problem, construct) for construct in problem.extensions(problem.empty))
    if evaluator.space.settings.reward == "sink-flux":
        assert Screen(problem).promising() == []
        return
    screen, tried = Screen(problem), list[Construct]()
    while not tried or not alive(problem, tried[-1]):
        tried.append(next(construct for construct, _ in screen.promising() if construct not in tried))
        search.value(tried[-1])
    assert len(tried) <= 10  # of 16,926 pairs
    found = engine(Search(problem, evaluations=100), np.random.default_rng(0))
    assert found.value > 0.0 or found.bound == 0.0  # by the ratio no rescue is worth its protein


def test_what_is_promising_is_affordable_and_none_of_it_is_worth_more_where_cuts_are_bounds(
    evaluator: Evaluator,
) -> None:
    for problem in problems(evaluator, 3):
        search = Search(problem)
        search.value(random_construct(problem, np.random.default_rng(1)))
        promising = Screen(problem).promising()
        estimates = [estimate for _, estimate in promising]
        assert estimates == sorted(estimates, reverse=True)
        assert len({construct for construct, _ in promising}) == len(promising)
        space = evaluator.space
        for construct, estimate in promising:
            assert space.affordable(construct)
            assert 1 <= len(construct) <= 3
            if space.settings.reward in ("capacity", "rescue"):
                assert problem.value(construct) <= estimate + 1e-8


def test_cutting_planes_find_the_exhaustive_optimum_of_pairs(
    space: DesignSpace, references: dict[str, ExhaustiveReference]
) -> None:
    found = 0
    with Evaluator(space) as evaluator:
        for condition in space.conditions:
            search = Search(Problem.under(evaluator, condition, 2))
            Descents(search).cut()
            optimum = references[condition.id].best[0].outcome.value
            assert search.best_value <= optimum + 1e-7
            found += search.best_value == pytest.approx(optimum, abs=1e-7)
            assert search.found().evaluations < 200  # of 16,926 pairs
            assert search.best_value == 0.0 or CUTS in search.found().stage
    assert found >= len(space.conditions) - 1


def test_cutting_planes_find_two_placements_that_are_worth_little_without_the_third() -> None:
    task = Task(reward="guaranteed", placements=3, sampling="box")
    space = task.space()
    by_id = {condition.id: condition for condition in space.conditions}
    condition = combined([by_id["complex_i_closed"], by_id["glud1_deficiency"]])
    ids = [placement.id for placement in space.placements]
    with Evaluator(space) as evaluator:
        search = Search(Problem.under(evaluator, condition, 3))
        Descents(search).cut()
        best, construct = search.best, search.problem.empty
        for name, level in (("LBNOX_m", 0.001), ("NDE1_c", 0.0003), ("GLUD1_m", 0.0001)):
            construct = construct.place(ids.index(name), space.levels.index(level))
        assert best == construct  # the best of all 456,225


def alive(problem: Problem, construct: Construct) -> bool:
    return problem.evaluator.evaluate(construct, problem.conditions[0]).growth > 0.0


def test_the_same_seed_and_evaluations_give_the_same_answer(evaluator: Evaluator) -> None:
    problem = problems(evaluator, 3)[1]
    founds = [
        replace(engine(Search(problem, evaluations=150), np.random.default_rng(seed)), seconds=0.0)
        for seed in (5, 5, 6)
    ]
    assert founds[0] == founds[1]
    assert founds[0].evaluations == founds[2].evaluations == 150
    assert founds[0].bound is None


def test_it_stops_when_asked_to_and_the_empty_construct_is_always_an_answer(evaluator: Evaluator) -> None:
    problem = problems(evaluator, 3)[0]
    asked = iter([False] * 5)
    found = engine(Search(problem, stop=lambda: next(asked, True)), np.random.default_rng(0))
    assert found.evaluations <= 5
    assert found.value >= 0.0
    for limit in ({"seconds": 0.0}, {"seconds": 60.0, "evaluations": 0}):
        nothing = engine(Search(problem, **limit), np.random.default_rng(0))
        assert (len(nothing.construct), nothing.value, nothing.evaluations) == (0, 0.0, 0)
        assert nothing.bound is None
