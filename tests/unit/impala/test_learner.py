import gc
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner import Learner, LearnerState
from redox_balancer.impala.learner_thread import LearnerThread
from redox_balancer.impala.loss import Batch, losses
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector
from redox_balancer.impala.schedules import geometric, linear
from toy_envs import BEST_RETURN, Counters, Shelves

CPU = torch.device("cpu")
CONFIG = TrainConfig(timesteps=10_000, envs_per_actor=4, rollout_length=8, batch_size=64, hidden_sizes=(16,))


def collected(count: int, factory: EnvFactory | None = None) -> tuple[PolicyShape, list[Rollout]]:
    shape, rollouts = None, []
    for actor in range(count):
        source = RolloutCollector(factory or Shelves(), count=4, length=8, hidden_sizes=(16,), seed=3, actor=actor)
        shape = source.shape
        source.set_weights(LearnerState.fresh(shape, 3).parameters, 0)
        rollouts.append(source.collect())
    assert shape is not None
    return shape, rollouts


def parameters(shape: PolicyShape, seed: int = 3) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    flat = torch.from_numpy(LearnerState.fresh(shape, seed).parameters).requires_grad_()
    return flat, shape.unflatten(flat)


def test_every_part_of_the_policy_has_a_gradient_without_an_entropy_bonus() -> None:
    shape, rollouts = collected(2)
    flat, named = parameters(shape)
    parts = losses(named, Batch.of(rollouts, CPU), CONFIG)
    (gradient,) = torch.autograd.grad(parts.policy, flat, retain_graph=True)
    for name, part in shape.unflatten(gradient).items():
        if not name.startswith("value"):
            assert (part != 0).any(), name
    assert not shape.unflatten(gradient)["value/weight"].any()
    (gradient,) = torch.autograd.grad(parts.baseline, flat)
    for name, part in shape.unflatten(gradient).items():
        if not name.startswith("policy"):
            assert (part != 0).any(), name
    assert not shape.unflatten(gradient)["policy/weight"].any()


def test_on_the_policy_that_acted_all_ratios_are_one() -> None:
    shape, rollouts = collected(2)
    _, named = parameters(shape)
    ratios = losses(named, Batch.of(rollouts, CPU), CONFIG).ratios
    torch.testing.assert_close(ratios, torch.ones_like(ratios), atol=1e-5, rtol=0)


def test_the_mask_in_force_is_applied_again() -> None:
    shape, rollouts = collected(1)
    _, named = parameters(shape)
    unmasked = [replace(r, masks=np.ones_like(r.masks)) for r in rollouts]
    ratios = losses(named, Batch.of(unmasked, CPU), CONFIG).ratios
    assert (ratios < 0.99).any()


@pytest.mark.parametrize("plan", [(3, "terminated"), (3, "truncated"), (100, "terminated")])
def test_a_batch_has_the_loss_of_its_rollouts_apart(plan: tuple[int, str]) -> None:
    """Rollouts side by side do not mix, also where some have final observations of truncated episodes."""
    shape, rollouts = collected(3, Counters(((plan,), ((5, "truncated"), (2, "terminated")))))
    _, named = parameters(shape)
    together = losses(named, Batch.of(rollouts, CPU), CONFIG)
    alone = [losses(named, Batch.of([rollout], CPU), CONFIG) for rollout in rollouts]
    torch.testing.assert_close(together.targets, torch.cat([part.targets for part in alone], dim=1))
    torch.testing.assert_close(together.policy, torch.stack([part.policy for part in alone]).mean())
    torch.testing.assert_close(together.baseline, torch.stack([part.baseline for part in alone]).mean())


def test_a_truncated_episode_is_bootstrapped_from_its_final_observation_and_a_terminated_one_is_not() -> None:
    def targets(kind: str, final: float) -> torch.Tensor:
        shape, (rollout,) = collected(1, Counters((((8, kind),),)))
        _, named = parameters(shape)
        changed = replace(rollout, final_observations=np.full_like(rollout.final_observations, final))
        return losses(named, Batch.of([changed], CPU), CONFIG).targets

    assert not torch.equal(targets("truncated", 0.0), targets("truncated", 1.0))
    assert torch.equal(targets("terminated", 0.0), targets("terminated", 1.0))


def test_a_learner_continues_from_its_state_bit_for_bit() -> None:
    shape, rollouts = collected(2)
    straight = Learner(CONFIG, shape, LearnerState.fresh(shape, 0))
    for _ in range(3):
        straight.update(rollouts)
    broken = Learner(CONFIG, shape, LearnerState.fresh(shape, 0))
    broken.update(rollouts)
    resumed = Learner(CONFIG, shape, broken.state())
    for _ in range(2):
        resumed.update(rollouts)
    for ours, theirs in zip(straight.state(), resumed.state(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_state_is_a_copy_that_later_updates_leave_alone() -> None:
    shape, rollouts = collected(2)
    learner = Learner(CONFIG, shape, LearnerState.fresh(shape, 0))
    state = learner.state()
    before = state.parameters.copy()
    learner.update(rollouts)
    np.testing.assert_array_equal(state.parameters, before)
    assert (learner.state().parameters != before).any()


def test_an_update_holds_on_to_nothing_of_its_rollouts() -> None:
    shape, (rollout,) = collected(1)
    # As Ray gives them: arrays that keep a piece of its store alive.
    stored = {name: np.asarray(array)[:] for name, array in vars(rollout).items() if isinstance(array, np.ndarray)}
    episodes = rollout.episodes._replace(returns=rollout.episodes.returns[:], lengths=rollout.episodes.lengths[:])
    rollout = replace(rollout, **stored, episodes=episodes)
    pieces = [weakref.ref(array.base) for array in (*stored.values(), episodes.returns, episodes.lengths)]
    update = Learner(CONFIG, shape, LearnerState.fresh(shape, 0)).update([rollout])
    del rollout, stored, episodes
    gc.collect()
    assert update.episodes[0].returns.size > 0
    assert all(piece() is None for piece in pieces)


def test_the_norm_of_a_step_is_clipped_and_the_schedules_follow_the_environment_steps() -> None:
    shape, rollouts = collected(2)
    learner = Learner(CONFIG.changed(max_grad_norm=1e-12), shape, LearnerState.fresh(shape, 0))
    before = learner.state()
    update = learner.update(rollouts)
    # Adam divides by the gradient's own size, but its epsilon (1e-8) drowns one of 1e-12.
    assert np.abs(update.state.parameters - before.parameters).max() < 1e-6
    assert update.metrics["grad_norm"] > 1e-3
    assert update.state.steps == 64
    second = learner.update(rollouts)
    at = {"start": CONFIG.learning_rate, "end": CONFIG.learning_rate_end}
    assert second.metrics["learning_rate"] == linear(64, total=CONFIG.timesteps, **at)


@pytest.mark.parametrize(("step", "value"), [(0, 3.0), (50, 2.0), (100, 1.0), (1000, 1.0)])
def test_a_schedule_is_a_line_that_stays_at_its_end(step: int, value: float) -> None:
    assert linear(step, total=100, start=3.0, end=1.0) == pytest.approx(value)


def train(rollout_of: Any, updates: int) -> float:
    """Return the mean return of the last ten of some updates on `Shelf`."""
    config = TrainConfig(timesteps=updates * 256, batch_size=256, hidden_sizes=(32,), learning_rate=5e-3)
    source = RolloutCollector(Shelves(), count=16, length=16, hidden_sizes=(32,), seed=0)
    learner = Learner(config, source.shape, LearnerState.fresh(source.shape, 0))
    returns: list[float] = []
    for _ in range(updates):
        source.set_weights(learner.state().parameters, learner.version)
        rollout = source.collect()
        returns.append(float(rollout.episodes.returns.mean()))
        learner.update([rollout_of(rollout)])
    return float(np.mean(returns[-10:]))


def test_it_learns_a_small_problem_and_not_from_rewards_that_are_shifted_by_a_step() -> None:
    assert train(lambda rollout: rollout, 150) >= 0.95 * BEST_RETURN
    assert train(lambda r: replace(r, rewards=np.roll(r.rewards, 1, axis=0)), 150) < 0.9 * BEST_RETURN


def test_the_thread_learns_from_each_rollout_once_and_drops_and_counts_the_old_ones() -> None:
    shape, (rollout, *_) = collected(1)
    config = CONFIG.changed(num_actors=0, batch_size=32, timesteps=5 * 32, max_lag=1)
    learner = Learner(config, shape, LearnerState.fresh(shape, 0))
    with LearnerThread(learner) as thread:
        for version in (0, 0, 0, 2, 2, 3, 4):
            thread.put(replace(rollout, version=version))
        thread.join()
    updates = thread.updates()
    # The third rollout is two versions old when its turn comes.
    assert [list(update.lags) for update in updates] == [[0], [1], [0], [1], [1]]
    assert updates[-1].state.dropped == 32
    assert updates[-1].state.steps == config.timesteps


def test_the_thread_publishes_each_version_and_tells_when_it_lacks_rollouts() -> None:
    shape, (rollout, *_) = collected(1)
    config = CONFIG.changed(num_actors=0, batch_size=32, timesteps=3 * 32)
    published, told = list[int](), list[int]()
    thread = LearnerThread(
        Learner(config, shape, LearnerState.fresh(shape, 0)),
        publish=lambda parameters, version: published.append(version * parameters.any()),
        tell=lambda: told.append(thread.missing),
    )
    for version in range(3):
        assert thread.missing == 1 - version
        thread.put(replace(rollout, version=version))
    thread.start()
    thread.join()
    assert [update.state.updates for update in thread.updates()] == published == [1, 2, 3]
    assert told == [1, 1, 1]  # when it took the last one, after its update, and at the end


def test_an_error_in_the_thread_is_raised_where_its_updates_are_read() -> None:
    shape, (rollout, *_) = collected(1)
    with LearnerThread(Learner(CONFIG.changed(batch_size=1), shape, LearnerState.fresh(shape, 0))) as thread:
        thread.put(replace(rollout, rewards=rollout.rewards[:3]))
        thread.join()
        with pytest.raises(RuntimeError, match="size"):
            thread.updates()


@pytest.mark.parametrize(("step", "value"), [(0, 0.1), (50, 0.01), (100, 0.001), (1000, 0.001)])
def test_a_geometric_schedule_falls_by_equal_factors(step: int, value: float) -> None:
    assert geometric(step, total=100, start=0.1, end=0.001) == pytest.approx(value)


def test_a_geometric_schedule_may_be_nothing_throughout() -> None:
    assert geometric(50, total=100, start=0.0, end=0.0) == 0.0


def test_a_skipped_wait_uses_what_is_there_and_nothing_changes_where_nothing_is() -> None:
    shape, rollouts = collected(1)
    learner = Learner(CONFIG, shape, LearnerState.fresh(shape, 3))
    thread = LearnerThread(learner)
    thread.take(None)
    assert (learner.taken, learner.version, thread.updates()) == (0, 0, [])
    thread.take(rollouts[0])
    assert thread.updates() == []
    thread.take(None)
    (update,) = thread.updates()
    assert (update.state.updates, update.state.steps) == (1, 32)
