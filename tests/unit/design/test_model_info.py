"""The page about a model: the right answers, in an order in which no search hides what is known."""

import json
from pathlib import Path
from typing import Any

import cobra
import pytest
from typer.testing import CliRunner

from notations import NOTATIONS
from redox_balancer.cell.lp import FluxLP, LPError
from redox_balancer.cell.models import save_model
from redox_balancer.cli import app
from redox_balancer.cli.model_page import page_lines
from redox_balancer.design import model_info as page
from redox_balancer.errors import RedoxError
from toy_cell import GROWTH, toy_cell

OLD_KEYS = {
    *("model", "reactions", "metabolites", "genes", "exchanges", "objective", "medium", "growth", "status"),
    *("imbalanced", "free_loops", "repairs", "imbalanced_reactions", "looping_reactions"),
}


def odd_exchange(model: cobra.Model) -> None:
    """An exchange of a compartment that is none, a drain, a cycle, an imbalance and metabolites without formula."""
    model.add_reactions([cobra.Reaction(name) for name in ("EX_odd", "sink", "BACK", "UN")])
    model.reactions.EX_odd.add_metabolites({cobra.Metabolite("odd_q", compartment="q"): -1.0})
    model.reactions.sink.add_metabolites({model.metabolites.pyr_c: -1.0})
    model.reactions.sink.bounds = 0.0, 0.0
    model.reactions.BACK.add_metabolites({m: -v for m, v in model.reactions.LDH_L.metabolites.items()})
    model.reactions.BACK.bounds = -1000.0, 1000.0
    model.reactions.UN.add_metabolites({model.metabolites.atp_c: -1.0, model.metabolites.adp_c: 1.0})
    model.reactions.UN.upper_bound = 0.0


def sections(model: cobra.Model, folder: Path, medium: str = "model") -> dict[str, Any]:
    path = folder / "cell.json"
    save_model(model, path)
    answer: dict[str, Any] = {}
    for section in page.model_info(path, medium):
        answer |= section
        assert all(line.strip() for line in page_lines(section))
    return answer


@pytest.mark.parametrize(
    ("notation", "found", "oxygen"),
    [
        ("usual", {"usual": 6}, "EX_o2_e"),
        ("reversed", {"import-positive": 6}, "EX_o2_e"),
        ("doubled", {"scaled": 6}, "EX_o2_e"),
        ("split as by GECKO", {"split": 6}, "EX_o2_e_REV"),
    ],
)
def test_what_limits_growth_accounts_for_all_of_it_in_every_notation(
    notation: str, found: dict[str, int], oxygen: str, tmp_path: Path
) -> None:
    model = toy_cell()
    NOTATIONS[notation](model)
    answer = sections(model, tmp_path)
    assert answer.keys() >= OLD_KEYS
    assert (answer["growth"], answer["status"]) == (pytest.approx(model.slim_optimize()), "optimal")
    assert "healthy" in answer["conditions"]
    assert "complex_i_closed (NADH2_u10mi)" in answer["conditions_left_out"][-1]
    assert answer["notations"] == found
    assert (answer["oxygen_uptake"], answer["unit"]) == (20.0, 40.0)
    assert (answer["unrecognised_exchanges"], answer["sinks_and_demands"]) == ([], 0)
    limits = {limit["reaction"]: limit for limit in answer["limits"]}
    assert sum(limit["share"] for limit in limits.values()) == pytest.approx(1.0)
    assert (limits[oxygen]["bound"], limits[oxygen]["value"]) == ("uptake", 20.0)
    assert set(answer["placements"]) >= {"LBNOX_c", "TPNOX_c"}
    assert not any((answer["imbalanced"], answer["without_formula"], answer["without_charge"], answer["free_loops"]))


def test_the_share_of_a_bound_is_what_growth_loses_with_it(tmp_path: Path) -> None:
    model = toy_cell()
    maintenance = cobra.Reaction("ATPM")
    model.add_reactions([maintenance])
    maintenance.build_reaction_from_string("atp_c + h2o_c --> adp_c + pi_c + h_c")
    maintenance.lower_bound = 20.0
    growth = model.slim_optimize()
    shares = {limit["reaction"]: limit["share"] for limit in sections(model, tmp_path)["limits"]}
    assert shares["ATPM"] < 0
    for reaction, share in shares.items():
        with model:
            model.reactions.get_by_id(reaction).lower_bound *= 1.001
            assert model.slim_optimize() - growth == pytest.approx(0.001 * share * growth, rel=1e-6)


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9])
def test_growth_and_its_limit_are_those_of_a_vitamin_of_any_size(size: float, tmp_path: Path) -> None:
    model = toy_cell()
    vitamin = cobra.Metabolite("vit_e", compartment="e")
    model.add_reactions([cobra.Reaction("EX_vit_e", lower_bound=-size)])
    model.reactions.EX_vit_e.add_metabolites({vitamin: -1.0})
    model.reactions.BIOMASS.add_metabolites({vitamin: -size})
    answer = sections(model, tmp_path)
    assert answer["growth"] == pytest.approx(1.0, rel=1e-9)
    limits = {limit["reaction"]: (limit["value"], limit["share"]) for limit in answer["limits"]}
    assert limits == {"EX_vit_e": (size, pytest.approx(1.0))}


def test_what_is_wrong_with_a_model_is_named(tmp_path: Path) -> None:
    model = toy_cell()
    odd_exchange(model)
    answer = sections(model, tmp_path)
    assert answer["unrecognised_exchanges"] == ["EX_odd"]
    assert answer["sinks_and_demands"] == 2
    assert (answer["without_formula"], answer["without_charge"]) == (1, 1)
    assert list(answer["imbalanced_reactions"]) == ["UN"]
    assert set(answer["looping_reactions"]) == {"BACK", "LDH_L"}
    model.reactions.EX_o2_e.lower_bound = -float("inf")
    answer = sections(model, tmp_path)
    assert json.loads(json.dumps(answer, allow_nan=False))["oxygen_uptake"] is None
    assert "unlimited (inf)" in answer["unit_problem"]
    (tmp_path / "species.csv").write_text("glc__D,1\no2_e,2\nxyl__D,0\n")
    assert sections(toy_cell(), tmp_path, str(tmp_path / "species.csv"))["not_in_model"] == ["xyl__D"]
    starved = sections(toy_cell(), tmp_path, "physiological")
    assert "EX_lys__L_e" in starved["not_in_model"]
    assert not {"EX_o2_e", "EX_h_e"} & set(starved["not_in_model"])


def test_growth_is_known_before_a_search_that_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cell.json"
    save_model(toy_cell(), path)

    def endless(*_: object, **__: object) -> None:
        raise RedoxError("time is up")

    monkeypatch.setattr(page, "reactions_in_cycles", endless)
    found = page.model_info(path)
    next(found)
    assert next(found)["growth"] == pytest.approx(GROWTH)
    *_, last = found
    assert (last["free_loops"], last["looping_reactions"]) == (None, None)
    assert "stopped after 30 s" in "".join(page_lines(last))


def test_growth_that_glpk_cannot_prove_is_that_of_highs_and_named_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unproven(_: FluxLP) -> None:
        raise LPError("no answer can be proven")

    monkeypatch.setattr(FluxLP, "maximise", unproven)
    path = tmp_path / "cell.json"
    save_model(toy_cell(), path)
    found = page.model_info(path)
    next(found)
    section = next(found)
    assert (section["growth"], section["status"]) == (pytest.approx(GROWTH), "by HiGHS alone")


def test_a_model_that_does_not_grow_is_described_all_the_same(tmp_path: Path) -> None:
    model = toy_cell()
    model.reactions.EX_glc__D_e.lower_bound = model.reactions.EX_h_e.lower_bound = 0.0
    save_model(model, tmp_path / "cell.json")
    done = CliRunner().invoke(app, ["model", "info", str(tmp_path / "cell.json"), "--json"])
    answer = json.loads(done.stdout)
    assert (answer["growth"], answer["limits"], answer["free_loops"]) == (0.0, [], 0)
    assert len(answer["missing"]) == 1
    assert isinstance(done.exception, RedoxError)
    assert done.exception.message.endswith(f"does not grow on medium 'model'; missing: {answer['missing'][0]}")
