"""Training with up to 480 actors on a simulated clock: no rollout is lost, no actor starves, the data is new."""

from typing import Any

import numpy as np
import pytest

from simulated_training import SimulatedCells, SimulatedTraining

FAST, SLOW = {"rollout_s": 0.02}, {"rollout_s": 0.7}  # the learner takes 3 ms for a rollout: 7 and 240 actors fill it


def trained(actors: int, seconds: float, **changes: Any) -> SimulatedTraining:
    training = SimulatedTraining(actors, learner_s=3e-3, **changes)
    training.run(seconds)
    return training


@pytest.mark.parametrize(
    ("actors", "speed", "mean", "most"),
    [
        (2, FAST, 3, 5),
        (10, FAST, 6, 10),
        (30, FAST, 11, 15),
        (120, FAST, 13, 17),
        (480, FAST, 13, 17),
        (30, SLOW, 11, 20),
        (120, SLOW, 13, 25),
        (480, SLOW, 13, 25),
    ],
)
def test_the_data_is_new_and_neither_the_learner_nor_the_actors_wait(
    actors: int, speed: dict[str, float], mean: float, most: int
) -> None:
    seconds = max(4.0, 12 * speed["rollout_s"])
    training = trained(actors, seconds, **speed)
    lags, used = training.learner.lags, training.learner.used
    assert np.mean(lags) <= mean
    assert max(lags) <= most
    assert training.learner.dropped == 0
    possible = min(actors / speed["rollout_s"], 1 / 3e-3)
    assert len(lags) / seconds >= 0.85 * possible
    share = len(lags) / actors
    assert all(0.5 * share - 1 <= used[actor] <= 1.5 * share + 1 for actor in range(actors))


@pytest.mark.parametrize("case", [FAST, SLOW | {"deaths": 0.02}, FAST | {"deaths": 1e-3, "max_lag": 3}])
def test_no_rollout_is_lost_or_used_twice(case: dict[str, float]) -> None:
    training = trained(60, 8.0, **case)
    pool, received = training.pool, training.received
    pending = training.config.max_outstanding(60)
    assert len(set(received)) == len(received) == pool.used > 500
    assert pool.refused == 0
    assert 0 <= training.requested - pool.used - pool.discarded <= pending
    assert len(received) == len(training.learner.lags) + training.learner.dropped // 256 + training.thread.unused
    assert bool(pool.restarts) == bool(pool.discarded) == ("deaths" in case)


@pytest.mark.parametrize(("actors", "most"), [(3, 6), (7, 7), (60, 60)])
def test_three_batches_are_outstanding_or_a_rollout_of_each_actor(actors: int, most: int) -> None:
    training = trained(actors, 1.0, **FAST)
    assert training.config.max_outstanding(actors) == training.most_outstanding == most


def test_rollouts_of_an_actor_three_times_slower_than_the_others_are_used() -> None:
    training = trained(120, 30 * 0.7, **SLOW, slow=3.0, spread=0.1)  # with 0.2, one in 20 takes four times as long
    assert training.learner.used[0] >= 8
    assert training.learner.dropped == 0
    assert 25 < max(training.learner.lags) <= training.config.max_lag


@pytest.mark.parametrize("max_lag", [1, 2, 8])
def test_a_smaller_limit_is_kept_by_larger_batches_and_not_by_dropping(max_lag: int) -> None:
    training = trained(30, 4.0, **FAST, max_lag=max_lag)
    assert max(training.learner.lags) <= max_lag
    assert training.learner.dropped <= 0.01 * training.learner.steps


@pytest.mark.parametrize(("speed", "faster"), [(FAST, 8.0), (SLOW, 0.9)])
def test_in_cells_of_ten_actors_the_data_is_newer_and_what_one_learner_cannot_use_is_used(
    speed: dict[str, float], faster: float
) -> None:
    seconds = max(1.5, 12 * speed["rollout_s"])
    alone = trained(120, seconds, **speed)
    training = SimulatedCells(12, 10, learner_s=3e-3, **speed)
    training.run(seconds)
    lags = [lag for cell in training.cells for lag in cell.learner.lags]
    assert np.mean(lags) <= 5
    assert max(lags) <= 8
    assert all(cell.learner.dropped == 0 for cell in training.cells)
    assert len({cell.learner.version for cell in training.cells}) <= 2  # the last update of some may be cut off
    assert len(lags) >= faster * len(alone.learner.lags)
