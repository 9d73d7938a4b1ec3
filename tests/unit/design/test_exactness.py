"""Values from critical regions and caches are those of the plain linear program, on the core and on Recon3D."""

from collections.abc import Iterator

import numpy as np
import pytest

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.models import load_model
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnv
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.observation import layout
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError


def questions(space: DesignSpace, count: int, seed: int) -> Iterator[tuple[Construct, Condition]]:
    """Random constructs of 0 to 4 placements, affordable or not, under conditions drawn from their ranges."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        condition = space.conditions[rng.integers(len(space.conditions))]
        if rng.random() < 0.8:
            condition = condition.sampled(rng)
        construct = Construct.empty(len(space.placements))
        for _ in range(rng.integers(5)):
            construct = construct.place(
                int(rng.integers(len(space.placements))), int(rng.integers(len(space.levels)))
            )
        yield construct, condition


def test_values_are_those_of_the_plain_program_over_thousands_of_constructs(space: DesignSpace) -> None:
    # `exact_check` raises where value, growth, capacity or rescue differ by more than 1e-8.
    with Evaluator(space, exact_check=True) as evaluator:
        for construct, condition in questions(space, 4_000, seed=0):
            evaluator.evaluate(construct, condition)
        assert evaluator.hits > 0.7 * evaluator.lookups
        assert evaluator.disagreements == 0


@pytest.mark.parametrize("unlimited", [999_999.0, np.inf])
def test_values_do_not_depend_on_the_bound_that_stands_for_unlimited(unlimited: float) -> None:
    model = load_model(core_json()).model
    for reaction in model.reactions:
        if reaction.id != "EX_o2_e":
            low, high = reaction.bounds
            reaction.bounds = -unlimited if low <= -1000 else low, unlimited if high >= 1000 else high
    usual, other = Task().space(), Task(model=model).space()
    with Evaluator(usual) as evaluator, Evaluator(other, exact_check=True) as checked:
        for construct, condition in questions(usual, 300, seed=6):
            assert checked.evaluate(construct, condition).value == pytest.approx(
                evaluator.evaluate(construct, condition).value, rel=1e-6, abs=1e-8
            )
        assert checked.hits > 0.5 * checked.lookups
        assert checked.disagreements == 0


def test_the_check_against_the_plain_program_refuses_a_wrong_value(space: DesignSpace) -> None:
    construct, condition = next(questions(space, 1, seed=1))
    with Evaluator(space, cache_entries=0, exact_check=True) as evaluator:
        evaluator.evaluate(construct, condition)
        evaluator.programs.growth_lp._cache._cut_rows[:, -1] += 1e-6
        with pytest.raises(RedoxError, match="by the plain linear program"):
            evaluator.evaluate(construct, condition)


def test_a_closed_evaluator_raises_an_error(space: DesignSpace) -> None:
    """The solver itself would crash."""
    evaluator = Evaluator(space)
    construct, condition = next(questions(space, 1, seed=4))
    evaluator.close()
    evaluator.close()
    assert evaluator.lookups > 0
    for use in (lambda: evaluator.evaluate(construct, condition), evaluator.reset):
        with pytest.raises(RedoxError, match="closed"):
            use()


def test_caches_are_bounded(space: DesignSpace) -> None:
    size = 200_000
    with Evaluator(space, cache_entries=50, region_bytes=size) as evaluator:
        for construct, condition in questions(space, 500, seed=2):
            evaluator.evaluate(construct, condition)
            assert len(evaluator._outcomes) <= 50
            assert evaluator.programs.growth_lp._cache.nbytes <= size
            assert evaluator.programs.flux_lps[0]._cache.nbytes <= size
        assert evaluator.programs.flux_lps[0]._cache.nbytes > size / 2


def test_an_episode_gives_the_same_values_with_and_without_regions(space: DesignSpace) -> None:
    with Evaluator(space) as quick, Evaluator(space, cache_entries=0, region_bytes=0, compressed=False) as plain:
        environments = [RedoxEnv(evaluator, placements=3, sampling="range") for evaluator in (quick, plain)]
        rng = np.random.default_rng(3)
        alike = len(layout(space, 3))  # estimates of gains are by cuts, which are kept with regions alone
        starts = [environment.reset(seed=5) for environment in environments]
        for _ in range(600):
            (seen, info), (seen_plain, info_plain) = starts
            assert seen[:alike] == pytest.approx(seen_plain[:alike], abs=1e-6)
            assert np.array_equal(info["action_mask"], info_plain["action_mask"])
            action = rng.choice(np.flatnonzero(info["action_mask"]))
            steps = [environment.step(action) for environment in environments]
            assert steps[0][1] == pytest.approx(steps[1][1], abs=2e-8)
            assert steps[0][2] == steps[1][2]
            starts = [
                environment.reset() if step[2] else (step[0], step[4])
                for environment, step in zip(environments, steps, strict=True)
            ]
        assert plain.hits == 0
        assert quick.solves < plain.solves / 2
