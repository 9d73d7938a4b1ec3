"""`redox evaluate` and `redox search` as a user runs them."""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from commands import assert_refused, redox, redox_json, succeeded
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.task import Task
from redox_balancer.search.exhaustive import constructs

CONDITIONS = ("--conditions", "hypoxia,pdh_deficiency,complex_iii_closed")
QUICK = ("--samples", 20, "--seeds", 3, "--evaluations", 150)


def trained(folder: Path, name: str, *options: object) -> Path:
    succeeded(
        *("train", "--checkpoint-dir", folder / name, "--timesteps", 3_000, "--num-actors", 0, "--rollout-length", 8),
        *options,
    )
    return folder / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [trained(folder, f"seed{seed}", "--seed", seed, *CONDITIONS) for seed in (1, 2)]


@pytest.fixture(scope="module")
def evaluated(runs: list[Path]) -> dict[str, Any]:
    return redox_json("evaluate", *runs, *QUICK)


def rows(summary: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in summary["sets"][name]["methods"]}


def test_every_method_is_compared_on_training_and_held_out_conditions(evaluated: dict[str, Any]) -> None:
    assert list(evaluated["sets"]) == ["training", "held-out"]
    asked = [entry["condition"] for entry in evaluated["sets"]["held-out"]["conditions"]]
    assert asked == ["hypoxia+complex_iii_closed", "hypoxia+pdh_deficiency"]
    for name in evaluated["sets"]:
        by_method = rows(evaluated, name)
        assert set(by_method) == {
            *("oracle", "policy", "policy, best of 20", "best fixed construct", "random", "greedy", "evolutionary")
        }
        assert evaluated["sets"][name]["unproven"] == []
        for row in by_method.values():
            assert row["smallest_share"] <= row["share"] <= 1.0 + 1e-7
            assert row["share_low"] <= row["share"] + 1e-9
            assert row["share"] <= row["share_high"] + 1e-9
            assert row["mean_regret"] >= -1e-7
            assert row["seconds"] > 0
            assert row["solves"] > 0
        assert by_method["oracle"]["share"] == pytest.approx(1.0)
        assert by_method["oracle"]["iterations"] > 0
        assert by_method["policy"]["training_s"] > 0
        assert by_method["policy"]["seeds"] == 2
        assert by_method["best fixed construct"]["training_s"] > 0
        assert by_method["random"]["seeds"] == 3
        assert by_method["policy, best of 20"]["mean_value"] >= by_method["policy"]["mean_value"] - 1e-9


def test_the_best_fixed_construct_is_that_of_the_largest_mean_share_on_training_conditions(
    evaluated: dict[str, Any],
) -> None:
    names = CONDITIONS[1].split(",")
    optima = {entry["condition"]: entry["best_known"] for entry in evaluated["sets"]["training"]["conditions"]}
    with Evaluator(Task(conditions=tuple(names)).space(), cache_entries=0) as evaluator:
        space = evaluator.space
        best = max(
            sum(evaluator.evaluate(c, known).value / optima[known.id] for known in space.conditions)
            for c in constructs(space, 2)
        )
    assert rows(evaluated, "training")["best fixed construct"]["mean_share"] == pytest.approx(
        best / len(names), abs=1e-6
    )


def test_a_second_evaluation_gives_the_same_values_and_a_figure(
    runs: list[Path], evaluated: dict[str, Any], tmp_path: Path
) -> None:
    kept = json.loads((runs[0] / "evaluation.json").read_text())
    assert kept == evaluated
    figure = ET.fromstring((runs[0] / "evaluation.svg").read_text())  # noqa: S314 - our own file
    assert figure.tag.endswith("svg")

    again = succeeded("evaluate", *runs, *QUICK, "--on", "held-out", "--output", tmp_path / "again")
    assert "best fixed construct" in again.stdout
    assert "2 held-out conditions" in again.stdout
    summary = json.loads((tmp_path / "again" / "evaluation.json").read_text())
    assert list(summary["sets"]) == ["held-out"]
    for before, now in zip(
        evaluated["sets"]["held-out"]["conditions"], summary["sets"]["held-out"]["conditions"], strict=True
    ):
        assert list(now["values"]) == list(before["values"])
        for method, values in now["values"].items():
            assert values == pytest.approx(before["values"][method], abs=1e-6), method
    assert (tmp_path / "again" / "evaluation.svg").exists()


def test_runs_that_differ_in_more_than_their_seed_are_not_averaged(runs: list[Path], tmp_path: Path) -> None:
    other = shutil.copytree(runs[1], tmp_path / "other", symlinks=True)
    config = json.loads((other / "config.json").read_text())
    config["environment"]["budget"] /= 2
    (other / "config.json").write_text(json.dumps(config))
    assert_refused(redox("evaluate", runs[0], other), "other was not trained on the task of", "their seed alone")


def test_held_out_conditions_that_were_trained_on_are_refused(runs: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[combination]]\nid = "hypoxia"\n')
    assert_refused(redox("evaluate", runs[0], "--held-out", path), "is not a held-out condition")
    assert not (tmp_path / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("options", "methods"),
    [
        (
            ("--parameter-samples", 3),
            {"milp of the plain task", "milp of all sets", "policy, best of 5", "random", "greedy", "evolutionary"},
        ),
        (("--reward", "guaranteed", "--hidden-condition"), {"milp of the plain task", "greedy on belief"}),
    ],
)
def test_tasks_beyond_one_known_condition_at_equal_time(
    tmp_path: Path, options: tuple[object, ...], methods: set[str]
) -> None:
    run = trained(tmp_path, "run", *CONDITIONS, "--sampling", "mixed", "--timesteps", 1_000, *options)
    summary = redox_json("evaluate", run, "--samples", 5, "--seeds", 1, "--on", "training", "--equal-time")
    by_method = rows(summary, "training")
    assert set(by_method) == methods | {"policy", "best fixed construct"}
    assert len(summary["sets"]["training"]["unproven"]) == len(summary["sets"]["training"]["conditions"])
    budget = by_method["policy"]["training_s"] / 3
    assert all(by_method[name]["seconds"] >= 0.9 * budget for name in {"random", "evolutionary"} & methods)
    assert max(row["share"] for row in by_method.values()) <= 1.0 + 1e-9
    designed = succeeded("design", run, "--condition", "hypoxia", "--evaluations", 50, "--quick", "--json")
    proposal = json.loads(designed.stdout)
    assert proposal["search"]["evaluations"] == (1 if "--hidden-condition" in options else 50)
    if "--hidden-condition" in options:
        assert proposal["search"]["found_by"] == "policy"
        assert proposal["search"]["policy"]["value"] == proposal["value"]
    else:
        assert proposal["plain_value"] != proposal["value"]
        assert f"value {proposal['value']:.4f}" in designed.stderr


def test_each_search_reports_its_answer_and_its_cost() -> None:
    condition = "hypoxia+mdh1_deficiency"
    values = {}
    for method, options in {
        "random": ("--evaluations", 200),
        "greedy": (),
        "evolutionary": ("--evaluations", 200),
        "local": ("--evaluations", 200),
        "milp": (),
        "exhaustive": ("--top", 1),
    }.items():
        answer = succeeded("search", method, "--conditions", condition, *options, "--json")
        found = json.loads(answer.stdout)[condition]
        assert found["solves"] > 0
        assert found["seconds"] > 0
        if method == "milp":
            assert found["iterations"] > 0
            assert found["bound"] == pytest.approx(found["value"], abs=1e-7)
        values[method] = found["best"][0]["value"] if method == "exhaustive" else found["value"]
    assert values["milp"] == pytest.approx(values["exhaustive"], abs=1e-7)
    assert max(values.values()) <= values["milp"] + 1e-7
    assert min(values.values()) > 0
