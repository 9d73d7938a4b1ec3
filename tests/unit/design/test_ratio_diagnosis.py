"""`redox diagnose --ratios`: what it says of conditions, as text and as JSON, and of wrong input."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from redox_balancer.cell.conditions import Condition, combined
from redox_balancer.cell.energies import thermodynamics_of
from redox_balancer.cell.media import Concentration, load_media
from redox_balancer.cell.models import to_network
from redox_balancer.cell.ratio_capacity import HeldByMedium
from redox_balancer.cli import app
from redox_balancer.design.figures import ratio_curves
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.named_construct import NamedConstruct, build_construct
from redox_balancer.design.ratio_diagnosis import RatioDiagnosis, diagnose_ratios
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from toy_cell import toy_cell

CONDITIONS = "healthy,complex_iii_closed,pdh_deficiency"
OF_CORE = {"nad_c/nadh_c", "nad_m/nadh_m", "nadp_c/nadph_c", "nadp_m/nadph_m"}


@pytest.fixture(scope="module")
def found() -> dict[str, RatioDiagnosis]:
    space = Task(conditions=CONDITIONS).space({})
    return {diagnosis.condition: diagnosis for diagnosis in diagnose_ratios(space, draws=20)}


def test_each_condition_has_its_state(found: dict[str, RatioDiagnosis]) -> None:
    healthy, dead, wide = found.values()
    data = healthy.data()
    assert data["windows"].keys() == OF_CORE
    assert data["largest_growth"].keys() == {"nad_c/nadh_c", "nad_m/nadh_m"}
    low, high = data["driving_force_interval"]
    assert low < data["driving_force"] < high
    window = data["windows"]["nad_m/nadh_m"]
    assert window["high_interval"][0] < window["high"] < window["high_interval"][1]
    assert data["active"] - len(data["without_energy"]) == 93
    assert data["coverage"]["all, active"] == [93, data["active"]]
    assert data["coverage"]["NAD(P)H, active"] == [22, 22]
    assert (dead.growth, dead.force, dead.data()["windows"]) == (0.0, None, {})
    assert healthy.feasible == 1.0
    ratios = wide.data()["largest_growth"]
    assert ratios["nad_m/nadh_m"]["width"] > 1000
    assert ratios["nad_m/nadh_m"]["ratio"] is None


def test_an_infeasible_state_has_a_negative_driving_force_and_no_windows() -> None:
    space = Task(conditions="healthy").space({})
    ranges = {"asp__L_m": (0.5, 0.5), "fum_m": (1e-6, 1e-6)}  # the matrix cannot make aspartate from fumarate then
    (diagnosis,) = diagnose_ratios(space, concentrations=ranges, draws=10)
    assert diagnosis.force is not None
    assert diagnosis.force.value < -1.0
    assert diagnosis.windows == ()
    assert diagnosis.conflicts
    assert diagnosis.feasible == 0.0
    assert diagnosis.data()["driving_force_interval"][1] < 0.0


def test_the_command_prints_what_the_library_finds(found: dict[str, RatioDiagnosis]) -> None:
    run = CliRunner().invoke(app, ["diagnose", "--ratios", "--draws", "20", "--conditions", CONDITIONS, "--json"])
    printed = json.loads(run.stdout)
    assert printed.keys() == found.keys()
    assert printed["healthy"]["driving_force"] == pytest.approx(found["healthy"].data()["driving_force"])
    for construct, cells in (("AOX_m 0.1 %", ["healthy", "healthy + AOX_m 0.1 %"]), ("nothing", ["healthy"])):
        options = ["--ratios", "--conditions", "healthy", "--construct", construct, "--draws", "0", "--json"]
        assert list(json.loads(CliRunner().invoke(app, ["diagnose", *options]).stdout)) == cells
    text = CliRunner().invoke(app, ["diagnose", "--ratios", "--draws", "0", "--conditions", CONDITIONS]).stdout
    assert "a cell that does not grow has no state" in text
    assert "NADH2_u10mi" in text
    assert "93 of 101" in text
    assert "without a limit (diffusion): CO2t, CO2tm, " in text


def test_concentrations_move_the_window() -> None:
    space = Task(conditions="hypoxia").space({})
    at = {"lac__L_c": (2e-2, 2e-2), "pyr_c": (5.1e-5, 5.1e-5)}
    ends = [
        next(iter(diagnose_ratios(space, concentrations=ranges))).data()["windows"]["nad_c/nadh_c"]["high"]
        for ranges in ({}, at)
    ]
    assert ends[1] < ends[0] / 20
    assert math.log10(ends[1]) == pytest.approx(
        1.43, abs=0.02
    )  # K of LDH at pH 7.2, 9.6e-5, and lactate/pyruvate 392


def test_what_lowers_and_what_raises_the_ratio_of_the_cytosol() -> None:
    """As in cells: hypoxia and inhibited complex I, LbNOX (Titov et al. 2016), pyruvate (Sullivan et al. 2015)."""
    task = Task(conditions="healthy,hypoxia,complex_i_closed")
    culture = {"lac__L_c": (5e-3, 2e-2), "pyr_c": (5e-5, 3e-4)}
    space, built = build_construct(task.space(), NamedConstruct("LBNOX_c 0.3 %"))
    found = {d.condition: d for d in diagnose_ratios(space, concentrations=culture, construct=built)}
    with_pyruvate = culture | {"pyr_c": (1e-3, 6e-3)}
    fed = {d.condition: d for d in diagnose_ratios(task.space({}), concentrations=with_pyruvate)}
    best = {name: d.data()["largest_growth"]["nad_c/nadh_c"]["ratio"] for name, d in found.items()}
    best |= {f"{name}, fed": d.data()["largest_growth"]["nad_c/nadh_c"]["ratio"] for name, d in fed.items()}
    assert list(found) == [
        name + end for name in ("healthy", "hypoxia", "complex_i_closed") for end in ("", " + LBNOX_c 0.3 %")
    ]
    assert best["hypoxia"] < 0.7 * best["healthy"]
    assert best["complex_i_closed"] < 0.7 * best["healthy"]
    for name in ("complex_i_closed + LBNOX_c 0.3 %", "complex_i_closed, fed"):
        assert best[name] > 2 * best["complex_i_closed"]
    assert best["hypoxia, fed"] > 2 * best["hypoxia"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--margin", "5"], "no concentrations give every reaction a driving force of 5 kJ/mol"),
        (["--margin", "nan"], "margin is nan"),
        (["--concentrations", "lac__L_e=50"], "lac__L_e: 50 to 50 M is no range between 1e-12 and 10 M"),
        (["--concentrations", "lac__L_e=much"], "cannot read 'lac__L_e=much'"),
        (
            [
                "--held-by-medium",
                "--concentrations",
                "lac__L_e=1e-2,pyr_e=1e-6",
            ],  # the cell's pyruvate starts at 6.6e-6
            "the ratios or equilibria that are held lie outside the ranges of the concentrations",
        ),
        (["--concentrations", "tea_e=1e-3"], "has no metabolite 'tea_e'"),
        (["--construct", "LBNOX_q 0.1 %"], "unknown placement 'LBNOX_q'"),
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


LACTATE = 1e-2


def held(condition: str, lactate_per_pyruvate: float, **given: tuple[float, float]) -> RatioDiagnosis:
    """A cell in a medium with 10 mM lactate; its own pyruvate may be anything."""
    levels = {"lac__L_e": (LACTATE, LACTATE), "pyr_e": (LACTATE / lactate_per_pyruvate,) * 2, "pyr_c": (1e-8, 1e-2)}
    space = Task(conditions=condition).space({})
    (found,) = diagnose_ratios(space, concentrations=levels | given, held_by_medium=True)
    return found


def test_lactate_and_pyruvate_outside_hold_the_ratio_of_the_cytosol() -> None:
    """K of LDH is 9.57e-5 at pH 7.2; the proton that comes along changes lactate and pyruvate alike."""
    for lactate_per_pyruvate in (25.0, 400.0):
        found = held("healthy", lactate_per_pyruvate)
        window = found.optima[0]
        assert str(window.ratio) == "nad_c/nadh_c"
        assert window.low == pytest.approx(window.high, rel=1e-5)
        assert window.low == pytest.approx(1 / 9.566e-5 / lactate_per_pyruvate, rel=1e-3)
        assert found.growth_by_ratios == pytest.approx(found.growth)


def test_the_ratio_that_the_medium_holds_stops_growth_only_far_beyond_measured_ones() -> None:
    """Growth falls from lactate/pyruvate of about 2,400 on; control fibroblasts have 25."""
    growths = [held("healthy", each).growth_by_ratios for each in (2000.0, 5000.0, 20000.0)]
    assert growths == pytest.approx([0.0844, 0.0377, 0.0], abs=2e-4)
    assert held("hypoxia", 1000.0).growth_by_ratios == pytest.approx(held("hypoxia", 25.0).growth_by_ratios)


def test_a_condition_and_a_medium_may_set_concentrations(tmp_path: Path) -> None:
    space, levels = Task(conditions="hypoxia").space({}), {"lac__L_c": (2e-2, 2e-2), "pyr_c": (5.1e-5, 5.1e-5)}
    as_data = {name: {"low": low, "high": high, "source": "assumed"} for name, (low, high) in levels.items()}
    given = Condition.model_validate(space.conditions[0].model_dump() | {"concentrations": as_data})
    wanted = [next(iter(diagnose_ratios(space, concentrations=levels))).data()]
    wanted += [next(iter(diagnose_ratios(replace(space, conditions=(given,))))).data()]
    wanted += [next(iter(diagnose_ratios(space, medium=given.concentrations))).data()]
    assert wanted[0] == wanted[1] == wanted[2]
    # A condition goes before its medium, and what a caller gives before both.
    other = {"pyr_c": Concentration(low=1e-3, high=1e-3)}
    assert next(iter(diagnose_ratios(replace(space, conditions=(given,)), medium=other))).data() == wanted[0]
    at = {name: (level.low, level.high) for name, level in other.items()}
    assert next(iter(diagnose_ratios(replace(space, conditions=(given,)), concentrations=at))).data() != wanted[0]
    medium = tmp_path / "low_pyruvate.toml"
    uptakes = load_media()["physiological"].uptakes.items()
    medium.write_text(
        '[[medium]]\nid = "low"\ndescription = ""\nsource = "test"\nmaintenance = { DM_atp_c_ = 1.0 }\n'
        "concentrations = { lac__L_c = 2e-2, pyr_c = { low = 5.1e-5, high = 5.1e-5 } }\n[medium.uptakes]\n"
        + "".join(f"{name} = {cap.value}\n" for name, cap in uptakes)
    )
    command = ["diagnose", "--ratios", "--draws", "0", "--conditions", "hypoxia", "--medium", str(medium), "--json"]
    printed = json.loads(CliRunner().invoke(app, command).stdout)
    assert printed["hypoxia"]["windows"]["nad_c/nadh_c"]["high"] == wanted[0]["windows"]["nad_c/nadh_c"]["high"]


def test_conditions_that_disagree_on_a_concentration_do_not_combine() -> None:
    levels = [{"pyr_e": Concentration(low=low, high=1e-3)} for low in (1e-4, 1e-3)]
    one, other = (Condition(id=f"c{n}", description="", concentrations=level) for n, level in enumerate(levels))
    assert combined([one, one]).concentrations == levels[0]
    with pytest.raises(RedoxError, match=r"disagree on pyr_e: 0\.0001 to 0\.001 M, and"):
        combined([one, other])
    with pytest.raises(ValidationError, match="needs low <= high"):
        Concentration(low=1e-2, high=1e-3)


def test_a_share_of_a_native_limit_stays_a_share_of_the_measured_capacity() -> None:
    space = Task(conditions="hypoxia_ldha_deficiency").space({})
    formulation = Formulation(space, compressed=False)
    lower, upper = formulation.bounds(formulation.under(space.conditions[0]).point)
    network = replace(formulation.network, lower=lower, upper=upper)
    medium = HeldByMedium.of(network)
    cell = medium.applied(thermodynamics_of(network), space.capacities).network
    assert cell.bounds_of("LDH_L") == pytest.approx((-5.9, 5.9))
    assert cell.bounds_of("GAPD") == pytest.approx((-26.4, 26.4))
    assert {network.reactions[column] for column in medium.equilibria} == {"LDH_L", "L_LACt2r", "PYRt2r"}


def test_the_figure_shows_growth_against_each_ratio_without_and_with_the_construct(tmp_path: Path) -> None:
    space, built = build_construct(Task(conditions="healthy").space(), NamedConstruct("AOX_m 0.1 %"))
    found = list(diagnose_ratios(space, construct=built, curves=True))
    for diagnosis in found:
        for optimum in diagnosis.optima:
            steps, growth = diagnosis.curves[optimum.ratio]
            inside = (steps > math.log10(optimum.low) + 0.05) & (steps < math.log10(optimum.high) - 0.05)
            assert (growth[inside] >= 0.95 * optimum.growth).all()
            assert growth.max() <= optimum.growth * (1 + 1e-9)
    drawing = ratio_curves(found).svg()
    assert all(text in drawing for text in ("healthy + AOX_m 0.1 %", "nad_c/nadh_c", "nad_m/nadh_m", "growth 1/h"))
    figure = tmp_path / "ratios.svg"
    command = ["diagnose", "--ratios", "--draws", "0", "--conditions", CONDITIONS, "--figure", str(figure)]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert "pdh_deficiency" in figure.read_text()
    assert "complex_iii_closed" not in figure.read_text()


def test_curated_recon3d_has_windows_in_its_cytosol_and_matrix(recon3d_path: Path) -> None:
    space = Task(model=str(recon3d_path), medium="culture", conditions="healthy").space({})
    (found,) = diagnose_ratios(space)
    assert found.growth == pytest.approx(0.0844, abs=1e-4)
    assert found.force is not None
    assert found.force.value > 1.0
    windows = {str(window.ratio): window for window in found.windows}
    assert windows["nad_c/nadh_c"].low < 700 < windows["nad_c/nadh_c"].high < 1e4  # measured in liver
    assert windows["nad_m/nadh_m"].low < 8 < windows["nad_m/nadh_m"].high < 100
    known, every = found.coverage["all, active"]
    assert len(found.active) == every
    assert not found.conflicts
    assert known == every - len(found.without_energy) > 270
    assert found.coverage["NAD(P)H"][0] > 650
