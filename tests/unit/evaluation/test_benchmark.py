"""Benchmarks of methods with known answers."""

import numpy as np
import pytest

from redox_balancer.cell.conditions import load_conditions, pick_condition
from redox_balancer.design.construct import Construct
from redox_balancer.evaluation.benchmark import run_benchmark
from redox_balancer.evaluation.methods import Method
from redox_balancer.search.problem import SearchResult

CONDITIONS = list(load_conditions().values())[:4]


def found(value: float, *, seconds: float = 0.1, bound: float | None = None) -> SearchResult:
    return SearchResult(Construct.empty(3), value, evaluations=1, solves=2, seconds=seconds, bound=bound)


OPTIMA = {condition: found(2.0 + i, bound=2.0 + i) for i, condition in enumerate(CONDITIONS)}


def test_shares_regret_and_cost_are_those_of_the_answers() -> None:
    half = Method("half", lambda condition, _: found(0.5 * OPTIMA[condition].value, seconds=0.3), training_s=7.0)
    noisy = Method("noisy", lambda _, seed: found(1.0 + seed), seeds=2)
    called: list[str] = []
    benchmark = run_benchmark(OPTIMA, [half, noisy], progress=lambda name, *_: called.append(name))
    assert called == ["half", "noisy"]
    rows = {row["method"]: row for row in benchmark.rows()}
    assert next(iter(rows)) == "oracle"
    assert rows["oracle"]["share"] == 1.0
    assert rows["oracle"]["mean_regret"] == 0.0
    assert rows["half"]["share"] == rows["half"]["share_low"] == rows["half"]["share_high"] == 0.5
    assert rows["half"]["mean_regret"] == pytest.approx(np.mean([1.0, 1.5, 2.0, 2.5]))
    assert rows["half"]["seconds"] == pytest.approx(0.3)
    assert rows["half"]["training_s"] == 7.0
    assert rows["noisy"]["mean_value"] == pytest.approx(1.5)
    assert rows["noisy"]["smallest_share"] == pytest.approx(1.0 / 5.0)
    assert rows["noisy"]["seeds"] == 2
    assert benchmark.unproven == []
    frame = benchmark.to_frame()
    assert list(frame.index) == [row["method"] for row in benchmark.rows()]
    assert frame.loc["half", "mean_regret"] == rows["half"]["mean_regret"]


def test_an_answer_better_than_an_unproven_optimum_becomes_the_best_known() -> None:
    first = CONDITIONS[0]
    optima = OPTIMA | {first: found(2.0, bound=3.0)}
    better = Method("better", lambda condition, _: found(2.5 if condition == first else optima[condition].value))
    benchmark = run_benchmark(optima, [better])
    assert benchmark.unproven == [first.id]
    assert benchmark.best_known.tolist() == [2.5, 3.0, 4.0, 5.0]
    rows = {row["method"]: row for row in benchmark.rows()}
    assert rows["better"]["mean_regret"] == 0.0
    assert rows["oracle"]["smallest_share"] == pytest.approx(0.8)


def test_combined_conditions_lower_every_bound_to_the_lower_limit() -> None:
    known = load_conditions()
    both = pick_condition(known, "hypoxia_ldha_deficiency+hypoxia")
    assert {change.key: change.value for change in both.changes} == {
        change.key: change.value for change in known["hypoxia_ldha_deficiency"].changes
    }
    three = pick_condition(known, "hypoxia+mdh1_deficiency+pdh_deficiency")
    assert [change.reaction for change in three.changes] == ["EX_o2_e", "MDH", "PDHm"]
