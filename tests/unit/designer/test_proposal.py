"""Constructs that a policy or a user proposes, under one condition or several at once."""

from collections.abc import Callable

import numpy as np
import pytest

from redox_balancer.cell.media import load_conditions, pick_condition
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.task import Task
from redox_balancer.designer.proposal import Proposal, Proposer
from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Policy, PolicyShape


@pytest.fixture(scope="module")
def environments() -> RedoxEnvs:
    return Task().environments()


@pytest.fixture(scope="module")
def policy(environments: RedoxEnvs) -> Policy:
    """A policy that has learned nothing."""
    shape = PolicyShape(len(environments.fingerprint["observation"]), environments.space.actions, (8,))
    return Policy(shape, shape.initial(np.random.default_rng(0)))


def by_policy(environments: RedoxEnvs, policy: Policy, condition: str) -> Proposal:
    return Proposer(environments, policy, condition).greedy()


def by_hand(environments: RedoxEnvs, _policy: Policy, condition: str) -> Proposal:
    return Proposal.from_text(environments.space, "LBNOX_c 0.1 % + MDH1_c 0.001 %", condition)


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
    assert Proposal.from_text(space, "nothing", "hypoxia+mdh1_deficiency").condition == space.conditions[0]


@pytest.mark.parametrize("propose", [by_policy, by_hand])
@pytest.mark.parametrize(("condition", "part"), [("fever", "fever"), ("hypoxia+tea", "tea")])
def test_an_unknown_condition_or_part_is_named(
    environments: RedoxEnvs, policy: Policy, propose: Callable[..., Proposal], condition: str, part: str
) -> None:
    with pytest.raises(RedoxError, match=f"unknown condition '{part}'") as refused:
        propose(environments, policy, condition)
    assert "hypoxia" in refused.value.hint
