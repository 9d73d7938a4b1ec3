"""The score of a policy, and its table."""

from dataclasses import replace

import numpy as np
import pytest

from policies import stubborn, untrained
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.task import Task
from redox_balancer.evaluation.score import score_policy


def guaranteed_task(*, hidden: bool) -> RedoxEnvs:
    """The task in which one lactate oxidase alone is worth less than nothing in a healthy cell."""
    return Task(
        reward="guaranteed", hidden_condition=hidden, conditions=("healthy", "hypoxia"), placements=1
    ).environments()


@pytest.mark.parametrize("hidden", [False, True])
def test_answers_are_not_worth_less_than_nothing_where_the_condition_is_known(*, hidden: bool) -> None:
    environments = guaranteed_task(hidden=hidden)
    score = score_policy(environments, stubborn(environments, "LOX_c", 1e-3), episodes=3, seed=0)
    healthy = score.conditions[0]
    assert healthy.policy_mean < -0.1
    for answer in (healthy.greedy, healthy.best):
        assert answer.outcome.value < -0.1 if hidden else answer.outcome.value == 0.0


@pytest.mark.parametrize("hidden", [False, True])
def test_samples_are_ranked_by_value_only_where_the_condition_is_known(*, hidden: bool) -> None:
    # With candidates even an untrained policy follows the estimated gains, and answers with the best.
    environments = replace(guaranteed_task(hidden=hidden), observation="flat")
    score = score_policy(environments, untrained(environments), episodes=200, seed=0)
    better = [each.best.outcome.value > each.greedy.outcome.value for each in score.conditions]
    assert any(better) is not hidden


def test_the_table_has_a_row_for_each_condition_and_constructs_as_text() -> None:
    environments = guaranteed_task(hidden=False)
    frame = score_policy(environments, untrained(environments), episodes=5, seed=0).to_frame()
    assert list(frame.index) == ["healthy", "hypoxia"]
    assert frame.policy_mean.dtype == np.float64
    assert frame.construct.str.fullmatch(r"nothing|\w+ [0-9.e-]+ %").all()
