"""The growth reaction: by id or BiGG name, and whatever the objective of the file is, the same by every command."""

import json
from collections.abc import Callable
from pathlib import Path

import cobra
import pytest

import redox_balancer as rb
from commands import redox_json, succeeded
from redox_balancer.cell.models import load_network, save_model
from toy_cell import GROWTH, add_blocked, toy_cell

VALUE = 0.0310
"""Value of the best healthy construct in the toy cell."""


def no_objective(model: cobra.Model) -> None:
    model.objective = {}


def two_objectives(model: cobra.Model) -> None:
    model.objective = {model.reactions.BIOMASS: 1.0, model.reactions.RESP: 1.0}


def another_objective(model: cobra.Model) -> None:
    model.objective = "EX_lac__L_e"


def foreign_ids(model: cobra.Model) -> None:
    no_objective(model)
    model.reactions.BIOMASS.annotation = {"bigg.reaction": ["BIOMASS_toy"]}
    model.reactions.BIOMASS.id = "MAR13082"
    model.repair()


def drain(model: cobra.Model) -> None:
    """Growth is a demand for biomass inside the cell, as in yeast-GEM (r_2111) and iLB1027_lipid (DM_biomass_c)."""
    token = cobra.Metabolite("biomass_c", compartment="c")
    model.reactions.BIOMASS.add_metabolites({token: 1.0})
    demand = cobra.Reaction("r_2111", upper_bound=1000.0)
    model.add_reactions([demand])
    demand.add_metabolites({token: -1.0})
    model.objective = demand


def exported(model: cobra.Model) -> None:
    """Growth is an exchange of biomass."""
    token, outside = cobra.Metabolite("biomass_c", compartment="c"), cobra.Metabolite("biomass_e", compartment="e")
    model.reactions.BIOMASS.add_metabolites({token: 1.0})
    move, exchange = cobra.Reaction("BIOt"), cobra.Reaction("EX_biomass_e", upper_bound=1000.0)
    model.add_reactions([move, exchange])
    move.add_metabolites({token: -1.0, outside: 1.0})
    exchange.add_metabolites({outside: -1.0})
    model.objective = exchange


def reversible_drain(model: cobra.Model) -> None:
    drain(model)
    model.reactions.r_2111.lower_bound = -5.0


def minimised(model: cobra.Model) -> None:
    model.objective_direction = "min"


def halved(model: cobra.Model) -> None:
    model.objective = {model.reactions.BIOMASS: 0.5}


def least_of_the_opposite(model: cobra.Model) -> None:
    """The least of -growth is the largest growth: nothing to remark."""
    model.objective = {model.reactions.BIOMASS: -1.0}
    model.objective_direction = "min"


def false_infeasible(model: cobra.Model) -> None:
    add_blocked(model, "false_infeasible_grows_1000")


@pytest.mark.parametrize(
    ("quirk", "biomass", "remark"),
    [
        (no_objective, "BIOMASS", ""),
        (two_objectives, "BIOMASS", ""),
        (another_objective, "BIOMASS", ""),
        (foreign_ids, "BIOMASS_toy", ""),
        (drain, None, ""),
        (exported, None, ""),
        (minimised, None, "minimised"),
        (minimised, "BIOMASS", ""),
        (halved, None, "coefficient 0.5"),
        (least_of_the_opposite, None, ""),
        (false_infeasible, None, ""),
    ],
)
def test_every_command_finds_the_growth_reaction(
    quirk: Callable[[cobra.Model], None], biomass: str | None, remark: str, tmp_path: Path
) -> None:
    model, path, core = toy_cell(), tmp_path / "cell.xml", tmp_path / "core.json"
    quirk(model)
    save_model(model, path)
    named = () if biomass is None else ("--biomass", biomass)
    own = {None: load_network(path).objective} if biomass is None else {"BIOMASS_toy": "MAR13082"}
    objective = own.get(biomass, biomass)

    page = redox_json("model", "info", path, *named)
    assert (page["objective"], page["growth"]) == (objective, pytest.approx(GROWTH))
    built = redox_json("build-core", "--input", path, "--output", core, "--medium", "model", *named)
    assert (built["objective"], built["rules"][0]["kept"]) == (objective, [objective])
    written = cobra.io.load_json_model(str(core))
    assert written.slim_optimize() == pytest.approx(GROWTH)
    assert not {"D0", "D1", "D2", "D3"} & {reaction.id for reaction in written.reactions}
    for repairs in (page["repairs"], built["repairs"]):
        assert [remark in repair for repair in repairs] == [True] * bool(remark)
    remarks = []
    for command in ("enzymes", "search greedy --conditions healthy", "search milp --conditions healthy"):
        found = succeeded(*command.split(), "--model", path, *named, "--json")
        remarks.append(found.stderr)
        if command != "enzymes":
            best = json.loads(found.stdout)["healthy"]
            assert best["growth"] < GROWTH
            assert best["value"] == pytest.approx(VALUE, abs=1e-4)
    design = ("design", "--construct", "LBNOX_c 0.1 %", "--output", tmp_path / "design", "--json")
    answer = succeeded(*design, "--model", path, *named)
    designed = json.loads(answer.stdout)
    assert designed["cobrapy"]["growth"] == pytest.approx(designed["growth"], rel=1e-6)
    for said in (*remarks, answer.stderr):
        assert ("note: objective" in said, remark in said) == (bool(remark), True)


@pytest.mark.parametrize("quirk", [drain, exported, reversible_drain])
def test_growth_that_is_a_drain_is_no_sink_that_a_medium_closes(quirk: Callable[[cobra.Model], None]) -> None:
    model = toy_cell()
    quirk(model)
    task = rb.Task(model=model, medium="physiological", conditions="healthy")
    assert rb.evaluate(task, "LBNOX_c 0.1 %").healthy_growth == pytest.approx(0.628)


@pytest.mark.parametrize(
    ("quirk", "named"),
    [
        (no_objective, "0 (none)"),
        (two_objectives, "2 (BIOMASS, RESP)"),
        (lambda model: setattr(model, "objective", model.reactions.BIOMASS.forward_variable), "0 (none)"),
    ],
)
def test_an_objective_that_is_no_single_flux_is_refused_with_candidates(
    quirk: Callable[[cobra.Model], None], named: str
) -> None:
    model = toy_cell()
    quirk(model)
    with pytest.raises(rb.RedoxError, match="one objective reaction") as caught:
        rb.Task(model=model).network()
    assert named in caught.value.message
    assert "BIOMASS" in caught.value.hint
    assert caught.value.settings == ("biomass",)
