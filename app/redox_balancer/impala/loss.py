"""The loss of a batch of rollouts: V-trace policy gradient, value loss and entropy bonus.

Arrays are time-major, [T, B, ...], where B counts the environments of all rollouts of a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.layers import FUSED, choose
from redox_balancer.impala.policy import forward
from redox_balancer.impala.rollout import Rollout
from redox_balancer.impala.vtrace import vtrace


@dataclass(frozen=True, eq=False)
class Batch:
    """Rollouts side by side, [T, B, ...]; the fields of `Rollout` as tensors.

    `truncated_at` are the indices (t, b) of the truncated steps, in the order of `final_observations`.
    """

    observations: torch.Tensor
    masks: torch.Tensor
    actions: torch.Tensor
    log_probs: torch.Tensor
    rewards: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    final_observations: torch.Tensor
    truncated_at: tuple[torch.Tensor, torch.Tensor]

    @classmethod
    def of(cls, rollouts: Sequence[Rollout], device: torch.device) -> Self:
        """Concatenate rollouts of equal length; their arrays are copied."""

        def joined(name: str, axis: int = 1) -> torch.Tensor:
            arrays = [getattr(rollout, name) for rollout in rollouts]
            return torch.from_numpy(np.concatenate(arrays, axis=axis)).to(device)

        indices: list[NDArray[np.int64]] = []
        offset = 0
        for rollout in rollouts:
            t, b = np.nonzero(rollout.truncated)
            indices.append(np.stack([t, b + offset]))
            offset += rollout.actions.shape[1]
        truncated_t, truncated_b = torch.from_numpy(np.concatenate(indices, axis=1)).to(device)
        names = "observations", "masks", "actions", "log_probs", "rewards", "terminated", "truncated"
        return cls(
            **{name: joined(name) for name in names},
            final_observations=joined("final_observations", axis=0),
            truncated_at=(truncated_t, truncated_b),
        )


class Losses(NamedTuple):
    """The parts of the loss, with gradient, and the quantities of V-trace, [T, B], without."""

    policy: torch.Tensor
    baseline: torch.Tensor
    entropy: torch.Tensor
    ratios: torch.Tensor
    targets: torch.Tensor
    values: torch.Tensor


def losses(parameters: Mapping[str, torch.Tensor], batch: Batch, config: TrainConfig) -> Losses:
    """Return policy loss, value loss (half the mean squared error) and mean entropy of a batch.

    Values and log-probabilities are recomputed with `parameters`. All parts are means over transitions, so that the
    learning rate does not depend on the batch size.
    """
    T, B = batch.actions.shape
    D = batch.observations.shape[-1]
    # One pass over the T x B observations, the B bootstrap observations and the final ones of truncated episodes.
    observations = torch.cat([batch.observations.reshape((T + 1) * B, D), batch.final_observations])
    logits, all_values = forward(parameters, observations, FUSED)
    chosen, entropies = choose(logits, batch.masks.reshape(T * B, -1), batch.actions.reshape(T * B))
    log_probs = chosen.reshape(T, B)
    values = all_values[: T * B].reshape(T, B)
    next_values = all_values[B : (T + 1) * B].reshape(T, B).detach().clone()
    next_values[batch.truncated_at] = all_values[(T + 1) * B :].detach()

    returns = vtrace(
        target_log_probs=log_probs,
        behaviour_log_probs=batch.log_probs,
        rewards=batch.rewards,
        terminated=batch.terminated,
        truncated=batch.truncated,
        values=values,
        next_values=next_values,
        gamma=config.gamma,
        lambda_=config.vtrace_lambda,
        rho_clip=config.rho_clip,
        c_clip=config.c_clip,
        pg_rho_clip=config.pg_rho_clip,
    )
    return Losses(
        policy=-(log_probs * returns.advantages).mean(),
        baseline=0.5 * (returns.targets - values).square().mean(),
        entropy=entropies.mean(),
        ratios=returns.ratios,
        targets=returns.targets,
        values=values.detach(),
    )
