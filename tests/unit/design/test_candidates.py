"""Features of the placements that a policy chooses from: estimated gains against true ones, and names."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from redox_balancer.design.candidates import CandidateFeatures, feature_names, show_gains
from redox_balancer.design.env import RedoxEnv, RedoxEnvs
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.outlook import Outlook
from redox_balancer.design.sampled_cuts import sampled_cuts
from redox_balancer.design.settings import Observed, Reward
from redox_balancer.design.task import Task


def walk(env: RedoxEnv, steps: int) -> Iterator[np.random.Generator]:
    """Random constructs of at least one placement left, in states of the box."""
    generator = np.random.default_rng(4)
    for seed in range(steps):
        _, info = env.reset(seed=seed)
        for _ in range(seed % env.max_placements):
            _, _, done, _, info = env.step(generator.choice(np.flatnonzero(info["action_mask"][:-1])))
            assert not done
        yield generator


def test_the_bounds_of_all_placements_at_once_are_those_of_one_by_one() -> None:
    space = Task(held_ratios="c,m", parameter_samples=2).space()
    formulation, levels = Formulation(space), len(space.levels)
    assert space.ratios is not None
    for condition in [*space.conditions, *map(space.ratios.holding, space.conditions)]:
        cell = formulation.under(condition)
        for sample in (None, 1):
            placed = [[divmod(step, levels)] for step in range(space.actions - 1)] + [[]]
            points = np.array([formulation.with_placed(cell, each, sample) for each in placed])
            bounds = formulation.placed_bounds(cell, formulation.enzyme_capacities[sample])
            assert (formulation.steps(cell, bounds) == points - cell.point).all()


@pytest.mark.parametrize("reward", ["capacity", "rescue"])
def test_an_estimated_gain_is_a_bound_which_the_gain_of_a_small_placement_reaches(reward: Reward) -> None:
    (env,) = RedoxEnvs(Task(sampling="box", reward=reward).space(), placements=3, sampling="box")(1)
    outlook, reached = Outlook(env.evaluator, sampled_cuts(env.evaluator)), 0
    for generator in walk(env, 60):
        gains = outlook.gains([outlook.prospect(env.construct, env.condition, env.outcome)])[0]
        for action in generator.choice(np.flatnonzero(env._mask[:-1]), 12, replace=False).tolist():
            placement, level = divmod(action, len(env.evaluator.space.levels))
            if placement in dict(env.construct):
                continue
            grown = env.evaluator.outcome(env.construct.place(placement, level), env.condition)
            gain = grown.value - env.outcome.value
            assert gains[placement, level] >= gain - 1e-7
            reached += bool(level == 0 and abs(gain) > 1e-6 and abs(gains[placement, level] - gain) < 1e-7)
    assert reached > 10


def test_a_placement_that_leaves_something_lacking_does_not_bring_a_cell_to_life() -> None:
    space = Task(sampling="box").space()
    (env,) = RedoxEnvs(space, placements=3, sampling="box")(1)
    outlook, dead, saved = Outlook(env.evaluator, sampled_cuts(env.evaluator)), 0, 0
    for _ in walk(env, 150):
        if env.outcome.growth > 0:
            continue
        relieved = outlook.gains([outlook.prospect(env.construct, env.condition, env.outcome)])[0]
        assert ((relieved >= 0) & (relieved <= 1)).all()
        for placement, level in np.argwhere(env._mask[:-1].reshape(relieved.shape)).tolist():
            if placement not in dict(env.construct):
                growth = env.evaluator.outcome(env.construct.place(placement, level), env.condition).growth
                assert growth == 0.0 or relieved[placement, level] > 1 - 1e-6
                dead, saved = dead + (growth == 0.0), saved + (growth > 0.0)
    assert min(dead, saved) > 20


@pytest.mark.parametrize("reward", ["capacity", "guaranteed"])
def test_the_best_placement_is_among_the_three_of_the_largest_estimated_gains(reward: Reward) -> None:
    (env,) = RedoxEnvs(Task(sampling="box", reward=reward).space(), placements=3, sampling="box")(1)
    with Evaluator(env.evaluator.space) as evaluator:
        outlook, ranks = Outlook(env.evaluator, sampled_cuts(env.evaluator)), []
        for _ in walk(env, 40):
            env.evaluator.reset()  # an estimate needs the solve of the present construct and the sampled ones alone
            env._evaluate()
            gains = outlook.gains([outlook.prospect(env.construct, env.condition, env.outcome)])[0]
            true = np.full(gains.shape, -np.inf)
            for action in np.flatnonzero(env._mask[:-1]).tolist():
                placement, level = divmod(action, gains.shape[1])
                if placement not in dict(env.construct):
                    grown = evaluator.outcome(env.construct.place(placement, level), env.condition)
                    true[placement, level] = grown.value - env.outcome.value
            if true.max() > 1e-6:
                best = np.unravel_index(true.argmax(), true.shape)[0]
                most = np.where(np.isfinite(true), gains, -np.inf).max(axis=1)
                ranks.append(int((most > most[best] + 1e-12).sum()))
    assert len(ranks) > 25
    assert np.mean(np.asarray(ranks) < 1) > 0.8
    assert np.mean(np.asarray(ranks) < 3) > 0.97


def test_with_uncertain_parameters_a_gain_is_the_mean_over_what_those_of_the_placement_may_be() -> None:
    (env,) = RedoxEnvs(Task(sampling="box", parameter_samples=7).space(), placements=3, sampling="box")(1)
    outlook = Outlook(env.evaluator, sampled_cuts(env.evaluator))
    formulation = env.evaluator.formulation
    sizes = np.sort([formulation.enzyme_capacities[sample] for sample in range(7)], axis=0)
    strata = [sizes[start:end].mean(axis=0) for start, end in ((0, 2), (2, 4), (4, 6), (6, 7))]
    for _ in walk(env, 6):
        prospect = outlook.prospect(env.construct, env.condition, env.outcome)
        cell = env.evaluator.cell(env.condition)[1]
        apart = [prospect._replace(bounds=formulation.placed_bounds(cell, each)[None]) for each in strata]
        gains = [outlook.gains([one])[0] for one in apart]
        assert outlook.gains([prospect])[0] == pytest.approx(np.mean(gains, axis=0))
        assert np.ptp(gains, axis=0).max() > 1e-3


def test_gains_follow_what_was_solved_elsewhere() -> None:
    """Two environments of a process share their cuts; a solve elsewhere may leave a lower one."""
    first, second = RedoxEnvs(Task().space(), placements=3)(2)

    def seen(env: RedoxEnv) -> list[bytes]:
        actions = [2, 60]
        observations = [env.reset(options={"condition": "complex_iii_closed"})[0]]
        return [observation.tobytes() for observation in observations + [env.step(action)[0] for action in actions]]

    seen(first)  # which leaves its cuts
    once = seen(first)
    assert seen(second) == once
    before = len(first.evaluator.programs.growth_lp.cuts)
    first.reset(options={"condition": "hypoxia"})
    assert len(first.evaluator.programs.growth_lp.cuts) > before
    assert seen(second) == seen(first)


@pytest.mark.parametrize("reward", ["capacity", "guaranteed", "rescue"])
@pytest.mark.parametrize("observation", ["candidates", "flat"])
def test_what_is_shown_together_is_what_one_environment_shows_bit_for_bit(
    reward: Reward, observation: Observed
) -> None:
    space = Task(sampling="box", reward=reward).space()
    factory = RedoxEnvs(space, placements=3, sampling="box", observation=observation)
    alone, grouped = factory(4), factory(4)
    show, generator = factory.together(grouped), np.random.default_rng(7)
    pairs = list(zip(alone, grouped, strict=True))
    steps: list[Any] = [(env.reset(seed=seed), other.reset(seed=seed)) for seed, (env, other) in enumerate(pairs)]
    dead, masks = 0, np.zeros((4, space.actions), dtype=np.bool_)
    for _ in range(60):
        expected, observed = (np.stack([both[one][0] for both in steps]) for one in (0, 1))
        show(observed, masks)
        assert (observed == expected).all()
        assert (masks == [both[0][-1]["action_mask"] for both in steps]).all()
        dead += sum(env.outcome.growth == 0.0 for env in alone)
        acted: list[Any] = []
        for env, other in pairs:
            action = generator.choice(np.flatnonzero(masks[len(acted)]))
            taken = env.step(action), other.step(action)
            acted.append((env.reset(), other.reset()) if taken[0][2] else (taken[0], taken[1]))
        steps = acted
    assert dead > 0


def test_a_hidden_condition_shows_no_gains_and_features_have_the_same_names_in_every_library() -> None:
    space = Task().space()
    with Evaluator(space) as evaluator:
        shown, hidden = (CandidateFeatures(evaluator, hidden_condition=one) for one in (False, True))
        construct = RedoxEnv(evaluator).construct
        outcome = evaluator.outcome(construct, space.conditions[3])
        for features in (shown, hidden):
            features.enter(space.conditions[3])
            features.look_ahead(construct, outcome, np.ones(space.actions - 1, dtype=np.bool_), 2)
            show_gains([features], features.values.reshape(1, -1))
    levels = len(space.levels)
    assert shown.values[:, :levels].max() == 1.0
    assert np.abs(shown.values[:, :levels]).max() == 1.0
    assert shown.values[0, -1] > 0.1
    assert (shown.values[:, -1] == shown.values[0, -1]).all()
    assert not hidden.values[:, [*range(levels), -1]].any()
    assert (shown.values[:, levels:-1] == hidden.values[:, levels:-1]).all()
    assert np.isfinite(shown.values).all()
    assert shown.values.shape == (len(space.placements), len(feature_names(space)))
    assert feature_names(Task(candidates="all").space()) == feature_names(space)
    # No two placements look the same.
    assert len(np.unique(shown.values[:, levels:], axis=0)) == len(space.placements)
