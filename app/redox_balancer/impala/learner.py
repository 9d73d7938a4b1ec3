"""The learner: V-trace actor-critic updates by Adam, alone or in a thread beside the loop that collects.

Arrays are time-major, [T, B, ...], where B counts the environments of all rollouts of a batch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.policy import Float32, MaskedCategorical, PolicyShape, forward
from redox_balancer.impala.rollout import Episodes, Rollout
from redox_balancer.impala.schedules import geometric, linear
from redox_balancer.impala.vtrace import vtrace

# NumPy in the actor and torch here differ in the last digits, so equal policies have ratios just beside 1.
RATIO_ROUNDING = 1e-4


class LearnerState(NamedTuple):
    """All that the learner needs to go on: vectors of shape (size,) and counters.

    `steps` are environment steps learnt from, `dropped` those thrown away as too old. The policy's version is the
    number of updates that made it.
    """

    parameters: Float32
    exp_avg: Float32
    exp_avg_sq: Float32
    updates: int
    steps: int
    dropped: int

    @classmethod
    def fresh(cls, shape: PolicyShape, seed: int) -> LearnerState:
        """Return the start of a run."""
        # Collectors use spawn keys of two numbers, so this key is never theirs.
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
        zeros = np.zeros(shape.size, dtype=np.float32)
        return cls(shape.initial(rng), zeros, zeros.copy(), updates=0, steps=0, dropped=0)


class Update(NamedTuple):
    """Result of one update: the state after it, figures to log, and the episodes that ended in its data.

    It may be kept: nothing in it holds on to the rollouts.
    """

    state: LearnerState
    metrics: Mapping[str, float]
    lags: Sequence[int]
    episodes: Sequence[Episodes]


@dataclass(frozen=True, eq=False)
class Batch:
    """Rollouts side by side, [T, B, ...]; the fields of `Rollout` as tensors.

    `cut_at` are the places (t, b) of the truncated steps, in the order of `final_observations`.
    """

    observations: torch.Tensor
    masks: torch.Tensor
    actions: torch.Tensor
    log_probs: torch.Tensor
    rewards: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    final_observations: torch.Tensor
    cut_at: tuple[torch.Tensor, torch.Tensor]

    @classmethod
    def of(cls, rollouts: Sequence[Rollout], device: torch.device) -> Batch:
        """Join rollouts of equal length; their arrays are copied."""

        def joined(name: str, axis: int = 1) -> torch.Tensor:
            arrays = [getattr(rollout, name) for rollout in rollouts]
            return torch.from_numpy(np.concatenate(arrays, axis=axis)).to(device)

        cuts: list[NDArray[np.int64]] = []
        offset = 0
        for rollout in rollouts:
            t, b = np.nonzero(rollout.truncated)
            cuts.append(np.stack([t, b + offset]))
            offset += rollout.actions.shape[1]
        cut_t, cut_b = torch.from_numpy(np.concatenate(cuts, axis=1)).to(device)
        return cls(
            observations=joined("observations"),
            masks=joined("masks"),
            actions=joined("actions"),
            log_probs=joined("log_probs"),
            rewards=joined("rewards"),
            terminated=joined("terminated"),
            truncated=joined("truncated"),
            final_observations=joined("final_observations", axis=0),
            cut_at=(cut_t, cut_b),
        )


class Losses(NamedTuple):
    """The parts of the loss as tensors with gradient, and what V-trace was made of without."""

    policy: torch.Tensor
    baseline: torch.Tensor
    entropy: torch.Tensor
    ratios: torch.Tensor
    targets: torch.Tensor
    values: torch.Tensor


def losses(parameters: Mapping[str, torch.Tensor], batch: Batch, config: TrainConfig) -> Losses:
    """Loss of the policy, loss of the value (half the mean squared error) and mean entropy of a batch.

    Values and log-probabilities are computed anew with `parameters`. All are means over transitions, so that the
    learning rate does not depend on the size of a batch.
    """
    T, B = batch.actions.shape
    D = batch.observations.shape[-1]
    # One pass over the T x B observations, the B bootstrap observations and those that end a truncated episode.
    logits, all_values = forward(
        parameters, torch.cat([batch.observations.reshape((T + 1) * B, D), batch.final_observations])
    )
    choice = MaskedCategorical(logits[: T * B], batch.masks.reshape(T * B, -1))
    log_probs = choice.log_prob(batch.actions.reshape(T * B)).reshape(T, B)
    values = all_values[: T * B].reshape(T, B)
    next_values = all_values[B : (T + 1) * B].reshape(T, B).detach().clone()
    next_values[batch.cut_at] = all_values[(T + 1) * B :].detach()

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
        entropy=choice.entropy().mean(),
        ratios=returns.ratios,
        targets=returns.targets,
        values=values.detach(),
    )


class Learner:
    """Improves the policy, one batch of rollouts after the other.

    Parameters
    ----------
    config
        Settings of the run.
    shape
        Sizes of the policy.
    state
        Where to begin.
    """

    def __init__(self, config: TrainConfig, shape: PolicyShape, state: LearnerState) -> None:
        torch.set_num_threads(config.learner_threads)
        self.config = config
        self._device = torch.device(config.device)
        self._updates, self._steps, self.dropped = state.updates, state.steps, state.dropped
        # The named arrays and their gradients are views of two flat vectors: Adam, clipping, publishing and saving
        # each work on one vector.
        flat = torch.from_numpy(state.parameters.copy()).to(self._device)
        self._flat = torch.nn.Parameter(flat)
        self._flat.grad = torch.zeros_like(flat)
        self._named = {name: view.requires_grad_() for name, view in shape.unflatten(flat).items()}
        for name, gradient in shape.unflatten(self._flat.grad).items():
            self._named[name].grad = gradient
        self._adam = torch.optim.Adam([self._flat], lr=config.learning_rate)
        self._adam.state[self._flat] = {
            "step": torch.tensor(float(state.updates)),
            "exp_avg": torch.from_numpy(state.exp_avg.copy()).to(self._device),
            "exp_avg_sq": torch.from_numpy(state.exp_avg_sq.copy()).to(self._device),
        }

    @property
    def version(self) -> int:
        """Version of the policy: the number of updates that made it."""
        return self._updates

    @property
    def steps(self) -> int:
        """Environment steps learnt from, over all processes of the run."""
        return self._steps

    def state(self) -> LearnerState:
        """Return a copy of all that is needed to go on."""
        adam = self._adam.state[self._flat]
        parameters, exp_avg, exp_avg_sq = (
            tensor.detach().cpu().numpy().copy() for tensor in (self._flat, adam["exp_avg"], adam["exp_avg_sq"])
        )
        return LearnerState(parameters, exp_avg, exp_avg_sq, self._updates, self._steps, self.dropped)

    def update(self, rollouts: Sequence[Rollout]) -> Update:
        """Take one step down the gradient of the loss of these rollouts."""
        config = self.config
        lags = [self.version - rollout.version for rollout in rollouts]
        end = config.timesteps
        rate = linear(self._steps, total=end, start=config.learning_rate, end=config.learning_rate_end)
        entropy_cost = geometric(self._steps, total=end, start=config.entropy_cost, end=config.entropy_cost_end)
        self._adam.param_groups[0]["lr"] = rate
        self._adam.zero_grad(set_to_none=False)
        parts = losses(self._named, Batch.of(rollouts, self._device), config)
        total = parts.policy + config.baseline_cost * parts.baseline - entropy_cost * parts.entropy
        total.backward()  # type: ignore[no-untyped-call]
        grad_norm = torch.nn.utils.clip_grad_norm_([self._flat], config.max_grad_norm)
        self._adam.step()
        self._updates += 1
        self._steps += sum(rollout.transitions for rollout in rollouts)

        figures = {
            "policy_loss": parts.policy,
            "baseline_loss": parts.baseline,
            "entropy": parts.entropy,
            "rho_mean": parts.ratios.mean(),
            "rho_max": parts.ratios.max(),
            "rho_clipped": (parts.ratios > config.rho_clip * (1 + RATIO_ROUNDING)).float().mean(),
            "grad_norm": grad_norm,
            "explained_variance": _explained_variance(parts.values, parts.targets),
        }
        numbers = torch.stack([figure.detach() for figure in figures.values()]).tolist()
        metrics = dict(zip(figures, numbers, strict=True))
        metrics |= {"learning_rate": rate, "entropy_cost": entropy_cost}
        return Update(self.state(), metrics, lags, [rollout.episodes.copy() for rollout in rollouts])


def _explained_variance(values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Share of the variance of the targets that the values explain; 0 where the targets do not vary."""
    variance = targets.var(correction=0)
    share = 1.0 - (targets - values).var(correction=0) / variance
    return torch.where(variance > 0, share, torch.zeros_like(share))


class LearnerThread(threading.Thread):
    """Runs a learner beside the loop that collects, so that neither waits for the other.

    It takes rollouts until the run has its steps or `stop` is called, drops those that are too old, and hands each
    `Update` over by `updates`. Used as a context manager it is stopped and joined at the end.
    """

    def __init__(self, learner: Learner) -> None:
        super().__init__(name="learner", daemon=True)
        self._learner = learner
        self._inbox: queue.SimpleQueue[Rollout | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._error: BaseException | None = None

    @property
    def waiting(self) -> int:
        """Rollouts that were put in and not yet taken."""
        return self._inbox.qsize()

    def put(self, rollout: Rollout) -> None:
        """Hand over a rollout."""
        self._inbox.put(rollout)

    def updates(self) -> list[Update]:
        """Return the updates made since the last call; an error of the thread is raised here."""
        found = []
        while not self._outbox.empty():
            found.append(self._outbox.get())
        if self._error is not None:
            raise self._error
        return found

    def stop(self) -> None:
        """Finish the update at hand and end; what has not been used by then is never used."""
        self._stopping.set()
        self._inbox.put(None)
        self.join()

    def run(self) -> None:
        """Learn until stopped."""
        try:
            self._learn()
        except BaseException as error:  # noqa: BLE001 - handed to the loop, which raises it
            self._error = error

    def _learn(self) -> None:
        config, batch = self._learner.config, []
        while not self._stopping.is_set() and self._learner.steps < config.timesteps:
            rollout = self._inbox.get()
            if rollout is None:
                return
            batch.append(rollout)
            if len(batch) < config.rollouts_per_batch:
                continue
            # The lag counts when the data is used, not when it comes.
            fresh = [r for r in batch if self._learner.version - r.version <= config.max_lag]
            self._learner.dropped += sum(r.transitions for r in batch) - sum(r.transitions for r in fresh)
            batch = fresh
            if len(batch) == config.rollouts_per_batch:
                self._outbox.put(self._learner.update(batch))
                batch = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
