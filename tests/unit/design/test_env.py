import math
import pickle

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from redox_balancer.cell.lp import FluxLP
from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.observation import FREQUENCIES, layout
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError


@pytest.fixture
def env(space: DesignSpace) -> RedoxEnv:
    (made,) = RedoxEnvs(space)(1)
    return made


@pytest.mark.filterwarnings("ignore:.*")
def test_gymnasium_accepts_the_environment(env: RedoxEnv) -> None:
    check_env(env)


def play(env: RedoxEnv, generator: np.random.Generator, **options: str) -> float:
    _, info = env.reset(seed=int(generator.integers(1 << 31)), options=options or None)
    total, done = 0.0, False
    while not done:
        action = generator.choice(np.flatnonzero(info["action_mask"]))
        _, reward, done, truncated, info = env.step(action)
        assert not truncated
        total += reward
    return total


def test_the_return_of_an_episode_is_the_value_of_its_construct(env: RedoxEnv) -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        total = play(env, generator)
        assert total == pytest.approx(env.evaluator.evaluate(env.construct, env.condition).value, abs=1e-9)


def test_the_mask_is_the_protein_budgets(env: RedoxEnv, space: DesignSpace) -> None:
    generator = np.random.default_rng(1)
    levels = len(space.levels)
    for _ in range(50):
        _, info = env.reset(seed=int(generator.integers(1 << 31)))
        for _ in range(2):
            for action, legal in enumerate(info["action_mask"][:-1]):
                assert legal == space.affordable(env.construct.place(*divmod(action, levels)))
            _, _, done, _, info = env.step(generator.choice(np.flatnonzero(info["action_mask"])))
            assert space.affordable(env.construct)
            if done:
                break


def test_soluble_and_membrane_proteins_draw_on_budgets_of_their_own(space: DesignSpace) -> None:
    (env,) = RedoxEnvs(space, placements=4)(1)
    names, levels = [placement.id for placement in space.placements], space.levels

    def action(name: str, level: float) -> int:
        return names.index(name) * len(levels) + levels.index(level)

    observed, info = env.reset(seed=0)
    left = {name: layout(space, 2).index(name) for name in ("budget left", "membrane budget left")}
    assert info["action_mask"][action("LBNOX_c", 1e-3)]
    assert not info["action_mask"][action("AOX_m", 1e-3)]
    observed, _, _, _, info = env.step(action("LBNOX_c", 1e-3))
    assert observed[left["budget left"]] == pytest.approx(1 / 3, abs=1e-6)
    assert observed[left["membrane budget left"]] == 1.0
    assert info["action_mask"][action("AOX_m", 3e-4)]
    assert not info["action_mask"][action("LBNOX_m", 1e-3)]
    observed, _, _, _, info = env.step(action("AOX_m", 3e-4))
    assert observed[left["budget left"]] == pytest.approx(1 / 3, abs=1e-6)
    assert observed[left["membrane budget left"]] == pytest.approx(0.4, abs=1e-6)
    assert not info["action_mask"][action("NDI1_m", 3e-4)]
    assert info["action_mask"][action("NDI1_m", 1e-4)]
    assert space.spent(env.construct) == pytest.approx((1e-3, 3e-4))


def test_placing_an_enzyme_again_replaces_its_level(env: RedoxEnv) -> None:
    env.reset(seed=0)
    env.step(0)
    env.step(3)
    assert len(env.construct) == 1
    assert dict(env.construct)[0] == 3


def test_an_unaffordable_action_changes_nothing_and_uses_up_a_placement(env: RedoxEnv) -> None:
    _, info = env.reset(seed=0)
    forbidden = int(np.flatnonzero(~info["action_mask"])[0])
    _, reward, done, _, _ = env.step(forbidden)
    assert (reward, done, len(env.construct)) == (0.0, False, 0)
    assert env.step(forbidden)[2]


def test_the_observation_distinguishes_conditions_by_their_limits(env: RedoxEnv, space: DesignSpace) -> None:
    names = layout(space, 2)
    healthy, _ = env.reset(options={"condition": "healthy"})
    hypoxic, _ = env.reset(options={"condition": "hypoxia"})
    changed = {names[i] for i in np.flatnonzero(healthy[: len(names)] != hypoxic[: len(names)])}
    assert "limit:EX_o2_e:uptake" in changed
    assert "growth without construct" in changed


def test_sampled_conditions_stay_within_their_ranges(space: DesignSpace) -> None:
    (env,) = RedoxEnvs(space, sampling="range")(1)
    drawn = set()
    for seed in range(100):
        env.reset(seed=seed, options={"condition": "complex_iii_closed"})
        for change, limit in zip(space.changes, space.limits(env.condition).tolist(), strict=True):
            lowered = [c for c in env.condition.changes if c.key == change.key]
            if lowered:
                assert lowered[0].low <= limit <= lowered[0].high
            else:
                assert limit == np.inf
        drawn.add(env.condition)
    assert len(drawn) == 100


def test_mixed_sampling_shows_single_conditions_and_mixtures() -> None:
    space = Task(sampling="mixed").space()
    (env,) = RedoxEnvs(space, sampling="mixed")(1)
    seen = [env.reset(seed=seed)[1]["condition"] for seed in range(200)]
    mixed = {mixture.id for mixture in space.mixtures}
    assert 60 < sum(name in mixed for name in seen) < 140
    assert set(seen) - mixed <= {condition.id for condition in space.conditions}
    assert len({env.condition for _ in range(20) if env.reset()}) == 20


def test_a_hidden_condition_shows_after_a_placement_only(space: DesignSpace) -> None:
    (env,) = RedoxEnvs(space, placements=3, hidden_condition=True)(1)
    names = layout(space, 3, hidden_condition=True)
    assert env.observation_space.shape == (len(names) + math.prod(env.metadata["candidates"][:2]),)
    assert not any(name.startswith("limit:") or "without" in name for name in names)
    first = [env.reset(options={"condition": condition.id})[0] for condition in space.conditions]
    assert all((observed == first[0]).all() for observed in first)
    answers = {}
    for condition in ("healthy", "hypoxia"):
        env.reset(options={"condition": condition})
        observed = env.step(0)[0]
        growth = observed[names.index("growth after 1")]
        assert growth == pytest.approx(env.outcome.growth / env.evaluator.healthy_growth, rel=1e-6)
        assert observed[names.index("growth after 2")] == 0.0
        later = env.step(1)[0]
        assert later[names.index("growth after 1")] == growth
        for frequency in FREQUENCIES:
            assert later[names.index(f"growth as {frequency} sin after 1")] == pytest.approx(
                np.sin(np.pi * frequency * growth), abs=1e-6
            )
            capacity = later[names.index("capacity after 2")]
            assert later[names.index(f"capacity as {frequency} cos after 2")] == pytest.approx(
                np.cos(np.pi * frequency * capacity), abs=1e-6
            )
        assert later[names.index("growth after 2")] > 0.0
        answers[condition] = growth
    assert answers["hypoxia"] < 0.9 * answers["healthy"]


def test_each_episode_is_rewarded_by_one_parameter_sample_that_is_not_observed() -> None:
    space = Task(parameter_samples=4).space()
    (env,) = RedoxEnvs(space)(1)
    position = [placement.id for placement in space.placements].index("LBNOX_c")
    action = position * len(space.levels) + space.levels.index(1e-3)
    rewards, observations = set(), set()
    for seed in range(40):
        env.reset(seed=seed, options={"condition": "healthy"})
        observed, reward, *_ = env.step(action)
        rewards.add(round(reward, 9))
        observations.add(observed.tobytes())
    by_sample = [env.evaluator.outcome(env.construct, env.condition, sample).value for sample in range(4)]
    assert rewards == {round(value, 9) for value in by_sample}
    assert len(observations) == 1
    assert env.evaluator.evaluate(env.construct, env.condition).value == pytest.approx(np.mean(by_sample))


def test_environments_of_one_process_share_their_linear_programs(space: DesignSpace) -> None:
    made = pickle.loads(pickle.dumps(RedoxEnvs(space)))(3)  # noqa: S301 - our own bytes
    assert len({id(env.evaluator) for env in made}) == 1


def test_the_last_environment_to_close_frees_the_linear_programs(
    space: DesignSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[FluxLP] = []
    close = FluxLP.close

    def record(lp: FluxLP) -> None:
        freed.append(lp)
        close(lp)

    first, second = RedoxEnvs(space)(2)
    monkeypatch.setattr(FluxLP, "close", record)
    for _ in range(2):
        first.close()
    assert not freed
    second.reset(seed=0)
    with pytest.raises(RedoxError, match="closed"):
        first.reset(seed=0)
    for _ in range(2):
        second.close()
    assert len({id(lp) for lp in freed}) == len(first.evaluator.programs.lps)
    with pytest.raises(RedoxError, match="closed"):
        second.step(0)


def test_an_evaluator_given_to_an_environment_stays_open(space: DesignSpace) -> None:
    with Evaluator(space) as evaluator:
        RedoxEnv(evaluator).close()
        RedoxEnv(evaluator).reset(seed=0)


def test_an_unknown_condition_is_named(env: RedoxEnv) -> None:
    with pytest.raises(RedoxError, match="unknown condition 'fever'"):
        env.reset(options={"condition": "fever"})
