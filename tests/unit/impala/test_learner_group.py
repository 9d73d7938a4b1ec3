"""Learners in processes of their own, connected by gloo."""

from typing import Any

import numpy as np
import pytest

from learner_processes import CONFIG, join, learners, played, started
from redox_balancer.impala.learner import Learner, LearnerState


@pytest.mark.parametrize("counts", [(1, 1), (1, 3)])
def test_two_learners_have_the_gradient_of_one_with_the_data_of_both(counts: tuple[int, int]) -> None:
    shape, _ = played(0)
    config = CONFIG.changed(max_grad_norm=1e9, passes=1)
    rollouts = [rollout for actor, count in enumerate(counts) for rollout in played(actor, count)[1]]
    alone = Learner(config, shape, LearnerState.fresh(shape, 3))
    alone.update(rollouts)
    assert alone._flat.grad is not None
    expected = alone._flat.grad.numpy()
    with learners() as group:
        for actor, count in enumerate(counts):
            group.start(f"{actor}.0", count, max_grad_norm=1e9, passes=1)
        join(group)
        group.ask(1)
        answers = group.answers()
    assert np.abs(expected).max() > 0.01
    for gradient, states in answers.values():
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-6)
        assert [steps for _, steps in states.values()] == [alone.steps]


def states_of(answers: dict[str, Any]) -> list[dict[int, tuple[int, int]]]:
    return [states for _, states in answers.values()]


def test_learners_of_several_passes_stay_equal_bit_for_bit() -> None:
    with learners() as group:
        started(group, 3)
        group.ask(5)
        first, *others = states_of(group.answers())
    assert sorted(first) == [1, 2, 3, 4, 5]
    assert [steps for _, steps in first.values()] == [96, 192, 288, 384, 480]
    assert others == [first, first]


def test_a_learner_without_rollouts_takes_the_steps_of_the_others() -> None:
    with learners() as group:
        group.start("0.0")
        group.start("1.0", 0)
        join(group)
        group.ask(3)
        first, other = states_of(group.answers())
    assert [steps for _, steps in first.values()] == [32, 64, 96]
    assert other == first


@pytest.mark.parametrize("at", [1, 6, 8])  # the first of the first update, and within and at the end of the second
def test_the_others_go_on_when_one_is_killed_in_a_sum(at: int) -> None:
    with learners() as group:
        started(group, 3, [{"fault": "killed", "at": at}])
        group.ask(4)
        answers = group.answers()
        assert list(group.pipes) == ["1.0", "2.0"]
    first, second = states_of(answers)
    assert sorted(first) == [1, 2, 3, 4]
    assert first == second
    steps = [steps for _, steps in first.values()]
    possible = [
        [96 * min(n, whole) + 64 * max(n - whole, 0) for n in range(1, 5)] for whole in ((at - 1) // 4, at // 4)
    ]
    assert steps in possible  # the sum of the killed one may have come to its end without it


@pytest.mark.parametrize("at", [6, 8])
def test_one_that_has_missed_the_end_of_a_sum_takes_the_state_of_the_others(at: int) -> None:
    with learners() as group:
        started(group, 3, [None, {"fault": "left behind", "at": at}])
        group.ask(4)
        first, *others = states_of(group.answers())
        assert len(group.pipes) == 3
    assert [steps for _, steps in first.values()] == [96, 192, 288, 384]
    assert others == [first, first]


def test_a_group_takes_the_newer_state_that_a_lost_learner_has_told() -> None:
    shape, _ = played(0)
    told = LearnerState.fresh(shape, 4)._replace(updates=500, steps=10**6)
    with learners() as group:
        started(group, 2, passes=1)
        group.rendezvous.form(tuple(group.pipes), told.packed(passes=1))
        # They may go on for a moment before they look who the members are.
        group.ask(1000)
        first, other = states_of(group.answers())
    assert first[1000][1] == 10**6 + 500 * 64
    assert other == first


def test_one_that_comes_later_starts_from_the_newest_state() -> None:
    with learners() as group:
        started(group, 2, passes=1)
        group.start("0.1", passes=1)
        group.form()
        # The two may go on for a moment before they look who the members are.
        group.ask(1000)
        (version, taken) = group.answers("0.1")["0.1"]
        assert version == taken < 900
        group.ask(1000, "0.1")
        first, *others = states_of(group.answers())
    assert first[1000][1] == version * 64 + (1000 - version) * 96
    assert others == [first, first]
