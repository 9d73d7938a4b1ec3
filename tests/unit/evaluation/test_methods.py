"""Answers of the design methods: never worse than nothing where the condition is known."""

from dataclasses import replace

import pytest

from policies import stubborn
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.task import Task
from redox_balancer.evaluation.methods import belief_search, plain_oracle, policies


def guaranteed_task(*, hidden: bool) -> RedoxEnvs:
    """The task in which one lactate oxidase alone is worth less than nothing in a healthy cell."""
    conditions = ("healthy", "slc25a11_deficiency")
    return Task(reward="guaranteed", hidden_condition=hidden, conditions=conditions, placements=1).environments()


@pytest.mark.parametrize("hidden", [False, True])
def test_a_policy_answers_with_nothing_instead_of_a_harmful_construct_if_it_observes_the_condition(
    *, hidden: bool
) -> None:
    environments = guaranteed_task(hidden=hidden)
    envs = environments.named(5)
    healthy = environments.space.conditions[0]
    policy = stubborn(environments, "LOX_c", 1e-3)
    answers = [method.answer(healthy, 0) for method in policies(envs, [policy], samples=4, seeds=1, training_s=1.0)]
    envs[0].evaluator.close()
    if hidden:
        (answer,) = answers
        assert answer.value < -0.1
    else:
        assert [(len(answer.construct), answer.value) for answer in answers] == [(0, 0.0), (0, 0.0)]


def test_a_belief_that_is_wrong_answers_with_a_harmful_construct() -> None:
    """Under a hidden condition the value is not available, so it cannot discard the answer."""
    space = Task(reward="guaranteed", conditions=("hypoxia", "slc25a11_deficiency")).space()
    believed, true = space.conditions
    with Evaluator(space) as evaluator:
        environments = RedoxEnvs(replace(space, conditions=(believed,)), placements=1)
        answer = belief_search(evaluator, environments).answer(true, 0)
    assert answer.value < -1e-3
    assert len(answer.construct) == 1


def test_the_optimum_of_the_plain_task_is_not_the_answer_where_it_does_harm() -> None:
    environments = guaranteed_task(hidden=False)
    space = environments.space
    deficiency = space.conditions[1]
    with Evaluator(space) as evaluator, Evaluator(space.plain) as plain:
        answer = plain_oracle(evaluator, plain, 1, time_limit_s=60.0).answer(deficiency, 0)
    assert (len(answer.construct), answer.value) == (0, 0.0)
