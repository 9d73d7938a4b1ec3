"""Metabolic functions: lists as RAVEN reads them, and what a cell performs."""

import re
from pathlib import Path

import pytest

from redox_balancer.cell.function_list import Amount, read_functions
from redox_balancer.cell.functions import display_names, perform
from redox_balancer.cell.models import LoadedModel, load_model, to_network
from refusals import refused
from toy_cell import toy_cell

HEADINGS = (
    "\tID\tDESCRIPTION\tSHOULD FAIL\tIN\tIN LB\tIN UB\tOUT\tOUT LB\tOUT UB\tEQU\tEQU LB\tEQU UB"
    "\tCHANGED RXN\tCHANGED LB\tCHANGED UB"
)
ATP = "atp_c + h2o_c => adp_c + pi_c + h_c"


def listed(folder: Path, *rows: str, headings: str = HEADINGS) -> Path:
    path = folder / "list.txt"
    path.write_text("\n".join((headings, "#\tcomment", "\t\t", *(f"\t{row}" for row in rows))), encoding="latin-1")
    return path


def row(name: str, *cells: str, group: str = "ER", fail: str = "") -> str:
    return "\t".join((group, name, fail, *cells))


LACTATE = ("glc__D_e", "1", "1", "lac__L_e;h_e", "2", "2")
MAY_LEAVE = ("glc__D_e", "", "", "lac__L_e;h_e", "", "")
OTHERS = "ATP[c] + H2O[c] => ADP[c] + Pi[c] + H+[c]"
NEEDS = {
    "two ATP have nowhere to go": ([row("a", *LACTATE)], 0.0),
    "two ATP used": ([row("a", *LACTATE, ATP, "2", "2")], 1.0),
    "at least one ATP used": ([row("a", *LACTATE, ATP, "1")], 1.0),
    "more than there is": ([row("a", *LACTATE, ATP, "3")], 0.0),
    "nothing needs to enter": ([row("a", *MAY_LEAVE, ATP, "1")], 1.0),
    "too little may enter": ([row("a", "glc__D_e", "0", "0.25", *MAY_LEAVE[3:], ATP, "1")], 0.5),
    "protons leave": ([row("a", *MAY_LEAVE[:3], "lac__L_e", "", "", ATP, "1")], 1.0),
    "protons may not": (
        [row("a", *MAY_LEAVE[:3], "lac__L_e", "", "", ATP, "1"), row("", "h_e", "0", "0", group="")],
        0.0,
    ),
    "all may leave": ([row("a", "glc__D_e", "", "", "ALLMETSIN[e]", "", "", ATP, "1")], 1.0),
    "two rows": (
        [row("a", *MAY_LEAVE[:3], "", "", "", ATP, "1"), row("", "", "", "", *MAY_LEAVE[3:], group="")],
        1.0,
    ),
    "with oxygen": ([row("a", "glc__D_e;o2_e;h_e", "", "", "co2_e;h2o_e;h_e", "", "", ATP, "29")], 1.0),
    "names of others": ([row("a", "glucose[e]", "", "", "lac_L[e];H+[e]", "", "", OTHERS, "1")], 1.0),
    "ATP from nothing": ([row("a", "", "", "", "", "", "", ATP, "0.0001")], 0.0),
    "lactate never made": ([row("a", *MAY_LEAVE, ATP, "1", "", "LDH_L", "0", "1000")], 0.0),
}


@pytest.mark.parametrize(("rows", "share"), NEEDS.values(), ids=list(NEEDS))
def test_a_cell_performs_what_its_stoichiometry_allows(tmp_path: Path, rows: list[str], share: float) -> None:
    (outcome,) = perform(to_network(toy_cell()), read_functions(listed(tmp_path, *rows)))
    assert outcome.share == pytest.approx(share, abs=1e-6)
    assert outcome.passed is (share == 1.0)


def test_a_function_that_must_fail_passes_where_it_cannot_be_performed(tmp_path: Path) -> None:
    rows = [
        row("free ATP", "", "", "", "", "", "", ATP, "1", "", fail="1"),
        row("ATP", "glc__D_e", "", "", "ALLMETSIN[e]", "", "", ATP, "1", "", fail="TRUE"),
    ]
    outcomes = perform(to_network(toy_cell()), read_functions(listed(tmp_path, *rows)))
    assert [outcome.passed for outcome in outcomes] == [True, False]


def test_what_a_model_lacks_is_said(tmp_path: Path) -> None:
    rows = [row("a", "heme[e]", "1", "1", "pheme_c", "", ""), row("b", *LACTATE, ATP, "2", "2")]
    outcomes = perform(to_network(toy_cell()), read_functions(listed(tmp_path, *rows)))
    found = [(outcome.missing, outcome.passed) for outcome in outcomes]
    assert found == [(("heme[e]", "pheme_c"), False), ((), True)]


def test_metabolites_are_found_by_the_names_that_the_model_gives_them(tmp_path: Path) -> None:
    model = toy_cell()
    for metabolite, name in (("glc__D_e", "traubenzucker"), ("lac__L_e", "twice"), ("h_e", "twice")):
        model.metabolites.get_by_id(metabolite).name = name
    network = to_network(model)
    names = display_names(model, network)
    assert names["traubenzucker[e]"] == "glc__D_e"
    assert "twice[e]" not in names
    path = listed(tmp_path, row("a", "traubenzucker[e]", "", "", "lac__L_e;h_e", "", "", ATP, "1", ""))
    assert perform(network, read_functions(path), names)[0].passed


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a", "x_e", "much", "", "", "", "")], "line 4: could not convert string to float: 'much'"),
        ([row("a", "x_e", "2", "1", "", "", "")], "line 4: IN LB 2 is above IN UB 1"),
        ([row("a", "x_e", "", "", "", "", "", "x_e + y_e")], "no arrow in the equation 'x_e + y_e'"),
        ([row("a", "x_e", "1", "", "", "", ""), row("", "x_e", "2", "", "", "", "")], "x_e has two amounts in 'a'"),
        ([row("a", "x_e"), row("a", "y_e")], "list.txt lists 'a' twice"),
        ([row("", "x_e")], "the first row has no description"),
        ([], "list.txt lists no functions"),
    ],
)
def test_lists_that_cannot_be_read_are_refused_in_one_line(tmp_path: Path, rows: list[str], message: str) -> None:
    with refused(message):
        read_functions(listed(tmp_path, *rows))


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n"])
def test_a_missing_list_and_another_table_are_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "list.txt"
    if content:
        path.write_text(content)
    with refused("list.txt"):
        read_functions(path)


def test_packaged_functions_name_a_source_or_are_assumed() -> None:
    functions = read_functions()
    assert len(functions) > 100
    assert all(re.match(r"Human-GEM, metabolicTasks_|assumed", function.source) for function in functions)
    pyruvate = next(function for function in functions if function.name == "Oxidative decarboxylation")
    assert pyruvate.inputs["nad_m"] == Amount(1.0, 1.0)


def test_published_recon3d_performs_all_packaged_functions(recon3d: LoadedModel) -> None:
    assert [o.function.name for o in perform(to_network(recon3d.model), read_functions()) if not o.passed] == []


def test_human_gem_performs_the_functions_that_are_published_with_it(human_gem_path: Path) -> None:
    tasks = human_gem_path.with_name("metabolicTasks_Essential.txt")
    if not tasks.is_file():
        pytest.skip(f"no {tasks.name} beside the Human-GEM file: download it from the same repository")
    model = load_model(human_gem_path).model
    network = to_network(model)
    outcomes = perform(network, read_functions(tasks), display_names(model, network))
    assert len(outcomes) == 57
    assert [outcome.function.name for outcome in outcomes if not outcome.passed] == []
