import json
from typing import Any

import gymnasium
import numpy as np
import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Policy
from redox_balancer.impala.rollout import Episodes, RolloutCollector, policy_shape
from toy_envs import Counters, Shelf, Shelves

PLANS = (((3, "terminated"), (2, "truncated")), ((4, "truncated"),))


def collector(factory: Any, **settings: Any) -> RolloutCollector:
    made = RolloutCollector(factory, **{"count": 2, "length": 5, "hidden_sizes": (8,), "seed": 1} | settings)
    made.set_weights(made.shape.initial(np.random.default_rng(0)), 7)
    return made


def test_rows_hold_the_reward_of_their_own_action_and_episodes_go_on_in_the_next_rollout() -> None:
    source = collector(Counters(PLANS))
    first, second = source.collect(), source.collect()
    # The clock of an environment is its number of steps: the reward of step t is t + 1.
    assert first.rewards[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert second.rewards[:, 1].tolist() == [6, 7, 8, 9, 10]
    assert first.terminated[:, 0].tolist() == [False, False, True, False, False]
    assert first.truncated[:, 0].tolist() == [False, False, False, False, True]
    assert first.truncated[:, 1].tolist() == [False, False, False, True, False]
    # (clock, age): after an end the age is 0 again.
    assert first.observations[:, 0].tolist() == [[0, 0], [1, 1], [2, 2], [3, 0], [4, 1], [5, 0]]
    assert first.observations[:, 1].tolist() == [[0, 0], [1, 1], [2, 2], [3, 3], [4, 0], [5, 1]]
    assert second.observations[0].tolist() == first.observations[5].tolist()
    # Truncated episodes at (3, 1) and (4, 0), in the order of numpy.nonzero.
    assert first.final_observations.tolist() == [[4, 4], [5, 2]]
    assert first.episodes.returns.tolist() == [6, 10, 9]
    assert first.episodes.lengths.tolist() == [3, 4, 2]
    # The second episode of environment 1 began with reward 5, in the first rollout.
    assert second.episodes.returns.tolist() == [6 + 7 + 8, 5 + 6 + 7 + 8, 9 + 10]
    assert {name: values.tolist() for name, values in first.episodes.metrics.items()} == {"length": [3, 4, 2]}


def test_each_rollout_records_its_actor_and_policy() -> None:
    source = collector(Shelves(), actor=4, incarnation=2)
    rollouts = [source.collect(), source.collect()]
    assert [(r.version, r.actor, r.incarnation, r.sequence) for r in rollouts] == [(7, 4, 2, 0), (7, 4, 2, 1)]
    assert rollouts[0].transitions == 10


def test_stored_masks_and_log_probabilities_are_those_in_force_when_the_action_was_taken() -> None:
    source = collector(Shelves(), length=40)
    parameters = np.random.default_rng(5).standard_normal(source.shape.size).astype(np.float32)
    source.set_weights(parameters, 8)
    rollout = source.collect()
    assert not rollout.masks.all()
    taken = np.take_along_axis(rollout.masks, rollout.actions[..., None], axis=-1)
    assert taken.all()
    # A prize that was taken shows in the observation and is illegal: mask and observation belong together.
    np.testing.assert_array_equal(rollout.masks[..., :4], rollout.observations[:-1, :, :4] == 0)
    policy = Policy(source.shape, parameters)
    again = policy.distribution(rollout.observations[:-1].reshape(-1, 5), rollout.masks.reshape(-1, 5))
    np.testing.assert_allclose(again.log_prob(rollout.actions.reshape(-1)), rollout.log_probs.reshape(-1), atol=1e-6)


def test_the_same_seed_repeats_and_another_incarnation_does_not() -> None:
    first, same, other = (collector(Shelves(), incarnation=i, length=50).collect() for i in (0, 0, 1))
    np.testing.assert_array_equal(first.actions, same.actions)
    np.testing.assert_array_equal(first.observations, same.observations)
    assert (first.actions != other.actions).any()


def test_a_collector_continues_from_its_saved_state_as_if_it_had_never_stopped() -> None:
    running = collector(Shelves())
    running.collect()
    state = json.loads(json.dumps(running.state()))
    running.restart()
    resumed = collector(Shelves(), seed=99, state=state)
    for _ in range(3):
        ours, theirs = running.collect(), resumed.collect()
        np.testing.assert_array_equal(ours.observations, theirs.observations)
        np.testing.assert_array_equal(ours.actions, theirs.actions)
        assert ours.sequence == theirs.sequence


def test_episodes_of_the_same_actions_have_one_key_and_others_another() -> None:
    """Put together from the actions of the rollouts; a restart drops the unfinished episodes."""
    source = collector(Shelves(), count=3)
    found: dict[int, set[tuple[int, ...]]] = {}
    taken: list[list[int]] = [[], [], []]
    for number in range(60):
        rollout = source.collect()
        ended = []
        for actions, over in zip(rollout.actions.tolist(), rollout.terminated.tolist(), strict=True):
            for b, (action, end) in enumerate(zip(actions, over, strict=True)):
                taken[b].append(action)
                if end:
                    ended.append(tuple(sorted(taken[b])))
                    taken[b] = []
        episodes = rollout.episodes
        assert [len(actions) for actions in ended] == episodes.lengths.tolist()
        for key, actions in zip(episodes.keys.tolist(), ended, strict=True):
            found.setdefault(key, set()).add(actions)
        if number == 30:
            source.restart()
            taken = [[], [], []]
    assert all(len(actions) == 1 for actions in found.values())
    assert len(found) == len(set().union(*found.values())) > 8


class Stuck(Shelf):
    def _view(self) -> Any:
        observation, _ = super()._view()
        return observation, {"action_mask": np.zeros(5, dtype=np.bool_)}


class Stucks(Shelves):
    def __call__(self, count: int) -> Any:
        return [Stuck() for _ in range(count)]


def test_an_environment_without_a_legal_action_is_an_error() -> None:
    with pytest.raises(RedoxError, match="no legal action"):
        collector(Stucks()).collect()


@pytest.mark.parametrize(
    ("observations", "actions"),
    [
        (gymnasium.spaces.Box(0, 1, (2, 2)), gymnasium.spaces.Discrete(3)),
        (gymnasium.spaces.Box(0, 1, (2,)), gymnasium.spaces.Box(0, 1, (2,))),
        (gymnasium.spaces.Box(0, 1, (2,)), gymnasium.spaces.Discrete(3, start=1)),
    ],
)
def test_spaces_the_policy_cannot_take_are_refused(observations: Any, actions: Any) -> None:
    environment = Shelf()
    environment.observation_space, environment.action_space = observations, actions
    with pytest.raises(RedoxError, match="needs"):
        policy_shape(environment, (8,))


def test_joined_episodes_have_nan_where_a_rollout_did_not_report_a_metric() -> None:
    def episodes(*returns: float, **metrics: float) -> Episodes:
        values = np.asarray(returns)
        columns = {name: np.full(len(values), value) for name, value in metrics.items()}
        return Episodes(values, np.ones(len(values), np.int64), np.arange(len(values)), columns)

    found = Episodes.joined([episodes(0.1, 0.2, growth=1.0), episodes(), episodes(0.3, value=2.0)])
    np.testing.assert_array_equal(found.returns, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(found.keys, [0, 1, 0])
    np.testing.assert_array_equal(found.metrics["growth"], [1.0, 1.0, np.nan])
    np.testing.assert_array_equal(found.metrics["value"], [np.nan, np.nan, 2.0])
