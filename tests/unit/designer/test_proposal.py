"""Constructs that a policy or a user proposes, under one condition or several at once."""

from collections.abc import Callable

import numpy as np
import pytest

from policies import stubborn, untrained
from redox_balancer.cell.conditions import load_conditions, pick_condition
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.task import Task
from redox_balancer.designer.play import play_episodes
from redox_balancer.designer.proposal import Proposal, Proposer
from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Policy


@pytest.fixture(scope="module")
def environments() -> RedoxEnvs:
    return Task().environments()


@pytest.fixture(scope="module")
def policy(environments: RedoxEnvs) -> Policy:
    return untrained(environments)


def by_policy(environments: RedoxEnvs, policy: Policy, condition: str) -> Proposal:
    return Proposer(environments, policy, condition).greedy()


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
    assert expected.growth < alone.growth - 1e-4


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


def test_a_construct_worth_less_than_nothing_is_not_proposed() -> None:
    environments = Task(reward="guaranteed").environments()
    proposer = Proposer(environments, stubborn(environments, "LOX_c", 1e-3), "healthy")
    for proposal in (proposer.greedy(), proposer.best(samples=3, seed=0)):
        assert len(proposal.construct) == 0
        assert (proposal.task_value, proposal.outcome.value) == (0.0, 0.0)
        assert proposal.outcome.growth == pytest.approx(proposal.reference.growth, abs=1e-12)


def test_under_a_hidden_condition_its_value_does_not_discard_a_construct(hidden: RedoxEnvs) -> None:
    proposal = Proposer(hidden, stubborn(hidden, "LOX_c", 1e-3), "healthy").greedy()
    assert [row["placement"] for row in proposal.placed] == ["LOX_c"]
    assert proposal.task_value < -0.1


def test_samples_are_ranked_by_value_under_a_known_condition(environments: RedoxEnvs, policy: Policy) -> None:
    proposer = Proposer(environments, policy, "hypoxia")
    sampled = [proposal.task_value for proposal in proposer.sampled(60, seed=3)]
    assert len(sampled) == 60
    assert proposer.best(samples=60, seed=3).task_value == max(sampled) > proposer.greedy().task_value


def test_samples_are_not_ranked_by_the_value_under_a_hidden_condition(hidden: RedoxEnvs) -> None:
    """The most probable construct is the answer, although the policy samples better ones."""
    policy = untrained(hidden)
    proposer = Proposer(hidden, policy, "hypoxia")
    assert list(proposer.sampled(60, seed=3)) == []
    greedy = proposer.greedy()
    assert proposer.best(samples=60, seed=3).construct == greedy.construct
    sampled = play_episodes(hidden.named(50), "hypoxia", policy, 50, np.random.default_rng(3))
    assert max(played.outcome.value for played in sampled) > greedy.task_value + 0.01
