"""V-trace targets and advantages (Espeholt et al. 2018, "IMPALA", equation 1, remarks 1 and 2).

Arrays are time-major, [T, B]. For each step

    delta_t = rho_t (r_t + discount_t V(next_t) - V(x_t))
    v_t     = V(x_t) + delta_t + trace_t c_t (v_{t+1} - V(x_{t+1}))
    A_t     = min(pg clip, pi/mu) (r_t + discount_t v(next_t) - V(x_t))

with rho = min(rho clip, pi/mu), c = lambda min(c clip, pi/mu), discount = gamma (1 - terminated) and
trace = gamma (1 - (terminated or truncated)). Inside an episode v(next_t) is v_{t+1}. After a truncated step both
V(next_t) and v(next_t) are the value of the episode's final observation, which is cut off but not over; at the
end of the rollout both are the bootstrap value.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class VTraceReturns(NamedTuple):
    """Targets of the value and advantages of the policy gradient, both [T, B]; `ratios` are pi/mu unclipped."""

    targets: torch.Tensor
    advantages: torch.Tensor
    ratios: torch.Tensor


@torch.no_grad()
def vtrace(
    *,
    target_log_probs: torch.Tensor,
    behaviour_log_probs: torch.Tensor,
    rewards: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    values: torch.Tensor,
    next_values: torch.Tensor,
    gamma: float = 1.0,
    lambda_: float = 1.0,
    rho_clip: float = 1.0,
    c_clip: float = 1.0,
    pg_rho_clip: float = 1.0,
) -> VTraceReturns:
    """Targets and advantages of a batch of rollouts, without gradient and in the type of `values`.

    Parameters
    ----------
    target_log_probs, behaviour_log_probs
        Log-probability of the action taken under the policy that learns and the one that acted, [T, B].
    rewards
        Reward of each step, [T, B].
    terminated, truncated
        Whether the step ended its episode, or cut it off, [T, B], bool.
    values
        V(x_t), [T, B].
    next_values
        V of what follows a step, [T, B]: V(x_{t+1}); after a truncated step V(final observation); in the last
        row otherwise the bootstrap value. Where a step terminated the entry counts for nothing.
    gamma, lambda_, rho_clip, c_clip, pg_rho_clip
        As in the equations above.
    """
    ratios = torch.exp(target_log_probs - behaviour_log_probs)
    discounts = gamma * (~terminated).to(values.dtype)
    traces = gamma * (~(terminated | truncated)).to(values.dtype) * lambda_ * ratios.clamp(max=c_clip)
    deltas = ratios.clamp(max=rho_clip) * (rewards + discounts * next_values - values)

    corrections = torch.empty_like(values)
    correction = torch.zeros_like(values[0])  # v_T - V(x_T), which is 0 at the end of the rollout
    for t in range(len(values) - 1, -1, -1):
        correction = deltas[t] + traces[t] * correction
        corrections[t] = correction
    targets = values + corrections

    next_targets = torch.cat([targets[1:], next_values[-1:]])
    next_targets = torch.where(truncated, next_values, next_targets)
    advantages = ratios.clamp(max=pg_rho_clip) * (rewards + discounts * next_targets - values)
    return VTraceReturns(targets, advantages, ratios)
