"""`redox design` as a user runs it, and its files as COBRApy, libSBML and Escher read them."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cobra
import pytest
from cobra.io import load_json_model, read_sbml_model, validate_sbml_model

from commands import assert_refused, redox, redox_json, redox_process, succeeded
from redox_balancer.cell.cobrapy import quiet_cobra

TEXT = "LBNOX_c 0.1 % + AOX_m 0.03 %"
CONDITION = ("--condition", "complex_iii_closed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of a design are written."""
    return tmp_path_factory.mktemp("design") / "designs" / "rescue"


@pytest.fixture(scope="module", autouse=True)
def printed(folder: Path) -> dict[str, Any]:
    """What is printed of the design."""
    return redox_json("design", "--construct", TEXT, *CONDITION, "--output", folder)


def opened(path: Path) -> cobra.Model:
    with quiet_cobra():
        return read_sbml_model(str(path)) if path.suffix == ".xml" else load_json_model(str(path))


@pytest.mark.parametrize("name", ["model.xml", "model.json"])
def test_the_exported_model_gives_growth_and_capacity_in_cobrapy(
    folder: Path, printed: dict[str, Any], name: str
) -> None:
    model = opened(folder / name)
    assert model.slim_optimize() == pytest.approx(printed["growth"], rel=1e-6)
    design = json.loads((folder / "design.json").read_text())
    growth = model.problem.Constraint(model.objective.expression, lb=design["growth_floor"])
    model.add_cons_vars(growth)
    model.objective = {model.reactions.get_by_id(r): weight for r, weight in design["capacity_objective"].items()}
    assert model.slim_optimize() == pytest.approx(printed["capacity"], rel=1e-6)


def test_the_sbml_is_valid_and_describes_the_construct(folder: Path) -> None:
    model, findings = validate_sbml_model(str(folder / "model.xml"))
    assert model is not None
    assert not any(texts for kind, texts in findings.items() if "WARNING" not in kind), findings
    (group,) = model.groups
    assert {member.id for member in group.members} == {"SINK_LBNOX_c", "SINK_AOX_m"}
    oxidase = model.reactions.get_by_id("SINK_LBNOX_c")
    assert oxidase.check_mass_balance() == {}
    assert oxidase.annotation["ec-code"] == "1.6.3.4"
    assert oxidase.upper_bound == pytest.approx(1.0037, abs=1e-4)
    (gene,) = oxidase.genes
    assert gene.annotation["uniprot"] == "Q8KRG4"
    assert "complex_iii_closed" in model.notes["condition"]


def test_fluxes_are_in_the_form_that_escher_loads(folder: Path, printed: dict[str, Any]) -> None:
    reactions = {entry["id"] for entry in json.loads((folder / "model.json").read_text())["reactions"]}
    for name in ("fluxes.json", "fluxes_at_capacity.json"):
        fluxes = json.loads((folder / name).read_text())
        assert fluxes.keys() == reactions
        assert all(isinstance(flux, float) for flux in fluxes.values())
    ranges = {one["reaction"]: one for one in printed["flux_ranges"]}
    fluxes = json.loads((folder / "fluxes.json").read_text())
    assert fluxes["SINK_LBNOX_c"] == pytest.approx(ranges["SINK_LBNOX_c"]["flux"])
    assert json.loads((folder / "fluxes_without.json").read_text())["SINK_LBNOX_c"] == 0.0


def test_tables_and_figure_are_complete(folder: Path, printed: dict[str, Any]) -> None:
    with (folder / "construct.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["ec"], row["uniprot"], row["organism"]) for row in rows] == [
        (row["ec"], row["uniprot"] or "", row["organism"]) for row in printed["construct"]
    ]
    with (folder / "flux_ranges.csv").open(newline="") as file:
        assert [row["reaction"] for row in csv.DictReader(file)] == [
            one["reaction"] for one in printed["flux_ranges"]
        ]
    assert (folder / "envelope.png").read_bytes().startswith(b"\x89PNG")
    assert "growth floor" in (folder / "envelope.svg").read_text()
    ratios = (folder / "ratios.svg").read_text()
    assert "nad_m/nadh_m" in ratios
    assert "LBNOX_c" in ratios
    design = json.loads((folder / "design.json").read_text())
    assert set(design["files"]) == {path.name for path in folder.iterdir()} == set(printed["files"])
    assert {row["figures"]["kcat_per_s"]["source"] for row in design["construct"]}
    assert set(design["units"]) >= {"growth", "capacity", "guaranteed", "value"}
    assert design["checked"]["model.xml"]["growth"] == pytest.approx(printed["growth"], rel=1e-6)


def test_cobrapy_is_loaded_and_asked_on_request_alone(tmp_path: Path) -> None:
    given = ("design", "--construct", TEXT, *CONDITION)
    imports = {"PYTHONPROFILEIMPORTTIME": "1"}
    plain = succeeded(*given, run=redox_process, environment=imports, cwd=tmp_path)
    assert plain.stdout.endswith("growth and capacity confirmed on the whole model by GLPK\n")
    assert "redox_balancer.designer.analysis\n" in plain.stderr
    assert " cobra\n" not in plain.stderr
    asked = succeeded(*given, "--check", "cobrapy", cwd=tmp_path)
    assert asked.stdout == plain.stdout.replace("by GLPK", "by GLPK and COBRApy")
    found = redox_json(*given, "--check", "cobrapy", cwd=tmp_path)
    assert found["cobrapy"] == pytest.approx(found["whole_model"], rel=1e-6)
    assert redox_json(*given, cwd=tmp_path)["cobrapy"] is None
    for option in (("--output", "out"), ("--check", "cobrapy")):
        assert_refused(redox(*given, "--quick", *option, cwd=tmp_path), "--quick writes no files and checks nothing")


def test_a_second_design_replaces_the_first_completely(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "again")
    (tmp_path / "again" / "notes.txt").write_text("mine")
    answer = succeeded("design", "--construct", "NDI1_m=0.001", *CONDITION, "--output", "again", cwd=tmp_path)
    assert "NDI1_m 0.1 %" in answer.stdout
    names = {path.name for path in (tmp_path / "again").iterdir()}
    assert names == {
        *("model.xml", "model.json", "fluxes.json", "fluxes_without.json"),
        *("map.svg", "map.json", "construct.csv", "flux_ranges.csv", "design.json", "notes.txt"),
    }
    assert json.loads((tmp_path / "again" / "design.json").read_text())["growth"] == 0.0


def test_the_design_of_a_run_is_that_of_the_same_construct_by_hand(short_run: Path, tmp_path: Path) -> None:
    answer = succeeded("design", short_run, *CONDITION, "--json", "--evaluations", 50, cwd=tmp_path)
    assert answer.stderr.startswith("complex_iii_closed: ")
    proposal = json.loads(answer.stdout)
    assert proposal["protein"] <= proposal["budget"] * (1 + 1e-9)
    text = " + ".join(f"{row['placement']} {100 * row['proteome_fraction']:g} %" for row in proposal["construct"])
    by_hand = succeeded("design", "--construct", text or "nothing", *CONDITION, "--quick", "--json", cwd=tmp_path)
    for name in ("value", "growth", "capacity", "rescue"):
        assert json.loads(by_hand.stdout)[name] == pytest.approx(proposal[name], abs=1e-7)
    assert list(tmp_path.iterdir()) == []


def test_without_a_run_the_search_says_what_it_knows_of_better_constructs(tmp_path: Path) -> None:
    answer = succeeded("design", *CONDITION, "--placements", 1, "--seconds", 60, "--quick", cwd=tmp_path)
    first, second = answer.stdout.splitlines()
    assert first.startswith("complex_iii_closed: LBNOX_c 0.1 %")
    assert second.startswith("proven optimal, by ")
    assert answer.stderr.count("searching") <= 1
    task = ("--reward", "guaranteed", "--evaluations", 100)
    found = [redox_json("design", *CONDITION, *task, "--quick", cwd=tmp_path) for _ in range(2)]
    for each in found:
        each["search"].pop("seconds")
    assert found[0] == found[1]
    assert found[0]["value"] == found[0]["paid"] > 0.2
    assert found[0]["plain_value"] > found[0]["value"]
    assert not found[0]["search"]["proven_optimal"]


def test_a_construct_by_hand_may_exceed_the_budget_with_a_note(tmp_path: Path) -> None:
    answer = succeeded("design", "--construct", "LBNOX_c 1 % + LDHA_c 0.1 %", "--condition", "hypoxia", cwd=tmp_path)
    assert "budgets 0.15 % soluble and 0.05 % membrane (exceeded)" in answer.stdout
    assert "LDH_L" in answer.stdout


def test_a_model_and_a_library_of_the_user(tmp_path: Path) -> None:
    packed = Path(cobra.__file__).parent / "data" / "textbook.xml.gz"
    (tmp_path / "few.toml").write_text(
        """[[enzyme]]
id = "NOX"
name = "water-forming NADH oxidase"
ec = "1.6.3.4"
organism = "Levilactobacillus brevis"
role = "oxidase"
kcat_per_s = { value = 648, source = "test", confidence = "assumed" }
mass_kda = { value = 49, source = "test", confidence = "assumed" }
sites = [{ compartment = "c", reaction = "nadh_c + h_c + 0.5 o2_c --> nad_c + h2o_c" }]
"""
    )
    design = ("design", "--model", packed, "--enzymes", "few.toml", "--construct", "NOX_c 0.1 %", "--output", "out")
    printed = redox_json(*design, cwd=tmp_path)
    ranges = {one["reaction"]: one for one in printed["flux_ranges"]}
    assert printed["capacity"] == pytest.approx(ranges["SINK_NOX_c"]["at_floor"][1], rel=1e-5)
    assert opened(tmp_path / "out" / "model.xml").slim_optimize() == pytest.approx(printed["growth"], rel=1e-6)


def test_settings_that_contradict_a_run_are_refused(short_run: Path) -> None:
    assert_refused(redox("design", short_run, "--observation", "flat"), "cannot be asked about another observation")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    answer = redox("design", "--construct", TEXT, "--output", "taken", cwd=tmp_path)
    assert_refused(answer, "cannot write taken: Not a directory")
    for command, option in (("diagnose", "--figure"), ("validate", "--page")):
        assert_refused(redox(command, option, "taken/x.svg", cwd=tmp_path), "cannot write taken/x.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
