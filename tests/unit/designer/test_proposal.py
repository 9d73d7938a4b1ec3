"""Constructs that a policy or a user proposes, under one condition or several at once."""

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import redox_balancer as rb
from policies import stubborn, untrained
from redox_balancer.cell.conditions import load_conditions, pick_condition
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.play import play_episodes
from redox_balancer.designer.proposal import Proposal, answer, propose
from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Policy
from redox_balancer.search.oracle import oracle
from redox_balancer.search.problem import Problem, Search


@pytest.fixture(scope="module")
def environments() -> RedoxEnvs:
    return Task().environments()


@pytest.fixture(scope="module")
def policy(environments: RedoxEnvs) -> Policy:
    return untrained(environments)


def by_policy(environments: RedoxEnvs, policy: Policy, condition: str) -> Proposal:
    return answer(environments, policy, condition, evaluations=50)


def by_hand(environments: RedoxEnvs, _policy: Policy, condition: str) -> Proposal:
    return Proposal.by_name(environments.space, "LBNOX_c 0.1 % + MDH1_c 0.001 %", condition)


@pytest.mark.parametrize("propose", [by_policy, by_hand])
@pytest.mark.parametrize("condition", ["hypoxia+mdh1_deficiency", "mdh1_deficiency+hypoxia"])
def test_two_conditions_at_once(
    environments: RedoxEnvs, policy: Policy, propose: Callable[..., Proposal], condition: str
) -> None:
    proposal = propose(environments, policy, condition)
    assert proposal.condition.id == condition
    both = pick_condition(load_conditions(), condition)
    space = proposal.space
    with Evaluator(space, cache_entries=0, region_bytes=0) as evaluator:
        expected = evaluator.evaluate(proposal.construct, both)
        alone = evaluator.evaluate(proposal.construct, load_conditions()["hypoxia"])
    assert proposal.outcome.value == pytest.approx(expected.value, abs=1e-9)
    assert proposal.outcome.growth == pytest.approx(expected.growth, abs=1e-9)
    assert abs(expected.value - alone.value) > 0.01


def test_a_condition_that_a_run_was_trained_on_by_its_joint_name_alone() -> None:
    space = Task(conditions=("hypoxia+mdh1_deficiency",)).space()
    assert Proposal.by_name(space, "nothing", "hypoxia+mdh1_deficiency").condition == space.conditions[0]


@pytest.mark.parametrize("propose", [by_policy, by_hand])
@pytest.mark.parametrize(("condition", "part"), [("fever", "fever"), ("hypoxia+tea", "tea")])
def test_an_unknown_condition_or_part_is_named(
    environments: RedoxEnvs, policy: Policy, propose: Callable[..., Proposal], condition: str, part: str
) -> None:
    with pytest.raises(RedoxError, match=f"unknown condition '{part}'") as refused:
        propose(environments, policy, condition)
    assert "hypoxia" in refused.value.hint


@pytest.fixture(scope="module")
def hidden() -> RedoxEnvs:
    return Task(reward="guaranteed", hidden_condition=True).environments()


def test_a_policy_that_does_harm_is_shown_and_not_followed() -> None:
    environments = Task(reward="guaranteed").environments()
    harmful = stubborn(environments, "LOX_c", 1e-3)
    for limits in ({"seconds": 1e-9}, {"evaluations": 1}, {"evaluations": 300}):
        proposal = answer(environments, harmful, "healthy", **limits)  # type: ignore[arg-type]
        assert proposal.policy is not None
        assert [proposal.space.placements[place].id for place, _ in proposal.policy.construct] == ["LOX_c"]
        assert proposal.policy.outcome.value < -0.1
        assert len(proposal.construct) == 0
        assert (proposal.task_value, proposal.outcome.value) == (0.0, 0.0)
        assert proposal.outcome.growth == pytest.approx(proposal.reference.growth, abs=1e-12)


def test_the_answer_is_better_than_any_draw_and_repeats() -> None:
    environments = Task(observation="flat").environments()  # by estimated gains an untrained policy draws the optimum
    condition, policy = "complex_iii_closed", untrained(environments)
    answers = [answer(environments, policy, condition, evaluations=200, seed=3) for _ in range(2)]
    first, second = answers
    assert (first.construct, first.task_value) == (second.construct, second.task_value)
    drawn = play_episodes(environments.named(16), condition, policy, 50, np.random.default_rng(3))
    assert first.policy is not None
    assert first.task_value > max(first.policy.outcome.value, *(played.outcome.value for played in drawn))
    assert first.data()["search"]["policy"]["value"] == first.policy.outcome.value


def test_what_the_engine_proves_is_the_optimum_with_and_without_a_policy(
    environments: RedoxEnvs, policy: Policy, space: DesignSpace
) -> None:
    with Evaluator(space) as evaluator:
        optimum = oracle(Search(Problem.under(evaluator, pick_condition(load_conditions(), "hypoxia"), 2)))
    for proposal in (
        answer(environments, policy, "hypoxia", seconds=60.0),
        propose(Task(), "hypoxia", seconds=60.0),
    ):
        assert proposal.proof == "proven optimal"
        assert proposal.task_value == pytest.approx(optimum.value, abs=1e-7)
        assert proposal.found is not None
        assert proposal.found.seconds < 60.0
    assert proposal.data()["search"] == {**proposal.data()["search"], "policy": None, "proven_optimal": True}


@pytest.mark.parametrize(
    "limit",
    [
        *({"seconds": 0.0}, {"seconds": math.nan}, {"seconds": "x"}, {"evaluations": 0}, {"evaluations": 1.5}),
        *({"seed": -1}, {"seed": "x"}, {"seed": None}),
    ],
)
@pytest.mark.parametrize("search", [propose, partial(rb.search, method="local")])
def test_impossible_limits_are_refused(search: Callable[..., object], limit: dict[str, Any]) -> None:
    with pytest.raises(RedoxError, match=r" is .*, not a (whole )?number (above 0|of 0 or more)") as refused:
        search(Task(), "hypoxia", **limit)
    assert refused.value.settings == tuple(limit)


def test_a_given_construct_goes_with_no_limit_of_a_search() -> None:
    with pytest.raises(RedoxError, match="not searched for") as refused:
        propose(Task(), "hypoxia", "LBNOX_c 0.1 %", seconds=1.0)
    assert refused.value.settings == ("seconds",)


def test_a_bound_is_shown() -> None:
    proposal = propose(Task(), "complex_iii_closed", evaluations=20)
    assert proposal.found is not None
    assert replace(proposal, found=replace(proposal.found, bound=1.0)).proof.endswith("no construct more than 1.0000")


def test_ctrl_c_ends_the_search_with_the_best_so_far() -> None:
    reported, before = [], signal.getsignal(signal.SIGINT)

    def interrupt(_phase: str, done: int = 0, _total: int | None = None, /) -> None:
        reported.append(done)
        if len(reported) == 3:
            signal.raise_signal(signal.SIGINT)

    task = Task(reward="guaranteed", placements=3)
    proposal = propose(task, "hypoxia", seconds=600.0, progress=interrupt)
    assert 3 <= len(reported) <= 10
    assert proposal.found is not None
    assert proposal.found.seconds < 600.0
    assert proposal.task_value > 0.01
    assert signal.getsignal(signal.SIGINT) is before


def test_a_given_construct_is_valued_by_its_task_too() -> None:
    task = Task(reward="rescue")
    proposal = Proposal.by_name(task.space(), "LBNOX_c 0.1 %", "complex_iii_closed")
    assert proposal.task_value == pytest.approx(proposal.outcome.rescue - 0.01)
    assert (proposal.proof, proposal.data()["search"]) == ("", None)


def test_under_a_hidden_condition_the_policy_answers_alone_whatever_it_is_worth(hidden: RedoxEnvs) -> None:
    """Neither its value nor better samples replace the most probable construct."""
    for policy, condition in ((stubborn(hidden, "LOX_c", 1e-3), "healthy"), (untrained(hidden), "hypoxia")):
        proposal = answer(hidden, policy, condition, seconds=5.0)
        assert proposal.policy is not None
        assert proposal.construct == proposal.policy.construct
        assert proposal.task_value == proposal.policy.outcome.value
        assert proposal.proof == "best found"
        sampled = play_episodes(hidden.named(50), condition, policy, 50, np.random.default_rng(3))
        assert max(0.0, *(played.outcome.value for played in sampled)) > proposal.task_value + 0.01 * (
            condition == "hypoxia"
        )


@pytest.mark.parametrize("limit", [{"seconds": 60.0}, {"evaluations": 10}])
def test_a_search_on_a_belief_has_no_limit(limit: dict[str, Any]) -> None:
    with pytest.raises(RedoxError, match="hidden condition ends by itself") as refused:
        propose(Task(hidden_condition=True), "complex_iii_closed", **limit)
    assert refused.value.settings == tuple(limit)


def test_without_a_policy_a_hidden_condition_is_searched_on_a_belief() -> None:
    proposal = propose(Task(hidden_condition=True), "complex_iii_closed")
    assert proposal.found is not None
    assert proposal.found.stage == "search on a belief"
    assert proposal.task_value > 0.1


def test_measurements_are_simulated_by_the_seed_and_their_cost_is_deducted() -> None:
    settings = {"parameter_samples": 8, "measurement_noise": 0.02, "measurement_cost": 0.004}
    environments = Task(hidden_condition=True, conditions=("hypoxia", "complex_i_closed"), **settings).environments()
    policy = stubborn(environments, "LBNOX_c", 1e-3)
    first, again, other = (answer(environments, policy, "hypoxia", seed=seed) for seed in (1, 1, 2))
    assert first.sample == again.sample != other.sample
    assert first.found is not None
    with Evaluator(environments.space) as evaluator:
        worth = evaluator.outcome(first.construct, first.condition, first.sample).value
    assert first.found.paid == pytest.approx(2 * 0.004)
    assert first.task_value == again.task_value == pytest.approx(worth - first.found.paid)
    assert first.measured == (
        f"measurements simulated for this condition with parameter sample {first.sample}, noise 0.02; "
        "their cost, 0.0080, is deducted"
    )
    expected = {"noise": 0.02, "cost": 0.004, "parameter_sample": first.sample, "paid": first.found.paid}
    assert first.data()["search"]["measurement"] == expected
    assert Proposal.by_name(environments.space, "LBNOX_c 0.1 %", "hypoxia").measured == ""
