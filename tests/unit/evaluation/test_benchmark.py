"""Benchmarks of methods with known answers."""

import json
import math

import numpy as np
import pytest

from redox_balancer.cell.conditions import load_conditions
from redox_balancer.design.construct import Construct
from redox_balancer.design.task import Task
from redox_balancer.evaluation.benchmark import Benchmark, ProvenBest, break_even, proven_best, steps
from redox_balancer.evaluation.methods import ENGINE, GREEDY, POLICY, UNTRAINED
from redox_balancer.search.problem import SearchResult

CONDITIONS = list(load_conditions().values())[:2]
SPACE = Task(conditions="hypoxia").space()
OPTIMA = [ProvenBest(2.0, []), ProvenBest(4.0, [])]


def found(*improvements: tuple[float, float], seconds: float = 1.0, bound: float | None = None) -> SearchResult:
    value = improvements[-1][1] if improvements else 0.0
    return SearchResult(
        Construct.empty(3), value, evaluations=1, solves=2, seconds=seconds, bound=bound, improvements=improvements
    )


def benchmark(optima: list[ProvenBest | None] | None = None, seconds: float = 0.1) -> Benchmark:
    """An engine that has 75 % after 0.1 s and all after 0.2 s, a policy, and a search that finds half."""
    answers = {
        ENGINE: [[found((0.01, 1.0), (0.2, 2.0)), found((0.1, 4.0))]] * 2,
        POLICY: [[found((0.005, 1.9), seconds=0.005), found((0.006, -0.4), seconds=0.006)]],
        GREEDY: [[found((0.3, 1.0)), found((0.4, 2.0))]],
        UNTRAINED: [[found((0.5, 2.0)), found((0.9, 4.0))]],
    }
    return Benchmark(CONDITIONS, optima or OPTIMA, answers, seconds, steps(1.0), training_s=7.0)


def test_the_times_of_a_curve_are_the_usual_steps_from_a_fiftieth_on() -> None:
    assert steps(1.0) == pytest.approx([0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
    assert steps(3.0) == pytest.approx([0.1, 0.2, 0.5, 1.0, 2.0, 3.0])
    assert steps(0.2) == pytest.approx([0.005, 0.01, 0.02, 0.05, 0.1, 0.2])


def test_the_value_at_a_time_is_that_of_the_last_improvement() -> None:
    answer = found((0.1, 1.0), (0.3, 2.0))
    assert [answer.value_at(seconds) for seconds in (0.0, 0.1, 0.2, 0.3, 9.0)] == [0.0, 1.0, 1.0, 2.0, 2.0]
    assert found().value_at(1.0) == 0.0


def test_methods_are_compared_by_what_they_have_reached_in_the_same_time() -> None:
    rows = {row["method"]: row for row in benchmark().rows()}
    assert next(iter(rows)) == ENGINE
    assert rows[ENGINE]["mean_share"] == rows[ENGINE]["share"] == pytest.approx(0.75)
    assert rows[ENGINE]["smallest_share"] == 0.5
    assert rows[ENGINE]["mean_low"] == 0.5
    assert rows[ENGINE]["seeds"] == 2
    assert rows[UNTRAINED]["mean_share"] == rows[GREEDY]["mean_share"] == 0.0
    later = {row["method"]: row for row in benchmark(seconds=math.inf).rows()}
    assert [later[name]["mean_share"] for name in (ENGINE, UNTRAINED, GREEDY)] == [1.0, 1.0, 0.5]


def test_a_policy_that_does_harm_shows_it() -> None:
    rows = {row["method"]: row for row in benchmark().rows()}
    assert rows[POLICY]["smallest_share"] == pytest.approx(-0.1)
    assert rows[POLICY]["mean_share"] == pytest.approx((0.95 - 0.1) / 2)
    # At first the mean is larger, because one answer is out before the harmful one.
    assert benchmark().seconds_to(POLICY, 0.45) == math.inf
    assert benchmark().seconds_to(POLICY, 0.425) == 0.005


def test_the_time_to_a_share_is_exact() -> None:
    compared = benchmark()
    assert compared.seconds_to(ENGINE, 0.25) == 0.01
    assert compared.seconds_to(ENGINE, 0.75) == 0.1
    assert compared.seconds_to(ENGINE, 0.99) == 0.2
    assert compared.seconds_to(UNTRAINED, 0.99) == 0.9
    assert compared.seconds_to(GREEDY, 0.9) == math.inf


@pytest.mark.parametrize(
    ("training", "own", "others", "queries"),
    [
        (100.0, 0.5, 1.5, 100),
        (100.0, 1.0, 1.3, 334),
        (0.0, 0.1, 0.2, 1),
        (9.0, 1.0, 1.0, None),
        (9.0, 2.0, 1.0, None),
    ],
)
def test_training_has_paid_for_itself_at_the_least_number_of_answers(
    training: float, own: float, others: float, queries: int | None
) -> None:
    assert break_even(training, own, others) == queries
    if queries:
        assert training + queries * own <= queries * others * (1 + 1e-12)
        assert queries == 1 or training + (queries - 1) * own > (queries - 1) * others


def test_crossings_name_what_is_never_reached() -> None:
    rows = {(row["trained"], row["search"], row["share"]): row for row in benchmark().crossings()}
    assert rows[ENGINE, UNTRAINED, 0.99]["queries"] == math.ceil(7.0 / (0.9 - 0.2))
    assert not rows[ENGINE, UNTRAINED, 0.99]["at_most"]
    # Greedy search does not get there in a second, so that it would take longer is all that is known.
    assert rows[ENGINE, GREEDY, 0.99]["queries"] == math.ceil(7.0 / (1.0 - 0.2))
    assert rows[ENGINE, GREEDY, 0.99]["at_most"]
    assert rows[POLICY, UNTRAINED, 0.9]["queries"] is None


def test_an_answer_better_than_an_optimum_without_proof_becomes_the_best_known() -> None:
    compared = benchmark([None, OPTIMA[1]])
    assert compared.unproven == [CONDITIONS[0].id]
    assert compared.best_known.tolist() == [2.0, 4.0]
    contradicted = benchmark([ProvenBest(1.5, []), OPTIMA[1]])
    assert contradicted.unproven == [CONDITIONS[0].id]
    assert contradicted.best_known.tolist() == [2.0, 4.0]
    assert benchmark().unproven == []


def test_only_a_proof_makes_an_answer_of_the_oracle_the_optimum() -> None:
    assert proven_best(found((1.0, 2.0), bound=2.0), []) == ProvenBest(2.0, [])
    assert proven_best(found((1.0, 2.0), bound=2.1), []) is None
    assert proven_best(found((1.0, 2.0)), []) is None


def test_the_curves_are_data() -> None:
    summary = json.loads(json.dumps(benchmark(seconds=math.inf).summary(SPACE), allow_nan=False))
    assert summary["times"] == steps(1.0)
    assert np.asarray(summary["curves"][ENGINE])[:, 0] == pytest.approx([0.25, 0.25, 0.75, 1.0, 1.0, 1.0])
    middle, low, high = np.asarray(summary["curves"][ENGINE]).T
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert summary["conditions"][1]["values"][UNTRAINED] == [[0.0] * 5 + [4.0]]
    assert summary["seconds"] is None
