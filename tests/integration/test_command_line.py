"""`redox` as a user runs it: messages about wrong input, and the whole path on the embedded core."""

import json
import os
import shlex
from pathlib import Path

import pytest

from commands import assert_refused, edited_library, redox, redox_json, redox_process, succeeded
from redox_balancer.cell.embedded import core_json

CORE = core_json()
REFUSED = {
    "train --gammma 1": ("--gammma", "--gamma", "redox train --help"),
    "train --placements 11": ("'--placements'", "less than or equal to 10"),
    "train --num-actors two": ("'--num-actors'", "integer"),
    "report": ("Missing argument", "redox report --help"),
    "frobnicate": ("'frobnicate'", "redox --help"),
    "model frobnicate": ("'frobnicate'", "redox model --help"),
    # Files that do not exist, or are something else.
    "train --model nowhere.json": ("nowhere.json",),
    "report nowhere": ("nowhere",),
    "report nowhere --front-seconds nan": ("--front-seconds", "greater than or equal to 0"),
    "report nowhere --front-seconds=-1": ("--front-seconds", "greater than or equal to 0"),
    "design nowhere": ("nowhere",),
    "design nowhere --construct 'LBNOX_c 0.1 %'": ("holds no run",),
    "evaluate nowhere": ("holds no run",),
    "checkpoints list nowhere": ("nowhere",),
    "model info nowhere.json": ("nowhere.json",),
    "build-core --input nowhere.json --output core.json --medium model": ("nowhere.json",),
    f"build-core --input {CORE} --output core.txt --medium model": ("unknown model format '.txt'",),
    "model curate nowhere.json --output curated.txt": ("unknown model format '.txt'",),
    "model curate nowhere.json --output curated.json --functions nope": (
        "cannot read the functions nope",
        "--functions",
    ),
    f"model functions {CORE} --functions {CORE}": ("is no list of functions",),
    # Names that nothing has.
    "train --medium tea": ("'tea'", "physiological"),
    "train --conditions tea": ("'tea'", "hypoxia"),
    f"build-core --input {CORE} --output core.json --medium tea": ("'tea'",),
    f"build-core --input {CORE} --output core.json --medium model --biomass nothing": ("'nothing'",),
    "model info --medium tea": ("'tea'",),
    "model info --biomass nothing": ("'nothing'",),
    "model fetch nothing": ("'nothing'",),
    "model curate nowhere.json --output curated.json --medium tea": ("unknown medium 'tea'",),
    "search milp --conditions hypoxia+tea": ("'tea'", "hypoxia"),
    "design --construct 'LBNOX 0.1 %'": ("unknown placement 'LBNOX'",),
    "design --construct LBNOX_c": ("cannot read 'LBNOX_c'",),
    "design --construct 'LBNOX_c 0.1 %' --condition fever": ("'fever'",),
    "validate --medium model": ("(--medium)",),
    "validate --medium culure": ("unknown medium 'culure'",),
    "validate --figure growth.pdf": ("(--figure)",),
    "validate --model missing.json": ("missing.json",),
    "validate --ratios --concentrations php_c=1e-6": ("has no metabolite 'php_c'",),
    "bench step --model none.json": ("none.json",),
    "bench core --input none.json": ("none.json",),
    "bench nonsense": ("nonsense",),
    "advise --host c7g.large": ("unknown host 'c7g.large'", "c7i.large"),
    "advise --within=-1": ("--within",),
    "advise --within nan": ("--within",),
    "advise --actors 0": ("--actors",),
    "advise --seconds 0": ("--seconds",),
    "advise --terms none.json": ("none.json", "--terms"),
    "advise --conditions tea": ("'tea'", "hypoxia"),
    # Arguments that do not go together.
    "bench core": ("core needs a model", "--input"),
    "bench step --model a.json --input b.json": ("--input and --model exclude each other",),
    **{
        f"validate --directions {option}": (
            f"--directions does not go with {option.split()[0]}",
            "table of their own",
        )
        for option in ("--model Recon3D", "--medium culture", "--vary", "--as-published")
    },
    "validate --ratios --model Recon3D": ("--ratios does not go with --model",),
    "validate --draws 3": ("--draws does not go without --ratios or --directions",),
    "validate --concentrations 3php_c=1e-6": ("--concentrations does not go without --ratios",),
    "design --seconds nan": ("--seconds",),
    "design --evaluations=-1": ("--evaluations",),
    "design --condition fever": ("'fever'", "hypoxia"),
    "design --construct 'LBNOX_c 0.1 %' --quick --output out": ("--quick writes no files",),
    "profile --kind time --leaks": ("--leaks needs a memory profile",),
    "search milp --reward sink-flux": ("not the optimum",),
}


@pytest.mark.parametrize("command", REFUSED)
def test_wrong_input_is_one_line_with_a_hint_and_writes_nothing(command: str, tmp_path: Path) -> None:
    assert_refused(redox(*shlex.split(command), cwd=tmp_path), *REFUSED[command])
    assert list(tmp_path.iterdir()) == []


def test_a_faulty_enzyme_library_is_refused(tmp_path: Path) -> None:
    library = edited_library(tmp_path, "nadh_c + h_c + 0.5 o2_c -->", "nadh_c + h_c + o2_c -->")
    for command in ("train", "enzymes"):
        answer = redox(command, "--enzymes", library, cwd=tmp_path)
        assert_refused(answer, "LBNOX_c in model human_redox_core: not balanced")


def test_an_enzyme_that_closes_a_cycle_is_refused_with_it(tmp_path: Path) -> None:
    """NDI1 run backwards as well cycles with complex I."""
    library = edited_library(tmp_path, "nadh_m + h_m + q10_m --> nad_m + q10h2_m", "CYCLE")
    library.write_text(library.read_text().replace("CYCLE", "nad_m + q10h2_m + 4 h_i --> nadh_m + q10_m + 5 h_m"))
    answer = redox("enzymes", "--enzymes", library, cwd=tmp_path)
    assert_refused(answer, "NDI1_m in model human_redox_core: closes an infeasible cycle with NADH2_u10mi")
    assert_refused(redox("train", "--enzymes", library, cwd=tmp_path), "NADH2_u10mi")


def test_a_medium_on_which_nothing_grows_is_refused(tmp_path: Path) -> None:
    model = json.loads(core_json().read_text())
    for reaction in model["reactions"]:
        if reaction["id"] in ("EX_lys__L_e", "EX_leu__L_e"):
            reaction["lower_bound"] = 0.0
    (tmp_path / "starved.json").write_text(json.dumps(model))
    assert_refused(
        redox("train", "--model", "starved.json", cwd=tmp_path), "does not grow on this medium; missing: EX_"
    )
    assert_refused(redox("model", "info", "starved.json", cwd=tmp_path), "does not grow", finding=True)
    assert not (tmp_path / "experiments").exists()


def test_a_folder_that_is_no_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "step_000001000").mkdir()
    assert_refused(redox("train", "--resume", "step_000001000", cwd=tmp_path), "step_000001000")


def without(packages: str, folder: Path) -> dict[str, str]:
    """Environment in which an import of these packages fails as where they are not installed."""
    for package in packages.split():
        (folder / package).mkdir()
        raised = f"raise ModuleNotFoundError({package!r}, name={package!r})"
        (folder / package / "__init__.py").write_text(raised)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        *((command, "train") for command in ("train", "doctor", "profile", "bench learner")),
        ("checkpoints list s3://bucket/experiments/run", "s3"),
        ("explore --no-browser", "explore"),
    ],
)
def test_without_the_extra_one_line_names_it(command: str, extra: str, tmp_path: Path) -> None:
    environment = without("torch ray tensorboard boto3 nicegui", tmp_path)
    runs = tmp_path / "runs"
    runs.mkdir()
    answer = redox_process(*command.split(), cwd=runs, environment=environment)
    assert_refused(answer, "which is not installed", f"pip install 'redox_balancer[{extra}]'")
    assert list(runs.iterdir()) == []


def test_a_search_needs_no_extra(tmp_path: Path) -> None:
    environment = without("torch ray tensorboard boto3 memray", tmp_path)
    search = ("search", "greedy", "--conditions", "complex_iii_closed")
    found = redox_json(*search, run=redox_process, environment=environment)
    assert found["complex_iii_closed"]["value"] > 0.5


def test_no_arguments_show_the_help(tmp_path: Path) -> None:
    answer = redox(cwd=tmp_path)
    assert answer.returncode == 2
    assert "build-core" in answer.stdout + answer.stderr
    assert "error:" not in answer.stderr


def test_debug_shows_where_an_error_was_raised(tmp_path: Path) -> None:
    answer = redox_process("train", "--model", "nowhere.json", "--debug", cwd=tmp_path)
    assert answer.returncode != 0
    assert "Traceback" in answer.stderr


def test_a_policy_learns_the_best_constructs_and_report_and_design_show_them(tmp_path: Path) -> None:
    conditions = "healthy,complex_iii_closed"
    trained = succeeded(
        *("train", "--timesteps", 60_000, "--num-actors", 0, "--conditions", conditions, "--json"), cwd=tmp_path
    )
    answer = json.loads(trained.stdout)
    run = tmp_path / answer["run"]
    assert answer["finished"]
    assert {"value", "growth", "capacity"} <= {name.removeprefix("env/") for name in answer["last"]}
    assert (run / "config.json").exists()
    assert (run / "latest" / "manifest.json").exists()

    again = redox("train", "--timesteps", 80_000, "--num-actors", 0, "--conditions", conditions, cwd=tmp_path)
    assert_refused(again, "already holds a run")

    summary = redox_json("report", run, "--episodes", 1000, cwd=tmp_path)
    assert [row["condition"] for row in summary["conditions"]] == conditions.split(",")
    for row in summary["conditions"]:
        assert row["random_mean"] < 0.1 * row["best"]
        assert row["policy_mean"] >= 0.9 * row["best"]
        assert row["policy_mean"] <= row["best"] + 1e-9
        assert row["share"] == pytest.approx(row["policy_mean"] / row["best"])
    page = (run / "report.html").read_text()
    # The learning curve, the conditions, and for each the map, the front, an envelope, and growth against the ratio;
    # and what the maps share.
    assert page.count("<svg") == 11
    assert "complex_iii_closed" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )

    proposal = redox_json("design", run, "--condition", "complex_iii_closed", cwd=tmp_path)
    assert proposal["protein"] - proposal["membrane_protein"] <= proposal["budget"] * (1 + 1e-9)
    assert proposal["membrane_protein"] <= proposal["membrane_budget"] * (1 + 1e-9)
    assert proposal["value"] <= summary["conditions"][1]["best"] + 1e-9
    assert_refused(redox("design", run, "--condition", "fever", cwd=tmp_path), "'fever'")


def test_a_run_whose_library_changed_is_not_evaluated(tmp_path: Path) -> None:
    library = edited_library(tmp_path, "value = 648", "value = 600")
    arguments = ("--timesteps", 600, "--num-actors", 0, "--conditions", "healthy", "--checkpoint-dir", "run")
    succeeded("train", *arguments, "--enzymes", library, cwd=tmp_path)
    library.write_text(library.read_text().replace("value = 600", "value = 500"))
    assert_refused(redox("design", "run", cwd=tmp_path), "caps changed")

    # A run from before the membrane budget does not get today's default.
    library.write_text(library.read_text().replace("value = 500", "value = 600"))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    del config["environment"]["membrane_budget"], config["task"]["membrane_budget"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert_refused(redox("design", "run", cwd=tmp_path), "membrane_budget changed")
