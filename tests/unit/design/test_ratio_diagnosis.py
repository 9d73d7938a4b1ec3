"""`redox diagnose --ratios`: what it says of conditions, as text and as JSON, and of wrong input."""

from __future__ import annotations

import json
import math

import pytest
from typer.testing import CliRunner

from redox_balancer.cell.models import to_network
from redox_balancer.cli import app
from redox_balancer.design.ratio_diagnosis import RatioDiagnosis, diagnose_ratios
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from toy_cell import toy_cell

CONDITIONS = "healthy,complex_iii_closed,gpd2_deficiency"
OF_CORE = {"nad_c/nadh_c", "nad_m/nadh_m", "nadp_c/nadph_c", "nadp_m/nadph_m"}


@pytest.fixture(scope="module")
def found() -> dict[str, RatioDiagnosis]:
    space = Task(conditions=CONDITIONS).space({})
    return {diagnosis.condition: diagnosis for diagnosis in diagnose_ratios(space, draws=20)}


def test_each_condition_has_its_state(found: dict[str, RatioDiagnosis]) -> None:
    healthy, dead, infeasible = found.values()
    data = healthy.data()
    assert data["windows"].keys() == OF_CORE
    assert data["largest_growth"].keys() == {"nad_c/nadh_c", "nad_m/nadh_m"}
    low, high = data["driving_force_interval"]
    assert low < data["driving_force"] < high
    window = data["windows"]["nad_m/nadh_m"]
    assert window["high_interval"][0] < window["high"] < window["high_interval"][1]
    assert data["active"] - len(data["without_energy"]) == 93
    assert (dead.growth, dead.force, dead.data()["windows"]) == (0.0, None, {})
    # Proline is made from what its own breakdown leaves, through the open form, against 34 kJ/mol.
    assert infeasible.force is not None
    assert infeasible.force.value < -5.0
    assert next(iter(infeasible.force.limiting)) == "G5SADrm"
    assert infeasible.windows == ()
    assert infeasible.feasible is not None
    assert infeasible.feasible < 0.5
    assert healthy.feasible is not None
    assert healthy.feasible > 0.5


def test_the_command_prints_what_the_library_finds(found: dict[str, RatioDiagnosis]) -> None:
    run = CliRunner().invoke(app, ["diagnose", "--ratios", "--draws", "20", "--conditions", CONDITIONS, "--json"])
    printed = json.loads(run.stdout)
    assert printed.keys() == found.keys()
    assert printed["healthy"]["driving_force"] == pytest.approx(found["healthy"].data()["driving_force"])
    text = CliRunner().invoke(app, ["diagnose", "--ratios", "--draws", "0", "--conditions", CONDITIONS]).stdout
    assert "a cell that does not grow has no state" in text
    assert "NADH2_u10mi" in text
    assert "reactions that run have an energy; without one, and so without a limit: CO2t, CO2tm" in text


def test_concentrations_move_the_window() -> None:
    space = Task(conditions="hypoxia").space({})
    at = {"lac__L_c": (2e-2, 2e-2), "pyr_c": (5.1e-5, 5.1e-5)}
    ends = [
        next(iter(diagnose_ratios(space, concentrations=ranges))).data()["windows"]["nad_c/nadh_c"]["high"]
        for ranges in ({}, at)
    ]
    assert ends[1] < ends[0] / 20
    assert math.log10(ends[1]) == pytest.approx(
        1.74, abs=0.02
    )  # K of LDH at pH 7.2, 4.7e-5, and lactate/pyruvate 392


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--margin", "5"], "no concentrations give every reaction a driving force of 5 kJ/mol"),
        (["--concentrations", "lac__L_e=50"], "lac__L_e: 50 to 50 M is no range between 1e-12 and 10 M"),
        (["--concentrations", "lac__L_e=much"], "cannot read the concentration 'lac__L_e=much'"),
        (["--concentrations", "tea_e=1e-3"], "has no metabolite 'tea_e'"),
    ],
)
def test_wrong_input_is_one_line(options: list[str], message: str) -> None:
    run = CliRunner().invoke(app, ["diagnose", "--ratios", "--conditions", "healthy", *options])
    assert isinstance(run.exception, RedoxError)
    assert message in str(run.exception)


def test_a_model_without_energies_has_a_growing_cell_and_no_answer() -> None:
    space = DesignSpace.build(to_network(toy_cell()), {}, Task(conditions="healthy").space({}).conditions)
    (diagnosis,) = diagnose_ratios(space)
    assert {"GLYC", "TCA", "RESP"}.isdisjoint(diagnosis.without_energy)  # BiGG's names suffice
    model = toy_cell()
    for metabolite in model.metabolites:
        metabolite.id = f"own_{metabolite.id}"
    with pytest.raises(RedoxError, match=r"has no NAD\+ with NADH"):
        list(diagnose_ratios(DesignSpace.build(to_network(model), {}, space.conditions)))
