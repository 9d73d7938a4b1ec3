"""`redox build-core` as a user runs it, in a separate process."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cobra
import numpy as np
import pytest

from commands import assert_refused, redox, succeeded
from full_disk import disk_full_after
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.consistency import consistent_reactions
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import apply_medium
from redox_balancer.cell.models import LoadedModel, load_network
from redox_balancer.cell.network import Network
from redox_balancer.cli.core import PHASES
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import load_library
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from toy_cell import growth_of

RECON3D_GROWTH = 0.0365025


@pytest.fixture(scope="module")
def textbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "textbook.json"
    cobra.io.save_json_model(cobra.io.load_model("textbook"), str(path))
    return path


@dataclass(frozen=True)
class Built:
    answer: dict[str, Any]
    network: Network
    errors: str


@pytest.fixture(scope="module")
def recon3d_core(recon3d_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    path = tmp_path_factory.mktemp("core") / "core.json"
    result = succeeded("build-core", "--input", recon3d_path, "--output", path, "--reactions", 1500, "--json")
    return Built(json.loads(result.stdout), load_network(path), result.stderr)


def rules_of(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {rule["rule"]: rule for rule in answer["rules"]}


def test_recon3d_core_is_written_whole_with_its_growth_and_nothing_is_blocked(recon3d_core: Built) -> None:
    answer, network = recon3d_core.answer, recon3d_core.network
    assert answer["reactions"] == len(network.reactions) == 7277
    assert answer["metabolites"] == len(network.metabolites)
    assert answer["objective"] == network.objective == "BIOMASS_reaction"
    assert answer["growth"] == pytest.approx(RECON3D_GROWTH, abs=1e-6)
    assert answer["model_growth"] == pytest.approx(answer["growth"], abs=1e-6)
    assert answer["seconds"] > 0
    assert growth_of(network) == pytest.approx(RECON3D_GROWTH, abs=1e-6)
    assert consistent_reactions(network).kept.size == len(network.reactions)
    assert any("7,277" in warning and "1,500" in warning for warning in answer["warnings"])


def test_recon3d_reactions_that_were_dropped_are_blocked(recon3d_core: Built, recon3d: LoadedModel) -> None:
    full = apply_medium(recon3d.curated("BIOMASS_reaction").network, "human_minimal")
    dropped = [r for r in full.reactions if r not in recon3d_core.network.reaction_index]
    assert len(dropped) + recon3d_core.answer["reactions"] == len(full.reactions)
    with FluxLP(full, {}) as lp:
        for reaction in dropped[::20]:
            for sign in (1.0, -1.0):
                lp.set_objective({reaction: sign})
                assert lp.maximise().objective == pytest.approx(0.0, abs=1e-9), reaction


def test_recon3d_report_lists_the_reactions_of_each_rule(recon3d_core: Built) -> None:
    rules = rules_of(recon3d_core.answer)
    assert rules["objective"]["kept"] == ["BIOMASS_reaction"]
    assert {"AKGDm", "SUCOASm", "GLCt1r", "GLCt4", "GLCSGLT1le"} <= set(rules["central_carbon"]["kept"])
    central = set(rules["central_carbon"]["kept"]) | set(rules["central_carbon"]["blocked"])
    assert {"AKGDm", "SUCOASm", "SUCOAS1m", "PDHm", "CSm", "MDHm", "LDH_L", "PYK"} <= central
    assert {"GLCt1r", "GLCt2_2", "GLCt4", "GLCSGLT1le", "HMR_8884"} <= central
    assert {"EX_glc__D_e", "EX_o2_e", "EX_hdl_hs_e"} <= set(rules["medium"]["kept"])
    assert {"DHORTS", "TMDS", "EX_lys__L_e"} <= set(rules["essential"]["kept"])
    assert "AKGDm" not in rules["essential"]["kept"]
    assert len(rules["consistent"]["kept"]) == recon3d_core.answer["reactions"]
    names = set(recon3d_core.network.reactions)
    for rule in rules.values():
        assert set(rule["kept"]) <= names
        assert not set(rule["blocked"]) & names


def test_recon3d_essential_reactions_stop_growth_in_the_written_core(recon3d_core: Built) -> None:
    network = recon3d_core.network
    with FluxLP(network) as lp:
        lp.maximise()
        for reaction in ("EX_lys__L_e", "DHORTS", "TMDS", "AKGDm", "GLCt1r"):
            column = network.column(reaction)
            lp.set_bounds(column, 0.0, 0.0)
            without = lp.maximise().objective
            assert (without < 0.01 * RECON3D_GROWTH) == (reaction not in ("AKGDm", "GLCt1r")), reaction
            lp.set_bounds(column, network.lower[column], network.upper[column])


def test_progress_goes_to_stderr_one_line_for_each_phase(recon3d_core: Built) -> None:
    phases = [phase["phase"] for phase in recon3d_core.answer["phases"]]
    assert len(phases) == PHASES
    assert [line.partition(" s  ")[2] for line in recon3d_core.errors.splitlines()] == phases


def test_a_small_model_on_its_own_medium(textbook: Path, tmp_path: Path) -> None:
    output = tmp_path / "new folder" / "core.xml.gz"
    arguments = ("--input", textbook, "--output", output, "--medium", "model", "--reactions", "95")
    result = redox("build-core", *arguments, "--json")
    answer = json.loads(result.stdout)
    assert (answer["reactions"], answer["objective"], answer["warnings"]) == (87, "Biomass_Ecoli_core", [])
    assert answer["growth"] == pytest.approx(0.873922, abs=1e-6)
    written = load_network(output)
    assert set(written.reactions) == set(rules_of(answer)["consistent"]["kept"])
    assert "EX_glc__D_e" in rules_of(answer)["medium"]["kept"]
    table = redox("build-core", *arguments).stdout
    for word in ("87 reactions", "growth 0.8739215", "essential", "central_carbon", "AKGDH"):
        assert word in table


def test_biomass_can_be_chosen(textbook: Path, tmp_path: Path) -> None:
    arguments = ("--input", textbook, "--output", tmp_path / "core.json", "--medium", "model")
    answer = json.loads(redox("build-core", *arguments, "--biomass", "ATPM", "--json").stdout)
    assert answer["objective"] == "ATPM"


def test_a_medium_without_growth_is_refused(textbook: Path, tmp_path: Path) -> None:
    model = cobra.io.load_json_model(str(textbook))
    model.reactions.get_by_id("EX_nh4_e").lower_bound = 0
    starved = tmp_path / "starved.json"
    cobra.io.save_json_model(model, str(starved))
    output = tmp_path / "core.json"
    answer = redox("build-core", "--input", starved, "--output", output, "--medium", "model")
    assert_refused(answer, "does not grow", "--medium")
    assert not output.exists()


def test_a_model_without_the_exchanges_of_the_medium_gets_a_hint_to_use_its_own(tmp_path: Path) -> None:
    model = cobra.Model("lonely")
    source, growth = cobra.Reaction("EX_x_e", lower_bound=-1), cobra.Reaction("grow")
    source.add_metabolites({cobra.Metabolite("x_e", compartment="e"): -1})
    growth.add_metabolites({cobra.Metabolite("x_e", compartment="e"): -1})
    model.add_reactions([source, growth])
    model.objective = "grow"
    path = tmp_path / "lonely.json"
    cobra.io.save_json_model(model, str(path))
    answer = redox("build-core", "--input", path, "--output", tmp_path / "core.json")
    assert_refused(answer, "'model' to keep", "(--medium)")


def test_a_folder_that_cannot_be_written_and_a_full_disk_leave_no_partial_file(
    textbook: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    arguments = ("--input", textbook, "--medium", "model", "--output")
    assert_refused(redox("build-core", *arguments, blocked / "core.json"), "core.json")
    output = tmp_path / "core.json"
    output.write_text("the old core")
    with disk_full_after(4096):
        assert_refused(redox("build-core", *arguments, output), "core.json")
    assert output.read_text() == "the old core"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["core.json", "file"]


def test_values_on_the_recon3d_core_are_those_of_the_plain_program(recon3d_core: Built) -> None:
    """Compare regions on the compressed core with the plain programs, both solved by GLPK."""
    conditions = [c for c in load_conditions().values() if not c.missing_from(recon3d_core.network)]
    space = DesignSpace.build(recon3d_core.network, load_library(), conditions)
    rng = np.random.default_rng(0)
    # `exact_check` raises where value, growth, capacity or rescue differ by more than 1e-8.
    with Evaluator(space, exact_check=True) as evaluator:
        for _ in range(50):
            condition = space.conditions[rng.integers(len(space.conditions))].sampled(rng)
            construct = Construct.empty(len(space.placements))
            for _ in range(3):
                construct = construct.place(*(int(rng.integers(len(e))) for e in (space.placements, space.levels)))
                evaluator.evaluate(construct, condition)
        assert evaluator.hits > 0.7 * evaluator.lookups


def test_the_core_keeps_what_a_cell_line_opens(textbook: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines.csv"
    lines.write_text("exchange,A\nEX_fru_e,-1\n")
    found = []
    for options in ((), ("--cell", "A", "--cells-file", lines)):
        paths = ("--input", textbook, "--output", tmp_path / "core.json")
        succeeded("build-core", *paths, "--medium", "model", *options)
        found.append(load_network(tmp_path / "core.json"))
    plain, wider = found
    assert set(wider.reactions) - set(plain.reactions) == {"EX_fru_e", "FRUpts2"}
    assert wider.bounds_of("EX_fru_e") == (0.0, 1000.0)  # the medium's: a line opens it
