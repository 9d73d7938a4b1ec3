"""Numbers of a state are those of the library for the same cell, condition and construct."""

from collections.abc import Iterator

import pytest

import redox_balancer as rb
from redox_balancer.errors import RedoxError
from redox_balancer.explore import views
from redox_balancer.explore.analysis import CellAnalysis
from redox_balancer.explore.numbers import ExploredCell
from redox_balancer.explore.state import ExploreState

CLOSE = 1e-9
RESCUED = ExploreState(condition="complex_i_closed", enzymes={"LBNOX_m": 1e-3, "NDE1_c": 3e-4})


@pytest.fixture(scope="module")
def cell() -> Iterator[ExploredCell]:
    made = ExploredCell(rb.Task())
    yield made
    made.close()


def same(found: rb.Evaluation, cell: ExploredCell, state: ExploreState) -> None:
    """Compare the numbers of a state with an evaluation."""
    numbers = cell.numbers(state)
    for name in ("value", "growth", "capacity", "rescue"):
        assert getattr(numbers.outcome, name) == pytest.approx(getattr(found, name), rel=CLOSE, abs=CLOSE)
    assert numbers.reference.growth == pytest.approx(found.growth_without, rel=CLOSE, abs=CLOSE)
    assert numbers.reference.healthy_growth == pytest.approx(found.healthy_growth, rel=CLOSE)
    assert numbers.soluble + numbers.membrane == pytest.approx(found.protein, rel=CLOSE)
    assert numbers.within_budget == found.within_budget


def test_a_named_condition_has_the_numbers_of_the_library(cell: ExploredCell) -> None:
    for condition in cell.conditions:
        state = RESCUED.changed(condition=condition)
        same(rb.evaluate(rb.Task(), state.enzymes, condition), cell, state)


def test_every_slider_alone_changes_what_a_model_with_this_bound_has(cell: ExploredCell) -> None:
    """Compared with a model that has the bound itself: no condition takes part."""
    healthy = RESCUED.changed(condition="healthy")
    changed = 0
    for key in ("EX_glc__D_e uptake", "EX_o2_e uptake", "EX_pyr_e uptake", "EX_gln__L_e uptake"):
        quantity = cell.quantities[key]
        for share in (0.25, 1.0):
            model = rb.load_model()
            model.reactions.get_by_id(quantity.reaction).lower_bound = -share * quantity.most
            state = healthy.with_bound(key, share * quantity.most)
            # The unit of the value and healthy growth are those of the model, so growth alone can be compared.
            own = rb.evaluate(rb.Task(model=model), state.enzymes)
            numbers = cell.numbers(state)
            assert numbers.outcome.growth == pytest.approx(own.growth, rel=CLOSE)
            assert numbers.reference.growth == pytest.approx(own.growth_without, rel=CLOSE)
            changed += own.growth != pytest.approx(cell.numbers(healthy).outcome.growth, rel=CLOSE)
    assert changed >= 2


def test_a_moved_bound_replaces_that_of_the_condition_up_and_down(cell: ExploredCell) -> None:
    hypoxia = ExploreState(condition="hypoxia")
    healthy = cell.numbers(ExploreState()).outcome.growth
    usual = cell.values(hypoxia)["EX_o2_e uptake"]
    assert usual == pytest.approx(0.2)
    assert cell.numbers(hypoxia.with_bound("EX_o2_e uptake", usual)).outcome.growth == pytest.approx(
        cell.numbers(hypoxia).outcome.growth, rel=CLOSE
    )
    assert cell.numbers(hypoxia.with_bound("EX_o2_e uptake", 1.0)).outcome.growth == pytest.approx(healthy, rel=CLOSE)
    lower = cell.numbers(hypoxia.with_bound("EX_o2_e uptake", 0.1)).outcome.growth
    assert lower < cell.numbers(hypoxia).outcome.growth < healthy
    blocked = ExploreState(condition="complex_iii_closed")
    opened = blocked.with_bound("CYOR_u10mi flux", cell.quantities["CYOR_u10mi flux"].most)
    opened = opened.with_bound("EX_lac__L_e export", cell.quantities["EX_lac__L_e export"].most)
    assert cell.numbers(blocked).outcome.growth == 0.0
    assert cell.numbers(opened).outcome.growth == pytest.approx(healthy, rel=CLOSE)


def test_a_cell_line_has_its_own_numbers() -> None:
    task = rb.Task(cells="HT29")
    line = ExploredCell(task)
    try:
        state = RESCUED.changed(cell="HT29", condition="complex_iii_closed")
        same(rb.evaluate(task, state.enzymes, "HT29+complex_iii_closed"), line, state)
        same(rb.evaluate(task, state.enzymes, "HT29"), line, state.changed(condition="healthy"))
        glucose, state = "EX_glc__D_e uptake", state.changed(condition="complex_i_closed")
        usual = line.values(state)[glucose]
        growth = [line.numbers(state.with_bound(glucose, share * usual)).outcome.growth for share in (0.0, 1.0)]
        assert growth[0] < 0.9 * growth[1]
        assert growth[1] == pytest.approx(line.numbers(state).outcome.growth, rel=CLOSE)
    finally:
        line.close()


def test_pressure_and_ratios_are_those_of_the_library(cell: ExploredCell) -> None:
    (diagnosis,) = rb.diagnose(rb.Task(conditions=RESCUED.condition))
    analysis = CellAnalysis(cell.order(RESCUED))
    found = analysis.pressure()
    for kind in ("acceptor", "donor"):
        assert list(found.shares(kind).values()) == pytest.approx(list(diagnosis.shares(kind).values()), abs=CLOSE)
    theirs = rb.diagnose_ratios(rb.Task(conditions=RESCUED.condition), RESCUED.enzymes)
    ours = analysis.ratios()
    assert [len(one.optima) for one in ours] == [len(one.optima) for one in theirs] == [2, 2]
    for one, other in zip(ours, theirs, strict=True):
        for mine, known in zip(one.optima, other.optima, strict=True):
            ends = known.low, known.high, known.growth
            assert (mine.low, mine.high, mine.growth) == pytest.approx(ends, rel=CLOSE)
            assert mine.best == pytest.approx(known.best, rel=CLOSE)


def test_the_map_has_the_fluxes_of_the_library_s_map(cell: ExploredCell) -> None:
    drawn = rb.redox_map(rb.design(rb.Task(), RESCUED.condition, construct=RESCUED.enzymes))
    analysis = CellAnalysis(cell.order(RESCUED))
    # COBRApy holds growth at 1 - 1e-6 of the largest.
    assert {name: flux for name, flux in analysis.fluxes.items() if abs(flux) > 1e-5} == pytest.approx(
        {name: flux for name, flux in drawn.fluxes.items() if abs(flux) > 1e-5}, rel=1e-3, abs=1e-5
    )
    used = analysis.used()
    caps = {name: placed.cap for name, placed in drawn.inserted.items()}
    assert used == pytest.approx(
        {name: abs(drawn.fluxes[f"SINK_{name}"]) / (caps[f"SINK_{name}"] or 1.0) for name in used}, rel=1e-3
    )
    svg = analysis.drawing()
    assert svg.startswith("<svg")
    assert "LBNOX" in svg


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (ExploreState(model="0"), "another model"),
        (ExploreState(condition="cold"), "cold"),
        (ExploreState().with_bound("EX_o2_e", 1.0), "no bound"),
        (ExploreState().with_bound("EX_o2_e uptake", 3.0), "out of range"),
        (ExploreState().with_enzyme("LBNOX_x", 1e-3), "no enzyme"),
        (ExploreState().with_enzyme("LBNOX_c", 2e-3), "no level"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(cell: ExploredCell, state: ExploreState, says: str) -> None:
    with pytest.raises(RedoxError, match=says) as refused:
        cell.require_fit(state)
    assert refused.value.hint


def test_a_cell_that_cannot_live_has_no_growth_and_no_map(cell: ExploredCell) -> None:
    dead = ExploreState().with_bound("EX_glc__D_e uptake", 0.0).with_bound("EX_gln__L_e uptake", 0.0)
    assert cell.numbers(dead).outcome.growth == 0.0
    analysis = CellAnalysis(cell.order(dead))
    assert analysis.fluxes == {}
    assert analysis.pressure().growth == 0.0
    assert analysis.ratios()[0].optima == ()
    assert "does not grow" in views.redox_map(analysis)
    assert "not known: the cell does not grow" in views.ratios(analysis)
