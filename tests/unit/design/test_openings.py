"""Conditions that open a bound: every program of the value, the observation and the exported model see it."""

import numpy as np
import pytest

from redox_balancer.cell.cell_lines import pick_cell_lines
from redox_balancer.cell.choice import offered_conditions, opened
from redox_balancer.cell.conditions import Change, Condition, Side, combined, load_conditions
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.models import load_model, load_network
from redox_balancer.cell.network import Column
from redox_balancer.design.construct import Construct
from redox_balancer.design.env import RedoxEnv
from redox_balancer.design.enzymes import load_library, load_native_capacities
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import without_effect
from redox_balancer.designer.model import designed_cell, largest_growth
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import constructs
from redox_balancer.search.oracle import oracle
from redox_balancer.search.problem import Problem, Search
from second_solver import SecondSolver, random_construct


def change(reaction: str, side: Side, value: float, high: float, *, opens: bool = True) -> Change:
    return Change(reaction=reaction, side=side, value=value, low=0.0, high=high, source="a test", opens=opens)


def condition(name: str, *changes: Change) -> Condition:
    return Condition(id=name, description=name, changes=changes)


RICH = condition(
    "rich",
    change("EX_pyr_e", Side.UPTAKE, 0.5, 1.0),
    change("EX_glc__D_e", Side.UPTAKE, 1.5, 2.0),
    change("EX_lys__L_e", Side.UPTAKE, 0.08, 0.1),
)
POOR = condition(
    "poor",
    change("EX_glc__D_e", Side.UPTAKE, 0.05, 0.1),
    change("EX_pyr_e", Side.UPTAKE, 0.1, 0.4, opens=False),
    change("EX_lac__L_e", Side.EXPORT, 0.4, 0.6),
)
FED = condition(
    "fed",
    change("EX_pyr_e", Side.UPTAKE, 0.4, 0.6).model_copy(update={"leaves": {"EX_lac__L_e": 1.0}}),
    change("EX_pyr_e", Side.EXPORT, 0.0, 0.0, opens=False),
)
DEFECT = load_conditions()["complex_iii_closed"]
HEALTHY = load_conditions()["healthy"]


@pytest.fixture(scope="module")
def opening() -> DesignSpace:
    network = load_network()
    known = [HEALTHY, RICH, POOR, DEFECT, FED]
    known += [combined(pair) for pair in ([RICH, DEFECT], [RICH, POOR], [FED, DEFECT], [POOR, FED])]
    return DesignSpace.build(network, load_library(), known, capacities=load_native_capacities(network))


def bounds_of(space: DesignSpace, under: Condition) -> dict[tuple[str, Side], float]:
    return dict(zip((one.key for one in space.changes), space.limits(under).tolist(), strict=True))


def test_the_largest_opening_replaces_the_medium_and_the_smallest_limit_holds(opening: DesignSpace) -> None:
    sugar, pyruvate, lactate = ("EX_glc__D_e", "uptake"), ("EX_pyr_e", "uptake"), ("EX_lac__L_e", "export")
    found = {one.id: bounds_of(opening, one) for one in opening.conditions}
    assert [found["healthy"][key] for key in (sugar, pyruvate, lactate)] == [0.64, 0.0, 1000.0]
    assert [found["rich"][key] for key in (sugar, pyruvate, lactate)] == [1.5, 0.5, 1000.0]
    assert [found["poor"][key] for key in (sugar, pyruvate, lactate)] == [0.05, 0.0, 0.4]
    assert [found["rich+complex_iii_closed"][key] for key in (sugar, pyruvate, lactate)] == [1.5, 0.5, 1.0]
    assert [found["rich+poor"][key] for key in (sugar, pyruvate, lactate)] == [1.5, 0.1, 0.4]
    assert bounds_of(opening, combined([POOR, RICH])) == found["rich+poor"]
    assert np.isinf(found["healthy"]["CYOR_u10mi", Side.FLUX])


def test_more_lactate_leaves_for_the_pyruvate_that_is_taken_up_and_for_no_other() -> None:
    """With complex III closed: exactly as much more as pyruvate is taken up, net, whatever its bound."""
    exchanged = {"EX_lac__L_e": 1.0, "EX_pyr_e": 1.0}

    def most(under: Condition, weights: dict[str, float], **bounds: tuple[float, float]) -> float:
        cell = under.apply(load_network().with_bounds({"DM_atp_c_": (0.0, 1000.0)})).with_bounds(bounds)
        with FluxLP(cell, weights) as lp:
            return lp.maximise().objective

    both = combined([FED, DEFECT])
    assert most(DEFECT, {"EX_lac__L_e": 1.0}) == pytest.approx(1.0)
    supply = FED.changes[0].supply
    extra = f"{supply}_for_lac__L_e"
    assert most(both, {extra: 1.0, "EX_lac__L_e": 1.0}) == pytest.approx(1.4)
    assert most(both, {extra: 1.0, "EX_lac__L_e": 1.0}, **{supply: (0.0, 0.1)}) == pytest.approx(1.1)
    assert most(both, {extra: 1.0, supply: -1.0}) == pytest.approx(0.0)
    assert most(both, {supply: 1.0}, **{extra: (0.0, 0.0)}) == pytest.approx(0.4)  # none of it has to leave
    assert most(both, exchanged, EX_glc__D_e=(0.0, 0.0)) < 1.0
    opened_again = opened(load_network(), [FED])
    assert opened_again.bounds_of("EX_pyr_e") == (-1.0, 1000.0)  # 0.6 or more
    assert supply not in opened_again.reaction_index  # a core is extracted without it


def test_a_limit_may_hold_only_where_the_medium_has_none() -> None:
    network = load_network()
    assert ("EX_lac__L_e", Side.EXPORT) in {one.key for one in DEFECT.of(network).changes}
    limited_ = network.with_bounds({"EX_lac__L_e": (0.0, 2.5)})
    assert [one.reaction for one in DEFECT.of(limited_).changes] == ["CYOR_u10mi"]
    ht29 = pick_cell_lines(["HT29"])[0].condition(network)
    measured = combined([ht29, load_conditions()["complex_iii_closed"]]).apply(network)
    assert measured.bounds_of("EX_lac__L_e") == pytest.approx((0.0, 1.1 * 1.392))
    space = DesignSpace.build(limited_, load_library(), [HEALTHY, DEFECT, POOR])
    assert bounds_of(space, DEFECT)["EX_lac__L_e", Side.EXPORT] == 2.5


def test_conditions_that_a_model_does_not_allow_are_named() -> None:
    network = load_network()
    used, lines = offered_conditions(load_conditions().values(), network)
    assert len(used) == 11
    assert lines == []
    two = network.with_columns([Column("EX_o2_other", {"o2_e": 1.0}, 0.0, 1.0)])
    without = two.subset([reaction for reaction in two.reactions if reaction not in ("MDH", "PDHm")])
    used, lines = offered_conditions(load_conditions().values(), without)
    assert len(used) == 7
    assert "condition hypoxia is left out: o2_e is supplied by EX_o2_e, EX_o2_other" in lines[0]
    assert (
        lines[2]
        == "conditions left out, the model lacks reactions of theirs: mdh1_deficiency (MDH), pdh_deficiency (PDHm)"
    )


def test_a_condition_without_effect_is_named_and_no_other() -> None:
    idle = condition("idle", change("EX_trp__L_e", Side.UPTAKE, 0.06, 0.06))
    line = load_conditions()["mdh2_deficiency"]  # of no effect on growth, but on what enzymes are worth
    network = load_network()
    capacities = load_native_capacities(network)
    space = DesignSpace.build(network, load_library(), [HEALTHY, idle, line, DEFECT], capacities=capacities)
    with Evaluator(space) as evaluator:
        assert without_effect(evaluator) == (
            "conditions that change neither growth nor the value of any enzyme alone: idle",
        )


@pytest.mark.parametrize(
    "unknown", [change("EX_gln__L_e", Side.UPTAKE, 1.0, 1.0), change("CYOR_u10mi", Side.UPPER, 1.0, 1.0)]
)
def test_an_opening_that_the_space_was_not_built_with_is_refused(opening: DesignSpace, unknown: Change) -> None:
    with pytest.raises(RedoxError, match=f"'other' opens the {unknown.side} of {unknown.reaction}"):
        opening.limits(condition("other", unknown))


def test_values_agree_with_the_plain_programs_and_with_a_second_solver(opening: DesignSpace) -> None:
    generator, second = np.random.default_rng(0), SecondSolver(opening)
    with Evaluator(opening, exact_check=True) as evaluator:
        grown = {one.id: evaluator.reference(one).growth for one in opening.conditions}
        assert grown["poor"] < grown["healthy"] < grown["rich"]
        for _ in range(600):
            asked = opening.conditions[generator.integers(len(opening.conditions))].sampled(generator)
            construct = random_construct(opening, generator)
            outcome = evaluator.evaluate(construct, asked)
            growth, capacity = second.outcome(construct, asked)
            assert outcome.growth == pytest.approx(growth, abs=1e-7)
            assert outcome.capacity == pytest.approx(capacity, abs=1e-6)
        assert evaluator.disagreements == 0
        assert evaluator.hits > 0.3 * evaluator.lookups


@pytest.mark.parametrize(
    "name", ["rich", "rich+poor", "rich+complex_iii_closed", "fed+complex_iii_closed", "poor+fed"]
)
def test_the_oracle_and_the_exported_model_have_the_opened_bounds(opening: DesignSpace, name: str) -> None:
    asked = next(one for one in opening.conditions if one.id == name)
    with Evaluator(opening) as evaluator:
        found = oracle(Search(Problem.under(evaluator, asked, 1)))
        expected = max(evaluator.evaluate(one, asked).value for one in constructs(opening, 1))
        assert found.value == pytest.approx(expected, abs=1e-7)
        outcome = evaluator.evaluate(found.construct, asked)
    cell = designed_cell(load_model(core_json()).model, opening, found.construct, asked, floor=0.0)
    assert largest_growth(cell) == pytest.approx(outcome.growth, abs=1e-7)


def test_an_observation_shows_what_is_opened(opening: DesignSpace) -> None:
    with Evaluator(opening) as evaluator:
        env = RedoxEnv(evaluator, placements=2)
        position = next(index for index, one in enumerate(opening.changes) if one.reaction == "EX_pyr_e")
        shown = []
        for name in ("healthy", "rich", "rich+poor"):
            observation, _ = env.reset(options={"condition": name})
            shown.append(float(observation[position]))
    assert shown == pytest.approx([0.0, 0.5, 0.1])
    assert Construct.empty(len(opening.placements)) == env.construct
