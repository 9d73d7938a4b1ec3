"""Cell lines: their table, what it refuses, and measured rates as limits, as forced fluxes and as conditions."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import redox_balancer as rb
from commands import assert_refused, redox
from redox_balancer.cell.cell_lines import TOLERANCE, CellLine, in_cell_lines, load_cell_lines, pick_cell_lines
from redox_balancer.cell.conditions import combined, load_conditions, pick_condition
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.measured_rates import check_line, nearest_division, with_exact_rates
from redox_balancer.cell.models import to_network
from redox_balancer.cell.network import Network
from redox_balancer.cli.model_page import page_lines
from redox_balancer.design.held_out import held_out
from redox_balancer.design.model_info import model_info
from redox_balancer.errors import RedoxError
from refusals import refused
from toy_cell import growth_of, toy_cell

HEADER = "exchange\tA\tB\n"


@pytest.fixture(scope="module")
def toy() -> Network:
    """Glucose limits its growth: 10 mmol/gDW/h allow 19.4 1/h."""
    return to_network(toy_cell()).with_bounds({"EX_o2_e": (-100.0, 0.0)})


def table(folder: Path, rows: str, header: str = HEADER) -> Path:
    path = folder / "lines.tsv"
    path.write_text(header + rows)
    return path


def line(*rates: tuple[str, float], growth: float | None = None) -> CellLine:
    return CellLine(id="A", source="a test", rates=dict(rates), growth=growth)


def test_the_packaged_table() -> None:
    lines = load_cell_lines()
    assert list(lines) == ["HT29", "HOP-62", "786-O", "MALME-3M", "HS-578T", "NCI-H226", "MDA-MB-231", "RPMI-8226"]
    ht29 = lines["HT29"]
    assert (ht29.rates["EX_glc__D_e"], ht29.rates["EX_lac__L_e"], ht29.growth) == (-0.8912, 1.392, 0.03573)
    assert ht29.source.startswith("metabolite consumption and release of Jain et al. 2012, Science 336:1040")
    assert {"EX_o2_e", "EX_cys__L_e", "EX_his__L_e"} <= set(ht29.unmeasured)
    # A cell of human dry mass holds 0.3 to 0.7 of protein, and divides in 19 to 61 h.
    assert all(0.25 < one.protein < 0.7 and 0.0113 < one.growth < 0.0365 for one in lines.values())
    assert [one.id for one in pick_cell_lines(["all", "HT29"])] == list(lines)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("EX_lac__L_e\thigh\t1\n", "gives EX_lac__L_e of A as 'high'"),
        ("EX_lac__L_e\t1\tinf\n", "gives EX_lac__L_e of B as 'inf'"),
        ("EX_lac__L_e\t1\t1\ngrowth\t0\t1\n", "gives growth of A as '0'"),
        ("EX_lac__L_e\t1\n", "has 2 cells in the row of 'EX_lac__L_e', and 3 in the header"),
        ("EX_lac__L_e\t1\t1\nEX_lac__L_e\t-1\t1\n", "A both takes up and secretes EX_lac__L_e: 1, -1"),
        ("EX_lac__L_e\t1\t1\nEX_lac__L_e\t\t2\n", "B has two rates of EX_lac__L_e: 1, 2"),
        ("growth\t1\t1\nEX_lac__L_e\t\t1\n", "has no rates of A"),
        ("", "has no table"),
    ],
)
def test_a_table_is_refused_with_the_place_of_the_mistake(tmp_path: Path, rows: str, problem: str) -> None:
    with refused(problem, settings=("cells_file",)):
        load_cell_lines(table(tmp_path, rows))


@pytest.mark.parametrize("names", ["A\tA", "A+B\tC", "all\tA", "A\t"])
def test_a_name_that_could_not_be_chosen_is_refused(tmp_path: Path, names: str) -> None:
    with refused("has a column"):
        load_cell_lines(table(tmp_path, "EX_lac__L_e\t1\t1\n", f"exchange\t{names}\n"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("exchange;A\nEX_glc__D_e;-1\nEX_xyz_e;1\n", "has no exchange EX_xyz_e of cell line A"),
        (
            "exchange,A\nEX_lac__L_e,1\nlac__L_e,-1\n",
            r"A both takes up and secretes lac__L_e \(EX_lac__L_e, lac__L_e\)",
        ),
        ("exchange\tA\nEX_glc__D_e\t-1\nEX_lac__L_e\t3\n", r"cannot hold at once .*: EX_lac__L_e 3 .* be 2\.08"),
    ],
)
def test_rates_that_a_model_cannot_have_are_refused(tmp_path: Path, toy: Network, content: str, problem: str) -> None:
    (chosen,) = load_cell_lines(table(tmp_path, "", content)).values()
    with pytest.raises(RedoxError, match=problem):
        with_exact_rates(toy, chosen)


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    options = ["search", "greedy", "--placements", "1"]
    file = ["--cells-file", str(table(tmp_path, "EX_glc__D_e\t-1\t-1\nEX_xyz_e\t1\t1\n"))]
    for arguments, problem in (
        (["--cell", "HT2"], "unknown cell line 'HT2'"),
        ([*file, "--cell", "A"], "no exchange EX_xyz_e"),
        (["--cell", "all", "--exact-rates"], "one cell line at a time, 8 are chosen"),
        (["--exact-rates"], "one cell line at a time, 0 are chosen"),
        (["--cell", "HT29", "--conditions", "HT29+hypoxia"], "HT29 is a cell line, and conditions are named without"),
    ):
        assert_refused(redox(*options, *arguments), problem)


def test_measured_rates_cap_and_do_not_force(toy: Network) -> None:
    chosen = line(("EX_glc__D_e", -10.0), ("EX_lac__L_e", 5.0))
    limited = chosen.condition(toy).apply(toy)
    assert limited.bounds_of("EX_glc__D_e") == (-10.0 * (1 + TOLERANCE), 0.0)
    assert limited.bounds_of("EX_lac__L_e") == (0.0, 5.0 * (1 + TOLERANCE))
    assert growth_of(limited) == pytest.approx(growth_of(limited.with_bounds({"EX_lac__L_e": (0.0, 0.0)})))
    forced = with_exact_rates(toy, chosen)
    assert forced.bounds_of("EX_lac__L_e") == pytest.approx((4.5, 5.5))
    assert growth_of(forced) < 0.9 * growth_of(limited)


def test_what_was_not_measured_is_of_the_medium_and_varied(core: Network) -> None:
    chosen = load_cell_lines()["HT29"].condition(core)
    free = {change.reaction: change for change in chosen.changes if change.assumed}
    assert {name: (c.low, c.value, c.high) for name, c in free.items()} == {
        "EX_cys__L_e": (0.025, 0.05, 0.1),
        "EX_his__L_e": (0.025, 0.05, 0.1),
        "EX_o2_e": (0.5, 1.0, 2.0),
    }
    drawn = [chosen.sampled(np.random.default_rng(seed)) for seed in range(20)]
    for before, *after in zip(chosen.changes, *(one.changes for one in drawn), strict=True):
        assert len({change.value for change in after}) == (20 if before.assumed else 1)
    assert len({hash(one) for one in drawn}) == 20


def test_a_line_is_joined_with_conditions_and_named_once(core: Network) -> None:
    known = load_conditions()
    lines = [one.condition(core) for one in pick_cell_lines(["HT29", "HOP-62"])]
    crossed = in_cell_lines(lines, [known["healthy"], known["hypoxia"], known["mdh1_deficiency"]])
    assert [one.id for one in crossed] == [
        f"{cell}{other}" for cell in ("HT29", "HOP-62") for other in ("", "+hypoxia", "+mdh1_deficiency")
    ]
    assert {one.id: one.reference for one in crossed}["HOP-62+hypoxia"] == "HOP-62"
    assert in_cell_lines([], [known["hypoxia"]]) == [known["hypoxia"]]
    both = pick_condition({one.id: one for one in crossed}, "HT29+hypoxia+mdh1_deficiency")
    assert both == combined([lines[0], known["hypoxia"], known["mdh1_deficiency"]])
    assert [one.id for one in held_out(crossed)] == ["HT29+hypoxia+mdh1_deficiency", "HOP-62+hypoxia+mdh1_deficiency"]
    with pytest.raises(RedoxError, match="a cell is of one line"):
        combined(lines)
    for name in ("healthy", "hypoxia"):
        with pytest.raises(RedoxError, match=f"{name} is the name of a cell line and of a condition"):
            in_cell_lines([lines[0].model_copy(update={"id": name})], [known["hypoxia"]])


@pytest.mark.parametrize(
    ("glucose", "growth", "exceeded", "inside"), [(20, 24, {}, True), (10, 30, {"EX_glc__D_e": 1.547}, False)]
)
def test_measured_growth_names_what_must_be_exceeded_and_the_ranges(
    toy: Network, glucose: float, growth: float, exceeded: dict[str, float], *, inside: bool
) -> None:
    found = check_line(toy, line(("EX_glc__D_e", -glucose), ("EX_lac__L_e", 1.0), growth=growth))
    assert found.exceeded == pytest.approx(exceeded, rel=1e-3)
    (lactate,) = found.ranges
    assert lactate.inside is inside
    assert lactate.smallest == pytest.approx(0.0, abs=1e-6)


def test_measured_growth_that_no_uptake_allows_is_refused(toy: Network) -> None:
    with pytest.raises(RedoxError, match=r"cannot grow at its measured 30 1/h"):
        check_line(toy, line(("EX_lac__L_e", 1.0), growth=30.0))


def test_growth_that_is_a_division_is_called_one(core: Network) -> None:
    limited = load_cell_lines()["HT29"].condition(core).apply(core)
    growth = growth_of(limited)
    division = nearest_division(limited, growth)
    assert division is not None
    assert division.exchange == "EX_phe__L_e"
    assert growth == pytest.approx(1.1 * 0.006567 / 0.2595, rel=1e-6) == division.growth
    assert division.says(growth).endswith("a division, not a prediction")
    assert division.says(growth / 2).endswith("growth is 50.0% of it")


def test_a_model_is_described_in_a_line() -> None:
    size, growth = itertools.islice(model_info(core_json(), line=load_cell_lines()["786-O"]), 2)
    assert any("not in model human_redox_core: EX_orn_e" in repair for repair in size["repairs"])
    assert (growth["medium"], growth["measured_growth"]) == ("model, cell line 786-O", 0.03111)
    (limit,) = growth["limits"]
    assert limit["quotient"] == pytest.approx(growth["growth"], rel=1e-6)
    assert any(text.endswith("1/h: a division, not a prediction") for text in page_lines(growth))
    assert not any("native" in text for text in page_lines(growth))


def test_growth_within_native_limits_is_that_of_a_diagnosis(tmp_path: Path) -> None:
    file = table(tmp_path, "EX_glc__D_e\t-0.51\t-1\nEX_o2_e\t-0.4\t-1\n")
    growth = list(itertools.islice(model_info(core_json(), line=load_cell_lines(file)["A"]), 2))[1]
    diagnosed = rb.diagnose(rb.Task(cells="A", cells_file=file, conditions="healthy"))[0].growth
    assert growth["native_growth"] == pytest.approx(diagnosed, rel=1e-9)
    assert growth["growth"] > 1.01 * diagnosed
    assert f"{diagnosed:.7g} 1/h within the limits of native enzymes" in "\n".join(page_lines(growth))
