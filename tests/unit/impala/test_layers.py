from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from redox_balancer.impala.layers import FUSED, choose
from redox_balancer.impala.policy import Candidates, MaskedCategorical, PolicyShape, forward

SHAPE = PolicyShape(observation_size=5 + 7 * 6, actions=22, hidden_sizes=(16, 8), candidates=Candidates(7, 6, 3))


@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, candidates=None)])
def test_the_layers_of_the_learner_equal_the_formulas_of_the_policy_and_their_gradients(shape: PolicyShape) -> None:
    rng = np.random.default_rng(0)
    observations = torch.from_numpy(rng.standard_normal((9, shape.observation_size)))
    observations[:, 5:11] = observations[:, 11:17]  # two candidates with the same encoding, both the largest at times
    upstream = torch.from_numpy(rng.standard_normal((9, shape.actions)))
    found = []
    for layers in ((), (FUSED,)):
        flat = torch.from_numpy(np.random.default_rng(1).normal(0, 0.5, shape.size)).requires_grad_()
        logits, values = forward(shape.unflatten(flat), observations, *layers)
        ((logits * upstream).sum() + values.square().sum()).backward()
        found.append((logits.detach(), values.detach(), flat.grad))
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-10)


def test_its_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    rows = drawn(3, 4, 5).detach()
    assert gradcheck(lambda *weights: FUSED.encode(rows, 2, *weights), (drawn(5, 6), drawn(6)))
    sizes = (3, 4, 6), (3, 6), (3, 6), (6, 6), (6, 2), (2,), (6, 2)
    assert gradcheck(FUSED.score, tuple(drawn(*size) for size in sizes))


def test_log_probabilities_and_entropies_equal_those_of_the_policy_and_their_gradients() -> None:
    """Of the steps alone: the last logits are of observations after them."""
    rng = np.random.default_rng(3)
    mask = torch.from_numpy(rng.random((9, 22)) < 0.4)
    actions = torch.from_numpy(rng.integers(0, 22, 9))
    mask[range(9), actions] = True
    mask[0] = torch.arange(22) == actions[0]  # one legal action
    upstream = torch.from_numpy(rng.standard_normal((2, 9)))
    found = []
    for own in (False, True):
        logits = torch.from_numpy(20 * np.random.default_rng(4).standard_normal((11, 22))).requires_grad_()
        if own:
            log_probs, entropies = choose(logits, mask, actions)
        else:
            choice = MaskedCategorical(logits[:9], mask)
            log_probs, entropies = choice.log_prob(actions), choice.entropy()
        (upstream * torch.stack([log_probs, entropies])).sum().backward()
        found.append((log_probs.detach(), entropies.detach(), logits.grad))
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-10)
    drawn = torch.randn((11, 22), dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert gradcheck(lambda logits: choose(logits, mask, actions), (drawn,))
