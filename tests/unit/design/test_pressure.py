"""What outside redox reactions do to growth: against HiGHS, against facts of the core, and on a cell of our own."""

import json
from pathlib import Path

import cobra
import numpy as np
import pytest
from typer.testing import CliRunner

import redox_balancer as rb
from notations import NOTATIONS
from redox_balancer.cell.balance import imbalance
from redox_balancer.cell.conditions import Change, Condition, Side
from redox_balancer.cell.consistency import stoichiometric_matrix
from redox_balancer.cell.missing import largest_flux
from redox_balancer.cell.models import to_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.cli import app
from redox_balancer.design.diagnosis import AMOUNTS, KINDS, Diagnosis, Pressure, Trouble
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.pressure import diagnose, pools_of
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from toy_cell import toy_cell


@pytest.fixture(scope="module")
def cell() -> DesignSpace:
    return Task().space({})


@pytest.fixture(scope="module")
def found(cell: DesignSpace) -> dict[str, Diagnosis]:
    return {diagnosis.condition: diagnosis for diagnosis in diagnose(cell)}


def pool(diagnosis: Diagnosis, name: str) -> Pressure:
    (pressure,) = (pressure for pressure in diagnosis.pressures if pressure.pool == name)
    return pressure


def of_toy(model: cobra.Model, *changes: Change) -> list[Diagnosis]:
    conditions = [Condition(id="healthy", description="unchanged")]
    conditions += [Condition(id="changed", description="changed", changes=changes)] * bool(changes)
    return list(diagnose(DesignSpace.build(to_network(model), {}, conditions)))


def test_an_outside_reaction_loses_two_hydrogens_or_nothing(core: Network) -> None:
    pools = list(pools_of(core))
    assert {f"{pool.carrier}_{pool.compartment}" for pool in pools} == {
        *("nadh_c", "nadph_c", "nadh_m", "nadph_m", "q10h2_m"),
    }
    for pool in pools:
        lost = {kind: imbalance(pool.reactions[kind], core.formulas, core.charges) for kind in KINDS}
        assert lost == {"acceptor": {"H": -2.0}, "donor": {"H": 2.0}, "oxygen": {}}


@pytest.mark.parametrize(
    "condition", ["healthy", "hypoxia", "complex_i_closed", "complex_iii_closed", "gpd2_deficiency"]
)
def test_growth_slopes_and_gains_are_those_of_another_solver(
    cell: DesignSpace, found: dict[str, Diagnosis], condition: str
) -> None:
    diagnosis = found[condition]
    formulation = Formulation(cell, compressed=False)
    (chosen,) = (known for known in cell.conditions if known.id == condition)
    lower, upper = formulation.bounds(formulation.under(chosen).point)
    growth_at = formulation.network.column(formulation.network.objective)

    def growth(reaction: dict[str, float], least: float, most: float) -> float | None:
        network = formulation.network.with_columns([Column("outside", reaction)])
        bounds = np.append(lower, least), np.append(upper, most)
        answer = largest_flux(stoichiometric_matrix(network), growth_at, *bounds)
        return None if answer.status == 2 else -float(answer.fun)

    for pool_ in pools_of(cell.network):
        pressure = pool(diagnosis, f"{pool_.carrier}_{pool_.compartment}")
        for kind in KINDS:
            slope, gains = getattr(pressure, kind)
            expected = [(growth(pool_.reactions[kind], 0.0, amount) or 0.0) - diagnosis.growth for amount in AMOUNTS]
            assert gains == pytest.approx(expected, abs=1e-7)
            forced = growth(pool_.reactions[kind], AMOUNTS[0], AMOUNTS[0])
            assert slope == (
                forced if forced is None else pytest.approx((forced - diagnosis.growth) / 1e-3, abs=1e-4)
            )
        if None not in (pressure.acceptor.slope, pressure.donor.slope):
            # The growth that a flux allows is concave, so its slope does not rise from one side of 0 to the other.
            assert pressure.acceptor.slope + pressure.donor.slope <= 1e-4


def test_closed_complexes_leave_electrons_where_experiments_found_them(found: dict[str, Diagnosis]) -> None:
    third, first = found["complex_iii_closed"], found["complex_i_closed"]
    oxidase = rb.evaluate(Task(conditions=("complex_iii_closed",)), "LBNOX_c 0.3 %", "complex_iii_closed")
    assert pool(third, "nadh_c").oxygen.gains[-1] == pytest.approx(oxidase.growth / (1 - 3e-3 / 0.48), rel=1e-6)
    assert all(not any(pool(third, name).acceptor.gains) for name in ("nadh_m", "nadph_m", "nadph_c"))
    assert str(third.strongest("acceptor")[0][0]) == "ubiquinol (mitochondria)"
    assert pool(first, "nadh_m").acceptor.gains[-1] > pool(first, "nadh_c").acceptor.gains[-1]
    assert not any(pool(first, "q10h2_m").acceptor.gains)
    assert pool(first, "q10h2_m").donor.gains[-1] > 0.5 * (first.reference_growth - first.growth)
    assert (
        pool(found["hypoxia"], "q10h2_m").oxygen.gains[-1]
        == 0.0
        < pool(found["hypoxia"], "q10h2_m").acceptor.gains[0]
    )


def test_every_condition_has_its_answer(found: dict[str, Diagnosis]) -> None:
    redox = {"hypoxia", "complex_i_closed", "complex_iii_closed", "hypoxia_ldha_deficiency", "gpd2_deficiency"}
    assert {name for name, diagnosis in found.items() if diagnosis.trouble is Trouble.SURPLUS} == redox
    assert {name for name, diagnosis in found.items() if diagnosis.trouble is not Trouble.NONE} == redox
    assert str(found["mdh2_deficiency"]).startswith("mdh2_deficiency: no effect, growth 0.0844 1/h; not redox")
    assert "57.9% lost; redox: surplus of electrons at NADH (mitochondria) 14%" in str(found["complex_i_closed"])
    assert found["mdh1_deficiency"].limits[0]["name"] == "MDH"
    assert sum(limit["share"] for limit in found["hypoxia"].limits) == pytest.approx(1.0, abs=1e-3)


def test_a_cell_that_cannot_be_maintained_lives_where_an_acceptor_lets_it() -> None:
    closed = {"reaction": "CYOR_u10mi", "side": Side.FLUX, "value": 0.0}
    export = {"reaction": "EX_lac__L_e", "side": Side.EXPORT, "value": 0.5}
    changes = tuple(Change(**change, low=0.0, high=1.0, source="a test") for change in (closed, export))
    dead = Condition(id="dead", description="no chain, little lactate", changes=changes)
    space = DesignSpace.build(Task().network(), {}, [dead])
    (diagnosis,) = diagnose(space)
    assert (diagnosis.growth, diagnosis.lives, diagnosis.lost) == (0.0, False, 1.0)
    shares = {limit["name"]: limit["share"] for limit in diagnosis.limits}
    assert shares["DM_atp_c_"] == pytest.approx(-1.0)
    assert 0 < sum(share for share in shares.values() if share > 0) < 1
    oxidation = pool(diagnosis, "nadh_c").oxygen
    assert oxidation.slope is None
    assert oxidation.gains[0] == 0.0 < oxidation.gains[-1]
    assert "cannot be met" in str(diagnosis)


@pytest.mark.parametrize("notation", ["usual", "reversed", "doubled", "split as by GECKO"])
def test_pressure_does_not_depend_on_how_exchanges_are_written(notation: str) -> None:
    model = toy_cell()
    model.reactions.EX_lac__L_e.upper_bound = 0.05
    model.reactions.RESP.upper_bound = 0.05
    (expected,) = of_toy(model.copy())
    NOTATIONS[notation](model)
    (diagnosis,) = of_toy(model)
    nadh = pool(diagnosis, "nadh_c")
    assert diagnosis.trouble is Trouble.SURPLUS
    assert nadh.acceptor.slope > 0
    assert nadh.oxygen.gains == pytest.approx(nadh.acceptor.gains)
    assert [effect for kind in KINDS for effect in getattr(nadh, kind)[1]] == pytest.approx(
        [effect for kind in KINDS for effect in getattr(pool(expected, "nadh_c"), kind)[1]]
    )


def test_more_growth_than_unperturbed_and_a_model_without_carriers_are_told() -> None:
    model = toy_cell()
    model.reactions.EX_glc__D_e.lower_bound = -0.5
    fed = Change(reaction="EX_glc__D_e", side=Side.UPTAKE, value=1.0, low=0.0, high=1.0, source="a test", opens=True)
    hungry, better = of_toy(model, fed)
    assert hungry.trouble is Trouble.LACK  # respiration makes ATP of each NADH
    assert "; redox, or fuel: lack of electrons at NADH (cytosol)" in str(hungry)
    assert "100.0% more; " in str(better)
    # Less sugar lowers growth, but a donor adds what it adds to the unperturbed cell: electrons are not what is lost.
    less = of_toy(model, fed.model_copy(update={"value": 0.4, "opens": False}))[1]
    assert less.lost > 0.1
    assert less.trouble is Trouble.NONE
    for metabolite in ("nadh_c", "nadph_c"):
        model.metabolites.get_by_id(metabolite).id = metabolite.replace("nad", "x")
    model.repair()
    with pytest.raises(RedoxError, match="no pool of NADH"):
        of_toy(model)


def test_a_cell_line_is_compared_with_itself() -> None:
    alone, closed = rb.diagnose(Task(cells=("HT29",), conditions=("healthy", "complex_iii_closed")))
    assert (alone.condition, alone.unperturbed, closed.unperturbed) == ("HT29", None, alone)
    assert alone.growth < 0.5 * rb.evaluate(Task(), "LBNOX_c 0.1 %").growth_without
    assert closed.shares("acceptor")[pool(closed, "q10h2_m")] == pytest.approx(1.0)


def test_a_genome_scale_model_has_more_pools_and_the_same_answer(recon3d_path: Path) -> None:
    task = Task(model=recon3d_path, medium="culture", conditions=("healthy", "complex_iii_closed"))
    healthy, closed = rb.diagnose(task)
    pools = {pressure.pool for pressure in healthy.pressures}
    assert pools > {"nadh_c", "nadh_m", "nadph_c", "nadph_m", "q10h2_m", "nadh_x", "nadh_r"}
    assert healthy.trouble is Trouble.NONE
    assert closed.trouble is Trouble.SURPLUS
    assert closed.shares("oxygen")[pool(closed, "q10h2_m")] > 0.5
    assert closed.shares("acceptor")[pool(closed, "nadh_m")] < 0.5


def test_the_command_prints_the_answers_and_draws_them(tmp_path: Path, found: dict[str, Diagnosis]) -> None:
    chosen = ["diagnose", "--conditions", "healthy,hypoxia"]
    for suffix, start in ((".svg", b"<svg"), (".png", b"\x89PNG")):
        figure = tmp_path / f"map{suffix}"
        result = CliRunner().invoke(app, [*chosen, "--figure", str(figure)])
        assert result.exit_code == 0
        assert figure.read_bytes().startswith(start)
        assert result.output.endswith(f"{found['hypoxia']}\n")
    answer = json.loads(CliRunner().invoke(app, [*chosen, "--json"]).stdout)
    assert answer["hypoxia"] == json.loads(json.dumps(found["hypoxia"].data()))
    for options, problem in (
        (["--figure", "map.pdf"], "cannot draw map.pdf"),
        (["--held-by-medium"], "--held-by-medium does not go without --ratios"),
        (["--draws", "3"], "--draws does not go without --ratios"),
    ):
        assert problem in str(CliRunner().invoke(app, [*chosen, *options]).exception)
