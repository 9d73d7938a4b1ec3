"""`redox evaluate` and `redox search` as a user runs them."""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import redox_balancer
from commands import assert_refused, redox, redox_json, succeeded

CONDITIONS = ("--conditions", "hypoxia,pdh_deficiency,complex_iii_closed")
ENZYMES = Path(redox_balancer.__file__).parent / "data" / "enzymes.toml"
QUICK = ("--states", 3, "--seeds", 3, "--seconds", 0.1, "--longest", 0.2, "--jobs", 2)


def trained(folder: Path, name: str, *options: object) -> Path:
    succeeded(
        *("train", "--checkpoint-dir", folder / name, "--timesteps", 3_000, "--num-actors", 0, "--rollout-length", 8),
        *options,
    )
    return folder / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    shutil.copyfile(ENZYMES, folder / ENZYMES.name)
    options = (*CONDITIONS, "--enzymes", folder / ENZYMES.name)
    return [trained(folder, f"seed{seed}", "--seed", seed, *options) for seed in (1, 2)]


@pytest.fixture(scope="module")
def evaluated(runs: list[Path]) -> dict[str, Any]:
    return redox_json("evaluate", *runs, *QUICK)


def rows(summary: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in summary["sets"][name]["methods"]}


def test_every_method_is_compared_on_independent_states_and_pairs(evaluated: dict[str, Any]) -> None:
    assert list(evaluated["sets"]) == ["states", "pairs"]
    asked = {name: [entry["condition"] for entry in part["conditions"]] for name, part in evaluated["sets"].items()}
    assert asked["pairs"] == ["hypoxia+complex_iii_closed", "hypoxia+pdh_deficiency"]
    assert len({*asked["states"], *evaluated["no_useful_design"]}) == 3
    for name, part in evaluated["sets"].items():
        by_method = rows(evaluated, name)
        searches = {"engine without policy", "random restarts", "evolutionary", "greedy", "oracle"}
        assert set(by_method) == {"engine with policy", "policy", "best fixed construct"} | searches
        assert part["unproven"] == []
        for row in by_method.values():
            assert row["smallest_share"] <= row["share"] <= 1.0 + 1e-7
            assert row["mean_low"] <= row["mean_share"] + 1e-9
            assert row["mean_share"] <= row["mean_high"] + 1e-9
            assert row["seconds"] > 0
        assert (by_method["policy"]["seeds"], by_method["random restarts"]["seeds"]) == (2, 3)
        assert by_method["oracle"]["seconds_to"]["0.99"] > 0
        crossed = {(row["trained"], row["search"]) for row in part["crossings"]}
        assert crossed == {(trained, search) for trained in ("engine with policy", "policy") for search in searches}
        for curve in part["curves"].values():
            assert len(curve) == len(part["times"])
            assert part["times"][-1] == 0.2
    assert evaluated["training_s"] > 0
    assert len(evaluated["date"]) == len("2026-01-31")


def test_the_page_the_figure_and_the_data_are_of_the_same_comparison(
    runs: list[Path], evaluated: dict[str, Any]
) -> None:
    assert json.loads((runs[0] / "evaluation.json").read_text()) == evaluated
    figure = ET.fromstring((runs[0] / "evaluation.svg").read_text())  # noqa: S314 - our own file
    assert figure.tag.endswith("svg")
    page = (runs[0] / "evaluation.md").read_text()
    assert evaluated["date"] in page
    share = 100 * rows(evaluated, "pairs")["best fixed construct"]["mean_share"]
    assert f"| {share:.1f} |" in page.split("## Pairs")[1].split("| best fixed construct |")[1].splitlines()[0]


def test_published_results_name_files_but_not_where_they_were(runs: list[Path], evaluated: dict[str, Any]) -> None:
    assert evaluated["runs"] == ["seed1", "seed2"]
    assert evaluated["task"]["enzymes"] == "enzymes.toml"
    for name in ("evaluation.json", "evaluation.md", "evaluation.svg"):
        assert str(runs[0].parent) not in (runs[0] / name).read_text()


def test_states_to_choose_settings_on_are_others_and_the_tables_are_printed(
    runs: list[Path], evaluated: dict[str, Any], tmp_path: Path
) -> None:
    answer = succeeded("evaluate", runs[0], *QUICK, "--on", "validation", "--output", tmp_path, "--equal-time")
    assert "no longer change anything" in answer.stderr
    assert "best fixed construct" in answer.stdout
    summary = json.loads((tmp_path / "evaluation.json").read_text())
    states = [entry["state"] for entry in summary["sets"]["validation"]["conditions"]]
    assert not any(entry["state"] in states for entry in evaluated["sets"]["states"]["conditions"])
    assert f"validation: {len(states)} conditions, 0.1 s per answer" in answer.stdout


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
            {"engine with policy", "engine without policy", "random restarts", "evolutionary", "greedy"},
        ),
        (("--reward", "guaranteed", "--hidden-condition"), {"belief search", "engine told the cell"}),
    ],
)
def test_tasks_beyond_one_known_condition(tmp_path: Path, options: tuple[object, ...], methods: set[str]) -> None:
    run = trained(tmp_path, "run", *CONDITIONS, "--sampling", "mixed", "--timesteps", 1_000, *options)
    hidden = "--hidden-condition" in options
    asked = ("evaluate", run, "--on", "training", *(() if hidden else (*QUICK, "--seeds", 1)))
    summary = redox_json(*asked)
    part, by_method = summary["sets"]["training"], rows(summary, "training")
    assert set(by_method) == methods | {"policy", "best fixed construct"}
    assert max(row["share"] for row in by_method.values()) <= 1.0 + 1e-9
    # Every construct of two placements was valued.
    assert (part["unproven"], len(summary["optima"])) == ([], 3)
    assert part["seconds"] == (None if hidden else 0.1)
    if hidden:
        assert by_method["belief search"]["mean_share"] > 0.0
    else:
        changed = [{**entry, "value": entry["value"] + 1.0} for entry in summary["optima"]]
        (run / "evaluation.json").write_text(json.dumps({**summary, "optima": changed}))
        assert redox_json(*asked)["optima"] == changed
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


def test_conditions_whose_best_construct_takes_an_enzyme_that_the_training_lacked_are_a_set_of_their_own(
    tmp_path: Path,
) -> None:
    task = ("--conditions", "hypoxia,complex_iii_closed", "--placements", 1, "--without-enzymes", "LBNOX,AOX")
    run = trained(tmp_path, "smaller", *task)
    answer = redox_json("evaluate", run, "--without-enzymes", "", "--on", "training", *QUICK)
    assert list(answer["sets"]) == ["named conditions", "named conditions, best with new enzymes"]
    everything, new = answer["sets"].values()
    best = {
        entry["condition"]: {placed["enzyme"] for placed in entry["construct"]} for entry in everything["conditions"]
    }
    expected = [condition for condition, enzymes in best.items() if enzymes & {"LBNOX", "AOX"}]
    assert [entry["condition"] for entry in new["conditions"]] == expected
    assert "complex_iii_closed" in expected
    page = (run / "evaluation.md").read_text()
    assert "## Named conditions, best with new enzymes" in page
    same = redox_json("evaluate", run, "--on", "training", *QUICK)
    assert list(same["sets"]) == ["training"]
