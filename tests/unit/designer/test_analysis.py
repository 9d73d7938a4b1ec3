"""Analyses by COBRApy, against the evaluator and against known facts of the core."""

from dataclasses import replace

import numpy as np
import pytest
from cobra.util import create_stoichiometric_matrix

from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.models import load_network
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import load_library
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.named_construct import NamedConstruct, build_construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.designer.analysis import Analysis, analyse, guaranteed_capacity, largest_growth
from redox_balancer.designer.model import DesignedCell, designed_cell, open_model
from redox_balancer.search.heuristics import random_construct
from redox_balancer.search.problem import Problem


@pytest.fixture(scope="module")
def unlimited() -> DesignSpace:
    """The cell of the facts: no native limits, and enzymes so fast that their capacities never bind."""
    return DesignSpace.build(
        load_network(), load_library(), [load_conditions()["complex_iii_closed"]], saturation=1.0, candidates="all"
    )


def in_cell(space: DesignSpace, construct: Construct, condition: str) -> DesignedCell:
    chosen = {known.id: known for known in space.conditions}[condition]
    with Evaluator(space) as evaluator:
        floor = evaluator.reference(chosen).floor
    return designed_cell(open_model(Task()), space, construct, chosen, floor=floor)


def placed(space: DesignSpace, text: str, condition: str) -> DesignedCell:
    return in_cell(*build_construct(space, NamedConstruct(text)), condition)


@pytest.fixture(scope="module")
def rescued(space: DesignSpace) -> tuple[DesignedCell, Analysis]:
    cell = placed(space, "LBNOX_c 0.1 % + AOX_m 0.03 %", "complex_iii_closed")
    return cell, analyse(cell)


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
    cell.model.reactions.get_by_id("EX_glc__D_e").lower_bound = 0.0
    cell.model.reactions.get_by_id("EX_gln__L_e").lower_bound = 0.0
    cell.model.reactions.get_by_id("DM_atp_c_").lower_bound = 900.0
    found = analyse(cell, linked=False)
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


def test_fluxes_are_a_steady_state_at_largest_growth_of_the_smallest_sum(
    rescued: tuple[DesignedCell, Analysis],
) -> None:
    cell, found = rescued
    assert found.fluxes is not None
    fluxes = np.array([found.fluxes[reaction.id] for reaction in cell.model.reactions])
    assert np.abs(create_stoichiometric_matrix(cell.model) @ fluxes).max() < 1e-7
    assert found.fluxes[cell.biomass.id] * cell.keep == pytest.approx(found.growth, rel=2e-6)
    with cell.growing(found.growth * (1 - 1e-6)):
        vertex = cell.model.optimize().fluxes
    assert np.abs(fluxes).sum() <= np.abs(vertex).sum() * (1 + 1e-6)


def test_fluxes_at_the_capacity_add_up_to_it(rescued: tuple[DesignedCell, Analysis]) -> None:
    cell, found = rescued
    assert found.fluxes_at_capacity is not None
    taken = sum(weight * found.fluxes_at_capacity[reaction] for reaction, weight in cell.capacity.items())
    assert taken == pytest.approx(found.capacity, rel=2e-6)


def test_the_envelope_ends_in_the_guaranteed_minimum_and_holds_the_capacity(
    rescued: tuple[DesignedCell, Analysis],
) -> None:
    cell, found = rescued
    envelope = found.envelope
    assert envelope is not None
    assert envelope.growth[0] == 0.0
    assert envelope.growth[-1] == pytest.approx(found.growth, rel=1e-6)
    assert envelope.smallest[-1] == pytest.approx(found.guaranteed, abs=1e-4)
    assert np.interp(cell.floor, envelope.growth, envelope.largest) == pytest.approx(found.capacity, abs=1e-3)
    assert all(low <= high + 1e-9 for low, high in zip(envelope.smallest, envelope.largest, strict=True))


def test_a_range_holds_the_flux_and_the_floor_allows_more(rescued: tuple[DesignedCell, Analysis]) -> None:
    _, found = rescued
    for one in found.ranges:
        assert one.at_growth[0] - 1e-6 <= one.flux <= one.at_growth[1] + 1e-6, one
        assert one.at_floor[0] <= one.at_growth[0] + 1e-6, one
        assert one.at_floor[1] >= one.at_growth[1] - 1e-6, one


def test_flux_ranges_and_envelope_are_tables(rescued: tuple[DesignedCell, Analysis]) -> None:
    _, found = rescued
    frame = found.to_frame()
    assert list(frame.index) == [one.reaction for one in found.ranges]
    assert tuple(frame.loc["SINK_LBNOX_c", ["smallest_at_growth_floor", "largest_at_growth_floor"]]) == (
        found.ranges[0].at_floor
    )
    assert found.envelope is not None
    assert tuple(found.envelope.to_frame()["largest"]) == found.envelope.largest


def test_the_analysis_does_not_change_the_cell(rescued: tuple[DesignedCell, Analysis]) -> None:
    cell, found = rescued
    reactions, variables = len(cell.model.reactions), len(cell.model.variables)
    assert largest_growth(cell) == pytest.approx(found.growth, abs=1e-9)
    assert guaranteed_capacity(cell, found.growth) == pytest.approx(found.guaranteed, abs=1e-9)
    analyse(cell, linked=False)
    assert (len(cell.model.reactions), len(cell.model.variables)) == (reactions, variables)
    assert [reaction.id for reaction in cell.model.reactions if reaction.id not in cell.space.network.reactions] == []
