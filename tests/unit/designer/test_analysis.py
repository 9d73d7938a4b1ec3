"""Analyses of the whole cell, against COBRApy, the evaluator and known facts of the core."""

from dataclasses import replace

import cobra
import numpy as np
import pytest

from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.consistency import stoichiometric_matrix
from redox_balancer.cell.models import load_network
from redox_balancer.design.enzymes import load_library
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.formulation import AT_OPTIMUM, guaranteed_weights
from redox_balancer.design.named_construct import NamedConstruct, build_construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.analysis import Analysis, analyse
from redox_balancer.designer.model import DesignedCell, designed_cell, largest_capacity, largest_growth, open_model
from redox_balancer.designer.whole_cell import WholeCell
from redox_balancer.search.heuristics import random_construct
from redox_balancer.search.problem import Problem


@pytest.fixture(scope="module")
def unlimited() -> DesignSpace:
    """The cell of the facts: no native limits, and enzymes so fast that their capacities never bind."""
    return DesignSpace.build(
        load_network(), load_library(), [load_conditions()["complex_iii_closed"]], saturation=1.0, candidates="all"
    )


def placed(space: DesignSpace, text: str, condition: str) -> WholeCell:
    own, construct = build_construct(space, NamedConstruct(text))
    chosen = {known.id: known for known in own.conditions}[condition]
    with Evaluator(own) as evaluator:
        floor = evaluator.reference(chosen).floor
    return WholeCell.of(own, construct, chosen, floor=floor)


def by_cobrapy(cell: WholeCell) -> DesignedCell:
    return designed_cell(open_model(Task()), cell.space, cell.construct, cell.condition, floor=cell.floor)


def guaranteed_capacity(cell: DesignedCell, growth: float) -> float:
    """Smallest NAD(P)H consumption at largest growth by COBRApy, mmol/gDW/h."""
    smallest = []
    with cell.growing(growth * AT_OPTIMUM):
        for weights in guaranteed_weights(cell.space, cell.placements):
            cell.model.objective = cell.by_reaction(weights)
            cell.model.objective_direction = "min"
            smallest.append(float(cell.model.slim_optimize()))
    return min(smallest)


@pytest.fixture(scope="module")
def rescued(space: DesignSpace) -> tuple[WholeCell, Analysis]:
    cell = placed(space, "LBNOX_c 0.1 % + AOX_m 0.03 %", "complex_iii_closed")
    return cell, analyse(cell)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("LBNOX_c 0.1 % + AOX_m 0.03 %", "complex_iii_closed"),
        ("H2O2NOX_c 0.1 % + NPR_c 0.03 % + MDH1_c 0.01 %", "mdh1_deficiency"),
        ("nothing", "hypoxia"),
    ],
)
def test_cobrapy_finds_the_same_of_the_model_file(space: DesignSpace, text: str, condition: str) -> None:
    cell = placed(space, text, condition)
    found, theirs = analyse(cell), by_cobrapy(cell)
    assert found.growth == pytest.approx(largest_growth(theirs), abs=1e-8)
    assert found.capacity == pytest.approx(largest_capacity(theirs, found.growth), abs=1e-7)
    assert found.guaranteed == pytest.approx(guaranteed_capacity(theirs, found.growth), abs=1e-6)
    fluxes = cobra.flux_analysis.pfba(theirs.model, fraction_of_optimum=AT_OPTIMUM).fluxes
    assert found.fluxes == pytest.approx(fluxes.to_dict(), abs=1e-6)
    linked = [one.reaction for one in found.ranges]
    ranges = cobra.flux_analysis.flux_variability_analysis(theirs.model, linked, fraction_of_optimum=AT_OPTIMUM)
    assert [one.at_growth for one in found.ranges] == [pytest.approx(ends, abs=1e-5) for ends in ranges.to_numpy()]
    assert {one.reaction: one.name for one in found.ranges} == {
        reaction: theirs.model.reactions.get_by_id(reaction).name for reaction in linked
    }
    assert len(linked) > 30


def test_cobrapy_finds_the_guaranteed_minimum_that_constructs_are_valued_by() -> None:
    paid = Task(reward="guaranteed").space()
    generator = np.random.default_rng(1)
    model = open_model(Task())
    coupled = 0
    with Evaluator(paid, exact_check=True) as evaluator:
        for condition in paid.conditions:
            problem = Problem.under(evaluator, condition, 3)
            floor = evaluator.reference(condition).floor
            for _ in range(5):
                construct = random_construct(problem, generator)
                outcome = evaluator.evaluate(construct, condition)
                with model:
                    cell = designed_cell(model, paid.plain, construct, condition, floor=floor)
                    growth = largest_growth(cell)
                    expected = guaranteed_capacity(cell, growth) if growth >= floor * (1 - 1e-9) else 0.0
                assert outcome.capacity == pytest.approx(expected, abs=1e-6)
                coupled += abs(expected) > 1e-3
    assert coupled > 5


def test_a_blocked_chain_forces_the_oxidase_to_run(unlimited: DesignSpace) -> None:
    cell = placed(unlimited, "LBNOX_c 10 %", "complex_iii_closed")
    found = analyse(cell)
    (oxidase, *linked) = found.ranges
    assert found.growth == pytest.approx(0.0068 * cell.keep, abs=5e-5)
    assert oxidase.reaction == "SINK_LBNOX_c"
    assert oxidase.at_growth == pytest.approx((0.241, 1.241), abs=1e-3)
    assert found.guaranteed == pytest.approx(oxidase.at_growth[0], abs=1e-6)
    assert {"GAPD", "LDH_L", "MDHm"} <= {one.reaction for one in linked}
    assert not any(one.in_cycle for one in found.ranges)


def test_a_cell_that_is_not_viable_with_or_without_the_construct(unlimited: DesignSpace) -> None:
    cell = placed(unlimited, "NDI1_m 10 %", "complex_iii_closed")
    found = analyse(cell)
    assert (found.growth, found.capacity, found.guaranteed) == (0.0, 0.0, 0.0)
    assert found.envelope is None
    assert found.fluxes_at_capacity is None


def test_an_infeasible_model_has_no_fluxes(space: DesignSpace) -> None:
    cell = placed(space, "LBNOX_c 0.1 %", "healthy")
    starved = dict.fromkeys(("EX_glc__D_e", "EX_gln__L_e"), (0.0, 0.0)) | {"DM_atp_c_": (900.0, 1000.0)}
    found = analyse(replace(cell, network=cell.network.with_bounds(starved)), linked=False)
    assert (found.growth, found.fluxes, found.envelope) == (0.0, None, None)
    (oxidase,) = found.ranges
    assert np.isnan([oxidase.flux, *oxidase.at_growth, *oxidase.at_floor]).all()


def test_the_guaranteed_minimum_counts_only_h2o2_that_was_formed(space: DesignSpace) -> None:
    """With a price of 2, an H2O2 left costs more than its NADH: the worst case is the largest flux."""
    dear = replace(space, settings=replace(space.settings, h2o2_price=2.0))
    cell = placed(dear, "H2O2NOX_c 0.1 %", "complex_iii_closed")
    found = analyse(cell, linked=False)
    (oxidase,) = found.ranges
    assert oxidase.at_growth[1] > 1e-3
    assert found.guaranteed == pytest.approx(-oxidase.at_growth[1], abs=1e-6)
    assert found.envelope is not None
    assert found.envelope.smallest[-1] == pytest.approx(found.guaranteed, abs=1e-3)
    assert min(found.envelope.smallest) > -10.0


def test_fluxes_are_a_steady_state_at_largest_growth_of_the_smallest_sum(rescued: tuple[WholeCell, Analysis]) -> None:
    cell, found = rescued
    assert found.fluxes is not None
    fluxes = np.array([found.fluxes[reaction] for reaction in cell.network.reactions])
    assert np.abs(stoichiometric_matrix(cell.network) @ fluxes).max() < 1e-7
    assert found.fluxes[cell.biomass] * cell.keep == pytest.approx(found.growth, rel=2e-6)
    theirs = by_cobrapy(cell)
    with theirs.growing(found.growth * (1 - 1e-6)):
        vertex = theirs.model.optimize().fluxes
    assert np.abs(fluxes).sum() <= np.abs(vertex).sum() * (1 + 1e-6)


def test_fluxes_at_the_capacity_add_up_to_it(rescued: tuple[WholeCell, Analysis]) -> None:
    cell, found = rescued
    assert found.fluxes_at_capacity is not None
    taken = sum(weight * found.fluxes_at_capacity[reaction] for reaction, weight in cell.capacity.items())
    assert taken == pytest.approx(found.capacity, rel=2e-6)


def test_the_envelope_ends_in_the_guaranteed_minimum_and_holds_the_capacity(
    rescued: tuple[WholeCell, Analysis],
) -> None:
    cell, found = rescued
    envelope = found.envelope
    assert envelope is not None
    assert envelope.growth[0] == 0.0
    assert envelope.growth[-1] == pytest.approx(found.growth, rel=1e-6)
    assert envelope.smallest[-1] == pytest.approx(found.guaranteed, abs=1e-4)
    assert np.interp(cell.floor, envelope.growth, envelope.largest) == pytest.approx(found.capacity, abs=1e-3)
    assert all(low <= high + 1e-9 for low, high in zip(envelope.smallest, envelope.largest, strict=True))


def test_a_range_holds_the_flux_and_the_floor_allows_more(rescued: tuple[WholeCell, Analysis]) -> None:
    _, found = rescued
    for one in found.ranges:
        assert one.at_growth[0] - 1e-6 <= one.flux <= one.at_growth[1] + 1e-6, one
        assert one.at_floor[0] <= one.at_growth[0] + 1e-6, one
        assert one.at_floor[1] >= one.at_growth[1] - 1e-6, one


def test_flux_ranges_and_envelope_are_tables(rescued: tuple[WholeCell, Analysis]) -> None:
    _, found = rescued
    frame = found.to_frame()
    assert list(frame.index) == [one.reaction for one in found.ranges]
    assert tuple(frame.loc["SINK_LBNOX_c", ["smallest_at_growth_floor", "largest_at_growth_floor"]]) == (
        found.ranges[0].at_floor
    )
    assert found.envelope is not None
    assert tuple(found.envelope.to_frame()["largest"]) == found.envelope.largest
