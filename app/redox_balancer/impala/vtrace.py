"""V-trace targets and advantages (Espeholt et al. 2018, "IMPALA", equation 1, remarks 1 and 2).

Arrays are time-major, [T, B]. For each step

    delta_t = rho_t (r_t + discount_t V(next_t) - V(x_t))
    v_t     = V(x_t) + delta_t + trace_t c_t (v_{t+1} - V(x_{t+1}))
    A_t     = min(pg clip, pi/mu) (r_t + discount_t v(next_t) - V(x_t))

with rho = min(rho clip, pi/mu), c = lambda min(c clip, pi/mu), discount = gamma (1 - terminated) and
trace = gamma (1 - (terminated or truncated)). Inside an episode v(next_t) is v_{t+1}. After a truncated step both
V(next_t) and v(next_t) are the value of the final observation of the episode, which was cut off but did not end; at
the end of the rollout both are the bootstrap value.
"""

from typing import NamedTuple

import torch


class VTraceReturns(NamedTuple):
    """Value targets and policy gradient advantages, both [T, B]; `ratios` are the unclipped pi/mu."""

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
    """Return targets and advantages of a batch of rollouts, without gradient and in the dtype of `values`.

    Parameters
    ----------
    target_log_probs, behaviour_log_probs
        Log-probability of the action taken under the target policy (the learner's) and the behaviour policy (the
        actor's), [T, B].
    rewards, values
        r_t and V(x_t), [T, B].
    terminated, truncated
        Whether the step terminated or truncated its episode, [T, B], bool.
    next_values
        V of the observation that follows a step, [T, B]: V(x_{t+1}); after a truncated step V(final observation); in
        the last row otherwise the bootstrap value. Entries of terminated steps are ignored.
    gamma, lambda_, rho_clip, c_clip, pg_rho_clip
        As in the equations above.
    """
    ratios = torch.exp(target_log_probs - behaviour_log_probs)
    discounts = gamma * (~terminated).to(values.dtype)
    traces = gamma * (~(terminated | truncated)).to(values.dtype) * lambda_ * ratios.clamp(max=c_clip)
    deltas = ratios.clamp(max=rho_clip) * (rewards + discounts * next_values - values)

    corrections, traced = deltas.cpu().numpy(), traces.cpu().numpy()  # v_t - V(x_t), whose rows NumPy adds faster
    for t in range(len(corrections) - 2, -1, -1):
        corrections[t] += traced[t] * corrections[t + 1]
    targets = values + torch.from_numpy(corrections).to(values.device)

    next_targets = torch.cat([targets[1:], next_values[-1:]])
    next_targets = torch.where(truncated, next_values, next_targets)
    advantages = ratios.clamp(max=pg_rho_clip) * (rewards + discounts * next_targets - values)
    return VTraceReturns(targets, advantages, ratios)
