"""Measurements with an error and a cost, under a hidden condition."""

from dataclasses import replace

import numpy as np
import pytest

from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.measurement import Measurement
from redox_balancer.design.observation import layout
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError

Step = tuple[bytes, float]


@pytest.fixture(scope="module")
def hidden() -> RedoxEnvs:
    return Task(hidden_condition=True, parameter_samples=4, placements=3, sampling="mixed").environments()


def episodes(environments: RedoxEnvs, seed: int, count: int = 3) -> list[Step]:
    """Observations and rewards of random episodes."""
    (env,) = environments(1)
    generator, seen = np.random.default_rng(seed), []
    for episode in range(count):
        observed, info = env.reset(seed=seed if episode == 0 else None)
        done, reward = False, 0.0
        while not done:
            seen.append((observed.tobytes(), reward))
            action = generator.choice(np.flatnonzero(info["action_mask"]))
            observed, reward, done, _, info = env.step(action)
        seen.append((observed.tobytes(), reward))
    env.close()
    return seen


def test_errors_repeat_by_the_seed_and_differ_between_seeds(hidden: RedoxEnvs) -> None:
    noisy = replace(hidden, measurement=Measurement(noise=0.02))
    assert episodes(noisy, 1) == episodes(noisy, 1)
    assert episodes(noisy, 1) != episodes(noisy, 2)
    rewards = [[reward for _, reward in episodes(environments, 1, 1)] for environments in (noisy, hidden)]
    assert rewards[0] == pytest.approx(rewards[1])


def test_without_noise_and_cost_an_episode_is_as_without_the_options(hidden: RedoxEnvs) -> None:
    without = RedoxEnvs(hidden.space, placements=3, sampling="mixed", hidden_condition=True, observation="flat")
    assert episodes(replace(hidden, measurement=Measurement(0.0, 0.0)), 5) == episodes(without, 5)
    assert hidden.fingerprint == without.fingerprint
    assert "measurement" not in hidden.fingerprint
    assert replace(hidden, measurement=Measurement(0.02)).fingerprint != hidden.fingerprint


def begin(environments: RedoxEnvs, sample: int) -> tuple[RedoxEnv, int]:
    (env,) = environments.named(1)
    _, info = env.reset(seed=3, options={"condition": "complex_iii_closed", "sample": sample})
    place = [placement.id for placement in env.evaluator.space.placements].index("LBNOX_c")
    action = place * len(env.evaluator.space.levels) + env.evaluator.space.levels.index(3e-4)
    assert info["action_mask"][action]
    return env, action


def test_measured_is_the_cell_of_the_parameter_sample_with_errors_of_the_given_size(hidden: RedoxEnvs) -> None:
    names = layout(hidden.space, 3, hidden_condition=True, flat=True)
    columns = [names.index("growth after 1"), names.index("capacity after 1")]
    shown, rewards = [], []
    for sample in range(4):
        env, action = begin(replace(hidden, measurement=Measurement(cost=0.01)), sample)
        observed, reward, *_ = env.step(action)
        outcome = env.evaluator.outcome(env.construct, env.condition, sample)
        healthy = env.evaluator.reference(env.condition).healthy_growth
        exact = [outcome.growth / healthy, outcome.capacity / hidden.space.capacity_unit]
        assert observed[columns] == pytest.approx(exact, rel=1e-6)
        assert reward == pytest.approx(outcome.value - 0.01)
        shown.append(exact)
        rewards.append(reward)
    assert len({capacity for _, capacity in shown}) == len(set(rewards)) == 4
    env, action = begin(replace(hidden, measurement=Measurement(noise=0.02)), 2)
    errors = []
    for seed in range(300):
        env.reset(seed=seed, options={"condition": "complex_iii_closed", "sample": 2})
        errors.append(env.step(action)[0][columns] - shown[2])
    assert np.mean(errors, axis=0) == pytest.approx([0.0, 0.0], abs=0.005)
    assert np.std(errors, axis=0) == pytest.approx([0.02, 0.02], rel=0.15)
    assert abs(np.corrcoef(np.transpose(errors))[0, 1]) < 0.2


def test_costs_add_up_in_the_return_and_to_stop_at_once_is_worth_nothing(hidden: RedoxEnvs) -> None:
    env, action = begin(replace(hidden, measurement=Measurement(0.02, 0.03)), 1)
    stop = env.evaluator.space.actions - 1
    total = env.step(action)[1] + env.step(action)[1]  # placed again as it is: measured again
    _, reward, done, _, info = env.step(stop)
    value = env.evaluator.outcome(env.construct, env.condition, 1).value
    assert done
    assert total + reward == pytest.approx(value - 2 * 0.03)
    assert info["metrics"]["paid"] == pytest.approx(2 * 0.03)
    assert info["metrics"]["value"] == value
    env.reset(seed=4)
    _, reward, done, _, info = env.step(stop)
    assert (reward, done, info["metrics"]["value"], info["metrics"]["paid"]) == (0.0, True, 0.0, 0.0)


@pytest.mark.parametrize("given", [{"measurement_noise": 0.02}, {"measurement_cost": 0.002}])
def test_noise_and_cost_need_a_hidden_condition(given: dict[str, float]) -> None:
    with pytest.raises(RedoxError, match="nothing is measured under a condition that is known") as refused:
        Task(**given)
    assert refused.value.settings == (*given, "hidden_condition")
    task = Task(hidden_condition=True, **given)
    assert task.measurement == Measurement(task.measurement_noise, task.measurement_cost)
