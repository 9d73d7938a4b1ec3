"""The layers of a policy for the learner on torch: the formulas of `policy`, with gradients written by hand.

Autograd keeps and fills many arrays, of N x A logits or of N x P x units of encodings. These functions fill few, in
place, and order the operands of products so that libraries are fast at them. Shapes are those of `policy`.
"""

from typing import Any

import numpy as np
import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from redox_balancer.impala.policy import ILLEGAL_LOGIT, SMALLEST_EXPONENT, Layers

Tensors = tuple[torch.Tensor | None, ...]


def _tanh_(tensor: torch.Tensor) -> torch.Tensor:
    """Replace values by their tanh, by NumPy where it can: PyTorch's takes seven times as long there."""
    if tensor.device.type != "cpu":
        return tensor.tanh_()
    array = tensor.numpy()
    np.tanh(array, out=array)
    return tensor


def _exp(tensor: torch.Tensor) -> torch.Tensor:
    """Return the exponentials."""
    return tensor.exp() if tensor.device.type != "cpu" else torch.from_numpy(np.exp(tensor.numpy()))


class _Tanh(Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(values)
        ctx.save_for_backward(_tanh_(values))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_outputs: torch.Tensor) -> torch.Tensor:
        gradient: torch.Tensor = torch.ops.aten.tanh_backward(of_outputs, *ctx.saved_tensors)
        return gradient


class _Choose(Function):
    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, mask: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # `where` takes ten times as long on masks that no processor can guess.
        legal = mask.to(logits.dtype).sub_(1.0).mul_(-ILLEGAL_LOGIT).add_(logits[: len(mask)])
        legal -= legal.amax(dim=1, keepdim=True)
        chosen = legal.gather(1, actions[:, None])
        legal.clamp_(min=SMALLEST_EXPONENT)
        shares = _exp(legal)
        sums = shares.sum(dim=1, keepdim=True)
        shares /= sums
        surplus = torch.linalg.vecdot(shares, legal)[:, None]  # mean of the shifted logits
        logs = sums.log()
        ctx.save_for_backward(shares, legal.sub_(surplus), actions)
        ctx.rows = len(logits)
        return (chosen - logs)[:, 0], (logs - surplus)[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_log_probs: torch.Tensor, of_entropy: torch.Tensor) -> Tensors:
        shares, surplus, actions = ctx.saved_tensors
        gradient = shares.new_zeros(ctx.rows, shares.shape[1])
        steps = torch.mul(surplus, -of_entropy[:, None], out=gradient[: len(shares)])
        steps.sub_(of_log_probs[:, None]).mul_(shares).scatter_add_(1, actions[:, None], of_log_probs[:, None])
        return gradient, None, None


def choose(logits: torch.Tensor, mask: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-probabilities of the actions and entropies, (N,) each, as `MaskedCategorical` does."""
    log_probs, entropies = _Choose.apply(logits, mask, actions)  # type: ignore[no-untyped-call]
    return log_probs, entropies


def _largest(encoded: torch.Tensor) -> torch.Tensor:
    """Return the largest of P candidates, (N, 1, units): of halves that overlap, faster than along the axis."""
    while (number := encoded.shape[1]) > 1:
        half = (number + 1) // 2
        encoded = torch.maximum(encoded[:, :half], encoded[:, number - half :])
    return encoded


class _Encode(Function):
    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, levels: int, weight: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        number = rows.shape[1]
        flat = rows.reshape(-1, rows.shape[2])
        encoded = _tanh_(torch.addmm(bias, flat, weight)).view(-1, number, len(bias))
        chosen = rows[:, :, levels]
        shares = torch.stack([torch.full_like(chosen, 1.0 / number), chosen], dim=1)  # of mean and sum
        sums, largest = shares @ encoded, _largest(encoded)
        ctx.save_for_backward(flat, encoded, shares, largest)
        return encoded, torch.cat([sums[:, 0], largest[:, 0], sums[:, 1]], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_encoded: torch.Tensor, of_summary: torch.Tensor) -> Tensors:
        flat, encoded, shares, largest = ctx.saved_tensors
        of_summary = of_summary.view(len(encoded), 3, -1)
        gradient = torch.baddbmm(of_encoded, shares.mT, of_summary[:, ::2])
        is_largest = torch.eq(encoded, largest, out=torch.empty_like(encoded))
        ties = is_largest.sum(dim=1, keepdim=True)
        gradient.addcmul_(is_largest, of_summary[:, 1:2] / ties)
        gradient = torch.ops.aten.tanh_backward(gradient, encoded).flatten(0, 1)
        return None, None, flat.mT @ gradient, gradient.sum(dim=0)


class _Score(Function):
    @staticmethod
    def forward(
        ctx: Any,
        encoded: torch.Tensor,
        context: torch.Tensor,
        query: torch.Tensor,
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        scorer, weight, bias, key = weights
        number, candidates, _ = encoded.shape
        inner = torch.empty_like(encoded).copy_(context[:, None, :]).flatten(0, 1)
        _tanh_(inner.addmm_(encoded.flatten(0, 1), scorer))
        pointers = query[:, None, :] * key.mT  # (N, L, units)
        scores = (weight.mT @ inner.mT + bias[:, None]).view(-1, number, candidates).transpose(0, 1)
        ctx.save_for_backward(encoded, inner, query, pointers, scorer, weight, key)
        return (scores + pointers @ encoded.mT).mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_scores: torch.Tensor) -> Tensors:
        encoded, inner, query, pointers, scorer, weight, key = ctx.saved_tensors
        of_scores = of_scores.contiguous()
        flat = of_scores.flatten(0, 1)
        of_inner = flat @ weight.mT
        torch.ops.aten.tanh_backward.grad_input(of_inner, inner, grad_input=of_inner)
        of_encoded = (of_inner @ scorer.mT).view_as(encoded).baddbmm_(of_scores, pointers)
        of_pointers = of_scores.mT @ encoded
        return (
            of_encoded,
            of_inner.view_as(encoded).sum(dim=1),
            (of_pointers * key.mT).sum(dim=1),
            encoded.flatten(0, 1).mT @ of_inner,
            (flat.mT @ inner).mT,
            flat.sum(dim=0),
            (of_pointers * query[:, None, :]).sum(dim=0).mT,
        )


FUSED = Layers(_Tanh.apply, _Encode.apply, _Score.apply)
