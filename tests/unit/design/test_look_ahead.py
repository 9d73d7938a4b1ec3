"""What placements would win together, against a search of all of them."""

import itertools

import numpy as np
import pytest

from redox_balancer.design import candidates
from redox_balancer.design.candidates import promises
from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.outlook import Outlook
from redox_balancer.design.sampled_cuts import sampled_cuts
from redox_balancer.design.settings import Reward
from redox_balancer.design.task import Task


def environment(reward: Reward = "capacity", samples: int = 0) -> RedoxEnv:
    task = Task(sampling="box", reward=reward, parameter_samples=samples)
    (env,) = RedoxEnvs(task.space(), placements=3, sampling="box")(1)
    return env


def legal(env: RedoxEnv) -> candidates.Mask:
    free: candidates.Mask = env._mask[:-1].reshape(-1, len(env.evaluator.space.levels)).copy()
    free[[placement for placement, _ in env.construct]] = False
    return free


@pytest.mark.parametrize("reward", ["capacity", "guaranteed", "rescue"])
def test_the_widest_search_finds_what_each_placement_wins_with_the_best_second_one(
    reward: Reward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "BEAM", 10_000)
    env, together = environment(reward), 0
    outlook = Outlook(env.evaluator, sampled_cuts(env.evaluator))
    for seed in range(2):
        env.reset(seed=seed)
        free, prospect = legal(env), outlook.prospect(env.construct, env.condition, env.outcome)
        if prospect.dead:
            continue
        gains = np.where(free, outlook.gains([prospect], free[None])[0], -np.inf)
        most = gains.copy()
        for one in np.argwhere(free).tolist():
            first, gain = tuple(one), float(gains[tuple(one)])
            grown = outlook.placed(prospect, *first, gain)
            left = free & outlook.affordable(grown)
            left[first[0]] = False
            second = np.where(left, gain + outlook.gains([grown], left[None])[0], -np.inf)
            most[first] = max(most[first], second.max())
            most = np.maximum(most, second)
        found = promises(outlook, [prospect], free[None], [2])[0]
        np.testing.assert_allclose(found, most, atol=1e-12)
        together += int((found > gains + 1e-6).sum())
    assert together > 100


@pytest.mark.parametrize("reward", ["capacity", "guaranteed"])
def test_a_placement_promises_its_gain_at_least_and_no_more_where_it_is_the_last(reward: Reward) -> None:
    env, dead = environment(reward), 0
    outlook = Outlook(env.evaluator, sampled_cuts(env.evaluator))
    for seed in range(60):
        env.reset(seed=seed)
        free, prospect = legal(env), outlook.prospect(env.construct, env.condition, env.outcome)
        gains = np.where(free, outlook.gains([prospect], free[None])[0], -np.inf)
        assert (promises(outlook, [prospect], free[None], [1])[0] == gains).all()
        ahead = promises(outlook, [prospect], free[None], [3])[0]
        assert (ahead >= gains).all()
        assert not (prospect.dead and (ahead > gains).any())
        dead += prospect.dead
    assert dead > 0


def test_what_can_be_afforded_after_a_placement_is_what_the_environment_allows() -> None:
    env = environment()
    outlook = Outlook(env.evaluator, sampled_cuts(env.evaluator))
    levels, generator = len(env.evaluator.space.levels), np.random.default_rng(0)
    for seed in range(30):
        env.reset(seed=seed)
        prospect = outlook.prospect(env.construct, env.condition, env.outcome)
        for _ in range(2):
            action = int(generator.choice(np.flatnonzero(legal(env))))
            prospect = outlook.placed(prospect, *divmod(action, levels), 0.0)
            env.step(action)
            free = np.ones_like(legal(env))
            free[[placement for placement, _ in env.construct]] = False
            assert ((free & outlook.affordable(prospect)) == legal(env)).all()
            real = outlook.prospect(env.construct, env.condition, env.outcome)
            assert prospect.protein == pytest.approx(real.protein)
            assert prospect.takes == real.takes
            np.testing.assert_allclose(prospect.point[:-1], real.point[:-1])


def test_several_constructs_at_once_and_strata_are_those_one_by_one() -> None:
    env = environment(samples=7)
    outlook = Outlook(env.evaluator, sampled_cuts(env.evaluator))
    free, prospects, left = [], [], [3, 1, 2]
    for seed in range(3):
        env.reset(seed=seed)
        free.append(legal(env))
        prospects.append(outlook.prospect(env.construct, env.condition, env.outcome))
    together = promises(outlook, prospects, np.array(free), left)
    for row, (prospect, mask, number) in enumerate(zip(prospects, free, left, strict=True)):
        assert (promises(outlook, [prospect], mask[None], [number])[0] == together[row]).all()
        apart = [prospect._replace(bounds=bounds[None]) for bounds in prospect.bounds]
        each = [promises(outlook, [one], mask[None], [number])[0] for one in apart]
        np.testing.assert_allclose(together[row][mask], np.mean(each, axis=0)[mask])
    assert len(list(itertools.chain(*(prospect.bounds for prospect in prospects)))) == 12
