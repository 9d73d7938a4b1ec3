import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import Role
from redox_balancer.design.evaluator import CACHE_DROP, Evaluator, remember
from redox_balancer.design.formulation import nadph_weights
from redox_balancer.design.space import DesignSpace, ValueSettings
from redox_balancer.design.task import Task
from second_solver import SecondSolver, random_construct


def build(space: DesignSpace, **levels: float) -> Construct:
    """Construct from placement names and proteome fractions."""
    names = [placement.id for placement in space.placements]
    construct = Construct.empty(len(names))
    for name, level in levels.items():
        construct = construct.place(names.index(name), space.levels.index(level))
    return construct


def test_growth_capacity_and_value_are_those_of_their_definition_by_another_solver(space: DesignSpace) -> None:
    generator, second = np.random.default_rng(7), SecondSolver(space)
    with Evaluator(space, cache_entries=0) as evaluator:
        for condition in space.conditions:
            alone, _ = second.outcome(Construct.empty(len(space.placements)), condition)
            ill = alone < second.healthy * (1 - 1e-6)
            for _ in range(100):
                construct = random_construct(space, generator, levels=5)
                outcome = evaluator.evaluate(construct, condition)
                growth, capacity = second.outcome(construct, condition)
                rescue = (growth - alone) / second.healthy if ill else 0.0
                shortfall = max(0.0, 0.95 - growth / alone) if alone > 0 else 0.0
                assert outcome.growth == pytest.approx(growth, abs=1e-7)
                assert outcome.capacity == pytest.approx(capacity, abs=1e-7)
                assert outcome.value == pytest.approx(capacity / 2.0 + rescue - 10.0 * shortfall, abs=1e-6)


@pytest.fixture(scope="module")
def rescuer(space: DesignSpace) -> Iterator[Evaluator]:
    with Evaluator(replace(space, settings=ValueSettings(reward="rescue")), exact_check=True) as evaluator:
        yield evaluator


def test_the_empty_construct_is_worth_nothing(space: DesignSpace, evaluator: Evaluator, rescuer: Evaluator) -> None:
    for condition in space.conditions:
        for values in (evaluator, rescuer):
            assert values.evaluate(Construct.empty(len(space.placements)), condition).value == 0.0


def test_rescue_pays_growth_won_back_less_protein_by_another_solver(space: DesignSpace, rescuer: Evaluator) -> None:
    generator, second = np.random.default_rng(8), SecondSolver(space)
    for condition in space.conditions:
        alone, _ = second.outcome(Construct.empty(len(space.placements)), condition)
        for _ in range(40):
            construct = random_construct(space, generator)
            growth, _ = second.outcome(construct, condition)
            won = (min(growth, second.healthy) - alone) / second.healthy
            outcome = rescuer.evaluate(construct, condition)
            assert outcome.value == pytest.approx(won - 10.0 * space.protein(construct), abs=1e-6)
            assert outcome.rescue <= 1.0
    assert rescuer.evaluate(build(space, LBNOX_c=1e-3), space.healthy).value < 0.0


@pytest.mark.parametrize(
    ("condition", "best", "useless"),
    [
        ("complex_i_closed", ["NDI1_m", "NDE1_c"], ["AOX_m"]),
        ("complex_iii_closed", ["AOX_m", "LBNOX_c"], ["LBNOX_m", "NDI1_m", "NDE1_c"]),
    ],
)
def test_rescue_ranks_enzymes_as_experiments_do(
    space: DesignSpace, rescuer: Evaluator, condition: str, best: list[str], useless: list[str]
) -> None:
    (closed,) = (known for known in space.conditions if known.id == condition)
    worth = {p.id: rescuer.evaluate(build(space, **{p.id: 3e-4}), closed).value for p in space.placements}
    assert set(sorted(worth, key=worth.__getitem__)[-2:]) == set(best)
    assert all(worth[name] < 0 for name in useless)


def test_value_does_not_depend_on_what_was_solved_before(space: DesignSpace) -> None:
    generator = np.random.default_rng(3)
    cases = []
    for _ in range(60):
        construct = Construct.empty(len(space.placements))
        for placement in generator.choice(len(space.placements), 2, replace=False):
            construct = construct.place(int(placement), int(generator.integers(5)))
        cases.append((construct, space.conditions[int(generator.integers(len(space.conditions)))]))
    with Evaluator(space, cache_entries=0) as evaluator:
        forward = [evaluator.evaluate(*case).value for case in cases]
        backward = [evaluator.evaluate(*case).value for case in reversed(cases)][::-1]
    assert forward == pytest.approx(backward, abs=1e-8)


def test_moving_electrons_between_pools_earns_nothing(space: DesignSpace, evaluator: Evaluator) -> None:
    for name in ("UDHA_c", "UDHA_m"):
        outcome = evaluator.evaluate(build(space, **{name: 1e-3}), space.healthy)
        assert outcome.capacity == pytest.approx(0.0, abs=1e-9)


def test_two_steps_of_one_electron_path_are_counted_once(space: DesignSpace) -> None:
    """NDI1 hands its electrons to AOX: the pair takes what NDI1 takes."""
    weights = nadph_weights(space)
    assert weights["SINK_NDI1_m"] == 1.0
    assert "SINK_AOX_m" not in weights


def test_hydrogen_peroxide_that_is_left_costs_its_price(space: DesignSpace, evaluator: Evaluator) -> None:
    free = Evaluator(Task(h2o2_price=0.0).space())
    oxidase = build(space, H2O2NOX_c=1e-3)
    with_peroxidase = build(space, H2O2NOX_c=1e-3, NPR_c=3e-4)
    assert free.evaluate(oxidase, space.healthy).capacity > 0.1
    assert evaluator.evaluate(oxidase, space.healthy).capacity == pytest.approx(0.0, abs=1e-9)
    assert evaluator.evaluate(with_peroxidase, space.healthy).capacity > 0.1
    free.close()


def test_expression_costs_growth_so_that_a_large_budget_meets_the_penalty() -> None:
    space = Task(budget=0.05).space()
    # What it costs does not hang on what it can carry.
    space = replace(space, levels=(*space.levels, 0.02))
    with Evaluator(space) as evaluator:
        construct = Construct.empty(len(space.placements)).place(0, 5)
        soluble = [position for position, membrane in enumerate(space.in_membrane) if not membrane]
        for placement in soluble[1:9]:
            construct = construct.place(placement, 5)
        assert space.protein(construct) > 0.024
        outcome = evaluator.evaluate(construct, space.healthy)
        assert outcome.growth < 0.95 * evaluator.healthy_growth
        shortfall = 0.95 - outcome.growth / evaluator.healthy_growth
        assert outcome.capacity == 0.0
        assert outcome.value == pytest.approx(-10.0 * shortfall, abs=1e-9)


def test_a_deficient_enzyme_is_rescued_by_expressing_it(space: DesignSpace, evaluator: Evaluator) -> None:
    deficient = next(c for c in space.conditions if c.id == "mdh1_deficiency")
    before = evaluator.reference(deficient).growth
    after = evaluator.evaluate(build(space, MDH1_c=3e-4), deficient)
    assert before < 0.5 * evaluator.healthy_growth
    assert after.growth > 0.9 * evaluator.healthy_growth
    assert after.rescue > 0.5


def test_each_condition_moves_growth_or_the_best_value_by_more_than_five_percent(
    space: DesignSpace, evaluator: Evaluator
) -> None:
    empty = Construct.empty(len(space.placements))

    def best(condition: Condition) -> float:
        singles = itertools.product(range(len(space.placements)), range(len(space.levels) - 1))
        return max(evaluator.evaluate(empty.place(*single), condition).value for single in singles)

    healthy = best(space.healthy)
    for condition in space.conditions:
        if not condition.changes:
            continue
        moved_growth = abs(evaluator.reference(condition).growth / evaluator.healthy_growth - 1.0)
        moved_value = abs(best(condition) / healthy - 1.0)
        assert max(moved_growth, moved_value) > 0.05, condition.id


def test_sink_flux_reward_is_the_sum_of_inserted_fluxes(space: DesignSpace) -> None:
    with Evaluator(Task(reward="sink-flux").space()) as evaluator:
        outcome = evaluator.evaluate(build(space, LBNOX_c=1e-3), space.healthy)
        column = evaluator.formulation.network.column("SINK_LBNOX_c")
        assert outcome.value == pytest.approx(evaluator.programs.flux_lps[0].flux(column))
        assert 0.0 < outcome.value <= space.placements[0].caps[4] + 1e-9


def test_caches_stay_bounded_and_lose_the_oldest_first() -> None:
    cache: dict[int, int] = {}
    for key in range(2 * CACHE_DROP + 1):
        remember(cache, key, key, entries=2 * CACHE_DROP)
    assert len(cache) == CACHE_DROP + 1
    assert min(cache) == CACHE_DROP


def test_the_library_holds_a_producer_as_a_negative_control(space: DesignSpace) -> None:
    producers = [p for p in space.placements if p.enzyme.role is Role.PRODUCER and p.foreign]
    assert producers
    weights = nadph_weights(space)
    assert all(weights[p.reaction] < 0 for p in producers)
