"""The sets of conditions of a comparison, and the optima that it takes from an earlier one."""

import math
from dataclasses import replace
from typing import Any

import pytest

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.evaluation import comparison
from redox_balancer.evaluation.benchmark import ProvenBest, state_of
from redox_balancer.evaluation.comparison import (
    SEEDS,
    STATES,
    VALIDATION,
    Protocol,
    earlier_optima,
    independent_states,
    optima_of_all,
    task_checksum,
)
from redox_balancer.progress import no_progress
from redox_balancer.search.exhaustive import search_condition

SPACE = Task(placements=3).environments().space


def environments(**options: Any) -> RedoxEnvs:
    return Task(**({"reward": "guaranteed", "conditions": ("hypoxia", "pdh_deficiency")} | options)).environments()


def test_the_sets_of_states_are_disjoint_and_repeat_themselves() -> None:
    reported, validation = (independent_states(SPACE, 28, SEEDS[name]) for name in (STATES, VALIDATION))
    assert reported == independent_states(SPACE, 28, SEEDS[STATES])
    assert independent_states(SPACE, 10, SEEDS[STATES]) == reported[:10]
    states = [state.changes for part in (reported, validation) for state in part]
    assert len(set(states)) == 56
    assert not set(states) & {condition.changes for condition in SPACE.conditions}


def test_a_training_whose_conditions_change_nothing_has_no_other_states() -> None:
    with pytest.raises(RedoxError, match="no states but those trained on"):
        independent_states(Task(conditions="healthy").space(), 5, 0)


def test_times_follow_from_the_task() -> None:
    assert Protocol().of(environments()) == (0.1, 1.0)
    assert Protocol(seconds=5.0).of(environments()) == (5.0, 5.0)
    assert Protocol(longest=9.0).of(environments(parameter_samples=3)) == (1.0, 9.0)
    assert Protocol().of(environments(hidden_condition=True)) == (math.inf, 1.0)


def test_optima_of_an_earlier_comparison_are_those_of_the_same_task_and_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = environments(placements=1)
    space, task = environment.space, task_checksum(environment)
    optima = optima_of_all(space, 1, {}, 1, no_progress)
    (env,) = environment.named(1)
    for condition, optimum in optima.items():
        best = search_condition(env.evaluator, condition, 1, 1).best[0]
        assert optimum == ProvenBest(pytest.approx(best.outcome.value), space.describe(best.construct))
    env.evaluator.close()

    entries = [{"state": state_of(c), "value": o.value, "construct": o.construct} for c, o in optima.items()]
    known = earlier_optima({"task_checksum": task, "optima": entries}, task)
    # Whatever changes the value of a construct, or K, is another task; sampled conditions and mixtures are not.
    for options in ({"placements": 2}, {"reward": "capacity"}, {"budget": 0.001}, {"parameter_samples": 2}):
        assert task_checksum(environments(**({"placements": 1} | options))) != task
    assert task_checksum(environments(placements=1, sampling="box")) == task
    assert earlier_optima({"task_checksum": "another", "optima": entries}, task) == {}
    assert earlier_optima({"hopeless": []}, task) == earlier_optima(None, task) == {}

    asked: list[Condition] = []

    def exhaustive(missing: DesignSpace, *arguments: Any, **options: Any) -> Any:
        asked.extend(missing.conditions)
        return search_all(missing, *arguments, **options)

    search_all = comparison.exhaustive
    monkeypatch.setattr(comparison, "exhaustive", exhaustive)
    assert optima_of_all(space, 1, known, 1, no_progress) == optima
    assert asked == []
    first, second = space.conditions
    limit = first.changes[0].model_copy(update={"value": 0.9 * first.changes[0].value})
    other = first.model_copy(update={"changes": (limit, *first.changes[1:])})
    found = optima_of_all(replace(space, conditions=(other, second)), 1, known, 1, no_progress)
    assert asked == [other]
    assert found[second] == optima[second]
    assert found[other] != optima[first]
