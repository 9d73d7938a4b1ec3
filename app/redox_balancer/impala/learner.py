"""The learner: V-trace actor-critic updates with Adam.

Arrays are time-major, [T, B, ...], where B counts the environments of all rollouts of a batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner_group import LearnerGroup
from redox_balancer.impala.loss import Batch, losses
from redox_balancer.impala.policy import Float32, PolicyShape
from redox_balancer.impala.rollout import Episodes, Rollout
from redox_balancer.impala.schedules import geometric, linear
from redox_balancer.resources import keep_freed_memory

# NumPy in the actor and torch here differ in the last digits, so the ratios of equal policies are not exactly 1.
RATIO_ROUNDING = 1e-4


class LearnerState(NamedTuple):
    """The complete state of a learner: vectors of shape (size,) and counters."""

    parameters: Float32
    exp_avg: Float32
    exp_avg_sq: Float32
    updates: int  # also the version of the policy
    steps: int  # environment steps used
    dropped: int  # those dropped as too old

    @classmethod
    def fresh(cls, shape: PolicyShape, seed: int) -> Self:
        """Return the initial state of a run."""
        # Collectors use spawn keys of two numbers, so none of them shares this one.
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
        zeros = np.zeros(shape.size, dtype=np.float32)
        return cls(shape.initial(rng), zeros, zeros.copy(), updates=0, steps=0, dropped=0)

    def packed(self, passes: int) -> torch.Tensor:
        """Return what a `Learner` of so many passes would pack in this state."""
        vectors = self.parameters, self.exp_avg, self.exp_avg_sq
        return _packed(map(torch.from_numpy, vectors), self.updates * passes, *self[3:])


class Update(NamedTuple):
    """Result of one update: the state after it, metrics, lags in versions, and the episodes that ended in its data.

    It may be kept: it holds no reference to the rollouts.
    """

    state: LearnerState
    metrics: Mapping[str, float]
    lags: Sequence[int]
    episodes: Sequence[Episodes]


class Learner:
    """Updates the policy from one batch of rollouts after the other, from an initial state on.

    With a `group`, which it joins, each step is that on the batches of all its members together, and versions, steps
    and dropped ones are counted over all of them.
    """

    def __init__(
        self, config: TrainConfig, shape: PolicyShape, state: LearnerState, group: LearnerGroup | None = None
    ) -> None:
        torch.set_num_threads(config.learner_threads)
        keep_freed_memory()
        self.config = config
        self._device = torch.device(config.device)
        # Version of the policy, environment steps used and dropped, over all processes of the run.
        self.version, self.steps, self.dropped = state.updates, state.steps, state.dropped
        self._dropped_before = state.dropped  # at the end of the last update
        # The named arrays and their gradients are views of two flat vectors, so that Adam, clipping, publishing and
        # saving each work on one vector.
        flat = torch.from_numpy(state.parameters.copy()).to(self._device)
        self._flat = torch.nn.Parameter(flat)
        self._flat.grad = torch.zeros_like(flat)
        self._named = {name: view.requires_grad_() for name, view in shape.unflatten(flat).items()}
        for name, gradient in shape.unflatten(self._flat.grad).items():
            self._named[name].grad = gradient
        self._adam = torch.optim.Adam([self._flat], lr=config.learning_rate, fused=True)
        self._adam.state[self._flat] = {
            "step": torch.tensor(float(state.updates * config.passes)),
            "exp_avg": torch.from_numpy(state.exp_avg.copy()).to(self._device),
            "exp_avg_sq": torch.from_numpy(state.exp_avg_sq.copy()).to(self._device),
        }
        self._group = group
        if group is not None:
            group.join(self)

    @property
    def taken(self) -> int:
        """Number of gradient steps so far."""
        return int(self._adam.state[self._flat]["step"])

    @property
    def _vectors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        adam = self._adam.state[self._flat]
        return self._flat.detach(), adam["exp_avg"], adam["exp_avg_sq"]

    def packed(self) -> torch.Tensor:
        """Return the state, also within an update, as one vector of doubles."""
        return _packed(self._vectors, self.taken, self.version, self.steps, self._dropped_before)

    def unpack(self, state: torch.Tensor) -> None:
        """Take the state that another learner has packed."""
        for vector, packed in zip(self._vectors, state[:-4].chunk(3), strict=True):
            vector.copy_(packed)
        taken, *counters = state[-4:].tolist()
        self._adam.state[self._flat]["step"].fill_(taken)
        self.version, self.steps, self.dropped = map(int, counters)
        self._dropped_before = self.dropped

    def state(self) -> LearnerState:
        """Return a copy of the state."""
        parameters, exp_avg, exp_avg_sq = (vector.cpu().numpy().copy() for vector in self._vectors)
        return LearnerState(parameters, exp_avg, exp_avg_sq, self.version, self.steps, self.dropped)

    def update(self, rollouts: Sequence[Rollout]) -> Update:
        """Take `passes` gradient steps on the loss of these rollouts; the metrics are those of the last one.

        Without rollouts they are the steps of the other members of the group, and there are no metrics. The update is
        given up where nobody has any.
        """
        config = self.config
        lags = [self.version - rollout.version for rollout in rollouts]
        total = config.timesteps
        rate = linear(self.steps, total=total, start=config.learning_rate, end=config.learning_rate_end)
        entropy_cost = geometric(self.steps, total=total, start=config.entropy_cost, end=config.entropy_cost_end)
        self._adam.param_groups[0]["lr"] = rate
        batch = Batch.of(rollouts, self._device) if rollouts else None
        parts, grad_norm = None, torch.zeros(())
        used = sum(rollout.transitions for rollout in rollouts)
        end = (self.version + 1) * config.passes  # a group that was joined within an update goes on from there
        while self.taken < end:
            self._adam.zero_grad(set_to_none=False)
            if batch is not None:
                parts = losses(self._named, batch, config)
                loss = parts.policy + config.baseline_cost * parts.baseline - entropy_cost * parts.entropy
                loss.backward()  # type: ignore[no-untyped-call]
            counts = self._averaged(used)
            if counts is None:
                continue
            if counts[0] == 0:
                break
            grad_norm = torch.nn.utils.clip_grad_norm_([self._flat], config.max_grad_norm)
            self._adam.step()
            if self.taken == end:
                self.version += 1
                self.steps += counts[0]
                self.dropped = self._dropped_before = self._dropped_before + counts[1]

        if parts is None:
            return Update(self.state(), {}, [], [])
        tensors = {
            "policy_loss": parts.policy,
            "baseline_loss": parts.baseline,
            "entropy": parts.entropy,
            "rho_mean": parts.ratios.mean(),
            "rho_max": parts.ratios.max(),
            "rho_clipped": (parts.ratios > config.rho_clip * (1 + RATIO_ROUNDING)).float().mean(),
            "grad_norm": grad_norm,
            "explained_variance": _explained_variance(parts.values, parts.targets),
        }
        values = torch.stack([tensor.detach() for tensor in tensors.values()]).tolist()
        metrics = dict(zip(tensors, values, strict=True))
        metrics |= {"learning_rate": rate, "entropy_cost": entropy_cost}
        return Update(self.state(), metrics, lags, [rollout.episodes.copy() for rollout in rollouts])

    def _averaged(self, used: int) -> tuple[int, int] | None:
        """Average the gradient over the data of all members; return the transitions that they used and dropped.

        None where the state of another member was taken, which has this step.
        """
        counts = used, self.dropped - self._dropped_before
        gradient = self._flat.grad
        if self._group is None or gradient is None:
            return counts
        total = self._group.sum(torch.cat([gradient.cpu() * used, torch.tensor(counts)]), self)
        if total is None:
            return None
        gradient.copy_(total[:-2] / total[-2].clamp(min=1))
        return int(total[-2]), int(total[-1])


def _packed(vectors: Iterable[torch.Tensor], *counters: int) -> torch.Tensor:
    return torch.cat([*(each.cpu().double() for each in vectors), torch.tensor(counters).double()])


def _explained_variance(values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the share of the variance of the targets that the values explain; 0 where the targets do not vary."""
    variance = targets.var(correction=0)
    share = 1.0 - (targets - values).var(correction=0) / variance
    return torch.where(variance > 0, share, torch.zeros_like(share))
