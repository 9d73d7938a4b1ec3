"""Designs in cell lines: values and rescue relative to the line alone, oracle, exported model and observations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from redox_balancer.cell.cell_lines import load_cell_lines
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.models import load_model
from redox_balancer.cli import app
from redox_balancer.design.env import RedoxEnv
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.fingerprint import space_fingerprint
from redox_balancer.design.held_out import held_out
from redox_balancer.design.observation import layout
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.model import designed_cell, largest_growth
from redox_balancer.designer.proposal import find_condition
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import constructs
from redox_balancer.search.oracle import oracle
from redox_balancer.search.problem import Problem, Search
from second_solver import SecondSolver, random_construct

CHOSEN = "healthy,complex_iii_closed,hypoxia_ldha_deficiency,mdh1_deficiency"


@pytest.fixture(scope="module")
def space() -> DesignSpace:
    return Task(cells="HT29,786-O", conditions=CHOSEN, sampling="mixed").space()


def test_growth_in_a_line_is_compared_with_the_line_alone(space: DesignSpace) -> None:
    generator, second = np.random.default_rng(1), SecondSolver(space)
    with Evaluator(space, exact_check=True) as evaluator:
        alone = {one.id: evaluator.reference(one).growth for one in space.references}
        assert evaluator.healthy_growth > 2 * alone["HT29"] > 2.4 * alone["786-O"] > 0
        for asked in space.conditions:
            found = evaluator.reference(asked)
            assert found.healthy_growth == alone[asked.reference]
            assert found.floor == max(0.95 * found.growth, 0.05 * alone[asked.reference])
            assert found.lowered is (asked.id not in alone)
        for _ in range(150):
            asked = space.conditions[generator.integers(len(space.conditions))].sampled(generator)
            construct = random_construct(space, generator)
            outcome, found = evaluator.evaluate(construct, asked), evaluator.reference(asked)
            growth, capacity = second.outcome(construct, asked)
            assert outcome.growth == pytest.approx(growth, abs=1e-7)
            assert outcome.capacity == pytest.approx(capacity, abs=1e-6)
            if found.lowered:
                won = outcome.growth - found.growth
                assert outcome.rescue == pytest.approx(won / alone[asked.reference], abs=1e-12)


@pytest.mark.parametrize("reward", ["capacity", "rescue"])
def test_the_oracle_and_the_exported_model_agree_in_a_line(space: DesignSpace, reward: str) -> None:
    space = replace(space, settings=replace(space.settings, reward=reward))
    asked = find_condition(space, "786-O+complex_iii_closed")
    with Evaluator(space) as evaluator:
        found = oracle(Search(Problem.under(evaluator, asked, 1)))
        expected = max(evaluator.evaluate(one, asked).value for one in constructs(space, 1))
        assert found.value == pytest.approx(expected, abs=1e-7)
        outcome = evaluator.evaluate(found.construct, asked)
    assert outcome.growth > 0.009
    cell = designed_cell(load_model(core_json()).model, space, found.construct, asked, floor=0.0)
    assert largest_growth(cell) == pytest.approx(outcome.growth, abs=1e-7)


@pytest.mark.parametrize("name", ["hypoxia", "healthy", "fever"])
def test_among_several_lines_a_condition_names_its_own(space: DesignSpace, name: str) -> None:
    with pytest.raises(RedoxError, match="in no cell line") as refused:
        find_condition(space, name)
    assert "HT29+hypoxia" in refused.value.hint


def test_a_policy_sees_the_line_and_mixtures_stay_within_it(space: DesignSpace) -> None:
    assert {one.id.split("+")[0] for one in space.mixtures} == {"HT29", "786-O"}
    assert all(one.id.count(one.reference) == 1 for one in space.mixtures)
    withheld = held_out(space.conditions, mixed=space.mixtures)
    assert {one.reference for one in withheld} == {"HT29", "786-O"}
    with Evaluator(space) as evaluator:
        env = RedoxEnv(evaluator, placements=2)
        growth = layout(space, 2).index("growth without construct")
        seen = [env.reset(options={"condition": one.id})[0] for one in space.conditions]
    assert len({tuple(one.tolist()) for one in seen}) == len(space.conditions)
    assert all(np.isfinite(one).all() for one in seen)
    assert {float(one[growth]) for one, of in zip(seen, space.conditions, strict=True) if of.id == of.reference} == {
        1.0
    }


def test_a_search_for_a_rescue_shows_no_capacity_since_it_counts_none() -> None:
    asked = ["search", "greedy", "--placements", "1", "--conditions", "complex_iii_closed", "--reward"]
    for reward, capacity in (("rescue", "-"), ("capacity", "1.0037")):
        answer = CliRunner().invoke(app, [*asked, reward])
        row = next(line for line in answer.stdout.splitlines() if line.startswith("complex_iii_closed"))
        assert row.split()[3] == capacity


def test_a_single_line_need_not_be_named() -> None:
    space = Task(cells="HT29", conditions=CHOSEN).space()
    for name, own in (("healthy", "HT29"), ("mdh1_deficiency", "HT29+mdh1_deficiency"), ("HT29", "HT29")):
        assert find_condition(space, name).id == own
    assert find_condition(space, "mdh1_deficiency+complex_iii_closed").id == "HT29+mdh1_deficiency+complex_iii_closed"
    with pytest.raises(RedoxError, match="unknown condition 'HT29\\+anoxia'"):
        find_condition(space, "anoxia")


def test_a_line_that_cannot_live_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lines.csv"
    file.write_text("exchange,starved\nEX_glc__D_e,-0.01\nEX_gln__L_e,-0.001\n")
    with pytest.raises(RedoxError, match="cell line starved does not grow in model human_redox_core"):
        Task(cells="starved", cells_file=file).environments()


def test_forced_rates_are_the_cell_and_what_was_not_measured_varies(tmp_path: Path) -> None:
    def space(glucose: float, *, exact: bool = True) -> DesignSpace:
        file = tmp_path / "lines.csv"
        file.write_text(f"exchange,A\nEX_glc__D_e,{glucose}\nEX_lac__L_e,0.9\nEX_o2_e,\n")
        load_cell_lines.cache_clear()
        return Task(cells="A", cells_file=file, exact_rates=exact, conditions="healthy,mdh1_deficiency").space()

    forced, limited = space(-0.6), space(-0.6, exact=False)
    assert forced.network.bounds_of("EX_lac__L_e") == pytest.approx((0.81, 0.99))
    assert [(c.reaction, c.assumed) for c in forced.references[0].changes] == [("EX_o2_e", True)]
    with Evaluator(forced) as inside, Evaluator(limited) as capped:
        alone, at_most = inside.reference(forced.references[0]), capped.reference(limited.references[0])
        assert alone.growth == inside.healthy_growth < at_most.growth
        assert inside.reference(forced.conditions[1]).healthy_growth == alone.growth
    prints = [space_fingerprint(one) for one in (limited, space(-0.6, exact=False), space(-0.59, exact=False))]
    assert prints[0] == prints[1] != prints[2]
    assert "cell_lines" not in space_fingerprint(Task().space())
