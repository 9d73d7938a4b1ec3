import numpy as np
import torch
from torch.autograd import gradcheck

from redox_balancer.impala.policy import Candidates, PolicyShape, forward
from redox_balancer.impala.scorer import FUSED

SHAPE = PolicyShape(observation_size=5 + 7 * 6, actions=22, hidden_sizes=(16,), candidates=Candidates(7, 6, 3))


def test_the_scorer_of_the_learner_equals_the_formula_of_the_policy_and_its_gradient() -> None:
    rng = np.random.default_rng(0)
    observations = torch.from_numpy(rng.standard_normal((9, SHAPE.observation_size)))
    observations[:, 5:11] = observations[:, 11:17]  # two candidates with the same encoding, both the largest at times
    upstream = torch.from_numpy(rng.standard_normal((9, SHAPE.actions)))
    found = []
    for scorer in ((), (FUSED,)):
        flat = torch.from_numpy(np.random.default_rng(1).normal(0, 0.5, SHAPE.size)).requires_grad_()
        logits, values = forward(SHAPE.unflatten(flat), observations, *scorer)
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
