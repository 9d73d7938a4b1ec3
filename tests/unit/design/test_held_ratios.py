"""Ratios of NAD+ to NADH that are held: growth at them, episodes that draw them, and what cannot be held."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from redox_balancer.cell.energies import thermodynamics_of
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.ratio_capacity import GrowthAtRatio
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.cli import app
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.formulation import Formulation, growth_kept
from redox_balancer.design.held_ratios import HeldCondition
from redox_balancer.design.ratio_tables import with_ratios
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import search_condition
from redox_balancer.search.problem import Problem, Search
from redox_balancer.search.run import run_search

CONDITIONS = "healthy,hypoxia,complex_i_closed"


def test_growth_of_every_construct_is_at_least_that_by_its_own_needs_and_hardly_more() -> None:
    """Inserted enzymes only remove needs, so that those of the cell with all of them bound growth from above."""
    space = Task(conditions=CONDITIONS, held_ratios="c,m").space()
    assert space.ratios is not None
    free = replace(space, ratios=None)
    formulation, generator, gaps = Formulation(free, compressed=False), np.random.default_rng(1), []
    known = thermodynamics_of(formulation.network)
    with Evaluator(space, cache_entries=0) as evaluator:
        for number in range(24):
            condition = space.conditions[number % len(space.conditions)]
            construct = Construct.empty(len(space.placements))
            for placement in generator.permutation(len(space.placements))[: number % 3]:
                construct = construct.place(int(placement), int(generator.integers(len(space.levels))))
            values = tuple(10.0 ** generator.uniform((0.0, -1.0), (4.0, 2.0)))
            held = HeldCondition.model_construct(**{**dict(condition), "ratios": values})
            found = evaluator.evaluate(construct, held).growth / growth_kept(space.settings, space.protein(construct))
            lower, upper = formulation.bounds(
                formulation.with_placed(formulation.under(condition.released), construct)
            )
            cell = replace(known, network=replace(known.network, lower=lower, upper=upper))
            with GrowthAtRatio(cell, evaluator.healthy_growth) as own:
                wanted = own.at(dict(zip(space.ratios.ratios, values, strict=True)))
            assert found >= wanted - 1e-9
            gaps.append(found - wanted)
    assert np.mean(np.array(gaps) < 1e-7) > 0.7


def test_a_training_draws_ratios_and_shows_them_and_policies_are_evaluated_at_their_value() -> None:
    environments = Task(conditions=CONDITIONS, held_ratios="c=10:1000,m").environments(exact_check=True)
    (drawn,), (fixed,) = environments(1), environments.named(1)
    at = [list(environments.fingerprint["observation"]).index(f"ratio:nad_{c}/nadh_{c}") for c in "cm"]
    seen = []
    for seed in range(60):
        observation, info = drawn.reset(seed=seed)
        assert isinstance(drawn.condition, HeldCondition)
        assert observation[at] == pytest.approx(np.log(drawn.condition.ratios) / 10.0)
        seen.append(math.log10(drawn.condition.ratios[0]))
        for _ in range(2):
            drawn.step(int(np.flatnonzero(info["action_mask"])[seed]))
    assert min(seen) >= 1.0
    assert max(seen) <= 3.0
    assert 1.8 < np.mean(seen) < 2.2
    observation, _ = fixed.reset(options={"condition": "hypoxia"})
    assert np.exp(10 * observation[at]) == pytest.approx([100.0, 8.0], rel=1e-5)


def test_the_oracle_proves_the_best_construct_at_a_ratio() -> None:
    space = Task(conditions="hypoxia", held_ratios="c=5000", placements=1).space()
    (condition,) = space.conditions
    with Evaluator(space) as evaluator:
        best = search_condition(evaluator, condition, 1, 1).best[0]
        proven = run_search(Search(Problem.under(evaluator, condition, 1)), "milp")
    assert proven.value == pytest.approx(best.outcome.value, abs=1e-7)
    with Evaluator(Task(conditions="hypoxia", placements=1).space()) as evaluator:
        free = search_condition(evaluator, condition.released, 1, 1).best[0].outcome.value
    assert abs(free - proven.value) > 0.1


def test_a_run_with_ratios_designs_at_other_ratios(tmp_path: Path) -> None:
    options = ["--num-actors", "0", "--timesteps", "256", "--batch-size", "64", "--conditions", "hypoxia"]
    trained = CliRunner().invoke(app, ["train", *options, "--held-ratios", "c", "--checkpoint-dir", str(tmp_path)])
    assert trained.exit_code == 0
    answers = {}
    for held in ("", "c=4", "m=3"):
        arguments = ["design", str(tmp_path), "--condition", "hypoxia", "--quick", "--json", "--held-ratios", held]
        answers[held] = CliRunner().invoke(app, arguments)
    usual, low = (json.loads(answers[held].stdout)["growth_without"] for held in ("", "c=4"))
    assert low < usual
    assert "was not trained with these ratios, but with c" in str(answers["m=3"].exception)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("q", "compartment 'q' has no NAD+ with NADH"),
        ("c=much", "cannot read 'c=much'"),
        ("c=1e9", "nad_c/nadh_c = 1e+09 to 1e+09 is no range within 0.16 to 1.5e+06"),
        ("c=100:10", "is no range within"),
        ("m=-1", "is no range within"),
    ],
)
def test_what_cannot_be_held_is_refused_in_one_line(held: str, message: str) -> None:
    with pytest.raises(RedoxError) as refused:
        Task(conditions="healthy", held_ratios=held).space()
    assert message in str(refused.value)
    assert refused.value.hint
    assert refused.value.settings == ("held_ratios",)


def test_a_model_without_nad_is_refused() -> None:
    columns = [Column("EX_a", {"a_c": 1.0}, 0.0, 1.0), Column("GROWTH", {"a_c": -1.0}, 0.0, 10.0)]
    bare = replace(Task(conditions="healthy").space({}), network=Network.of("bare", columns, "GROWTH"), capacities={})
    with pytest.raises(RedoxError, match=r"model bare has no NAD\+ with NADH in one compartment"):
        with_ratios(bare, ["c"], {}, {})


def test_ratios_leave_a_cell_as_it_is_where_none_is_held() -> None:
    task = Task(conditions=CONDITIONS)
    plain, held = task.space(), Task(conditions=CONDITIONS, held_ratios="c").space()
    with Evaluator(plain) as one, Evaluator(held) as other:
        for condition, level in itertools.product(held.conditions, (None, 2)):
            construct = Construct.empty(len(plain.placements))
            construct = construct if level is None else construct.place(3, level)
            outcomes = [evaluator.evaluate(construct, condition.released) for evaluator in (one, other)]
            assert outcomes[0].value == pytest.approx(outcomes[1].value, abs=1e-9)
    assert Ratio("nad_c", "nadh_c") == (held.ratios.ratios if held.ratios else ())[0]
