"""The reward `ratio`: r* as the diagnosis finds it, what is won back, and what it cannot be used with."""

import math
from dataclasses import replace

import pytest

from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.named_construct import NamedConstruct, build_constructs
from redox_balancer.design.ratio_diagnosis import diagnose_ratios
from redox_balancer.design.ratio_reward import won_back
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import search_condition
from redox_balancer.search.problem import Problem, Search
from redox_balancer.search.run import run_search

CULTURE = "lac__L_c=5e-3:2e-2,pyr_c=5e-5:3e-4"
CYTOSOL, MATRIX = Ratio("nad_c", "nadh_c"), Ratio("nad_m", "nadh_m")


def test_the_value_is_what_the_diagnosis_says_of_the_ratios_less_the_protein() -> None:
    task = Task(
        reward="ratio", conditions="healthy,hypoxia,complex_i_closed,slc25a11_deficiency", concentrations=CULTURE
    )
    texts = ("LDHA_c 0.1 % + NDE1_c 0.03 %", "NDI1_m 0.03 % + MDH1_c 0.003 %", "LBNOX_c 0.03 %")
    space, built = build_constructs(task.space(), [NamedConstruct(text) for text in texts])
    with Evaluator(space, cache_entries=0) as evaluator:
        for construct in built:
            labels = iter(
                diagnose_ratios(replace(space, ratios=None), concentrations=task.ranges(), construct=construct)
            )
            best = [{found.ratio: found.best for found in one.optima if found.best} for one in labels]
            without, with_it = dict(zip(space.conditions, best[::2], strict=True)), best[1::2]
            usual = without[space.healthy]
            for condition, after in zip(space.conditions, with_it, strict=True):
                outcome = evaluator.evaluate(construct, condition)
                wanted = won_back(usual, without[condition], after)
                # The diagnosis brackets each end of a window to 0.04 decades, and the distance in hypoxia is 0.4.
                assert outcome.rescue == pytest.approx(wanted, abs=0.3)
                assert outcome.value == outcome.rescue - 10.0 * space.protein(construct)
                for ratio, value in evaluator.reference(condition).ratios.items():
                    assert math.log10(value / (without[condition][ratio])) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize(
    ("without", "found", "won"),
    [
        ({CYTOSOL: 10.0}, {CYTOSOL: 100.0}, 1.0),
        ({CYTOSOL: 10.0}, {CYTOSOL: math.sqrt(1000.0)}, 0.5),
        ({CYTOSOL: 10.0}, {CYTOSOL: 1e5}, -1.0),
        ({CYTOSOL: 10.0}, {}, 0.0),
        ({CYTOSOL: 10.0, MATRIX: 50.0}, {CYTOSOL: 100.0, MATRIX: 50.0}, math.log(10) / (math.log(10) + math.log(10))),
        ({CYTOSOL: 95.0, MATRIX: 5.0}, {CYTOSOL: 100.0, MATRIX: 5.0}, 0.0),
        ({}, {CYTOSOL: 100.0}, 0.0),
    ],
)
def test_what_is_won_back(without: dict[Ratio, float], found: dict[Ratio, float], won: float) -> None:
    assert won_back({CYTOSOL: 100.0, MATRIX: 5.0}, without, found) == pytest.approx(won)


def test_searches_find_a_construct_and_the_oracle_is_refused() -> None:
    space = Task(reward="ratio", conditions="glud1_deficiency", placements=1).space()
    (condition,) = space.conditions
    with Evaluator(space) as evaluator:
        best = search_condition(evaluator, condition, 1, 1).best[0]
        assert NamedConstruct.of(space, best.construct).keys() == {"GLUD1_m"}
        for name in ("greedy", "local"):
            found = run_search(Search(Problem.under(evaluator, condition, 1), evaluations=1000), name)
            assert found.value == pytest.approx(best.outcome.value, abs=1e-9)
            assert 0.9 < found.value <= 1.0
        with pytest.raises(RedoxError, match="the reward 'ratio' is not the optimum of a single program"):
            run_search(Search(Problem.under(evaluator, condition, 1)), "milp")


def test_concentrations_that_nothing_asks_for_are_refused() -> None:
    with pytest.raises(RedoxError, match="only where a ratio is held") as refused:
        Task(conditions="hypoxia", concentrations="pyr_c=1e-3").space()
    assert refused.value.settings[0] == "concentrations"


def test_a_concentration_needs_a_figure() -> None:
    with pytest.raises(RedoxError, match="cannot read 'pyr_c'"):
        Task(reward="ratio", conditions="hypoxia", concentrations="pyr_c").space()


def test_a_ratio_cannot_be_held_and_looked_for_at_the_same_time() -> None:
    with pytest.raises(RedoxError, match="which cannot be held at the same time") as refused:
        Task(reward="ratio", conditions="hypoxia", held_ratios="c").space()
    assert refused.value.settings == ("reward", "held_ratios")
