"""The design space: conditions and the bounds they change."""

import dataclasses

import numpy as np
import pytest

from redox_balancer.cell.conditions import Change, Condition, Side
from redox_balancer.cell.models import load_network
from redox_balancer.design.enzymes import load_library
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace, ValueSettings
from redox_balancer.errors import RedoxError


def test_limits_of_a_condition_are_infinite_where_it_changes_nothing(space: DesignSpace) -> None:
    assert np.isinf(space.limits(space.healthy)).all()
    for condition in space.conditions:
        limits = dict(zip((change.key for change in space.changes), space.limits(condition).tolist(), strict=True))
        assert {key: limit for key, limit in limits.items() if limit < np.inf} == {
            change.key: change.value for change in condition.changes
        }


def test_a_sampled_condition_is_within_its_ranges_and_another_key(space: DesignSpace) -> None:
    generator = np.random.default_rng(2)
    changing = [condition for condition in space.conditions if condition.changes]
    drawn = [condition.sampled(generator) for condition in changing for _ in range(20)]
    assert len(set(drawn)) == len(drawn)
    assert all(change.low <= change.value <= change.high for condition in drawn for change in condition.changes)
    again = np.random.default_rng(2)
    repeated = [condition.sampled(again) for condition in changing for _ in range(20)]
    assert repeated == drawn
    assert list(map(hash, repeated)) == list(map(hash, drawn))
    assert space.healthy.sampled(generator) == space.healthy


def test_a_condition_that_changes_another_bound_is_refused(space: DesignSpace) -> None:
    """It would be valued as the healthy cell."""
    other = Condition(
        id="no_glucose",
        description="a condition of another design space",
        changes=(Change(reaction="EX_glc__D_e", side=Side.UPTAKE, value=0.0, low=0.0, high=1.0, source="a test"),),
    )
    with pytest.raises(RedoxError, match="'no_glucose' limits the uptake of EX_glc__D_e") as refused:
        space.limits(other)
    assert refused.value.hint


def without_oxygen(*, exchange: bool) -> DesignSpace:
    """The core without oxygen uptake, or without the exchange at all; glycolysis alone has to feed it."""
    network = load_network().with_bounds({"EX_glc__D_e": (-10.0, 0.0), "EX_o2_e": (0.0, 0.0)})
    if not exchange:
        network = network.subset([reaction for reaction in network.reactions if reaction != "EX_o2_e"])
    healthy = Condition(id="healthy", description="no oxygen")
    return DesignSpace.build(network, load_library(), [healthy])


@pytest.mark.parametrize("exchange", [True, False])
def test_a_cell_without_oxygen_uptake_has_no_unit_of_the_value(*, exchange: bool) -> None:
    space = without_oxygen(exchange=exchange)
    assert space.oxygen_uptake == 0.0
    with pytest.raises(RedoxError, match="no oxygen uptake" if exchange else "no exchange of oxygen") as refused:
        Evaluator(space)
    assert refused.value.settings == ("medium", "reward")
    assert refused.value.hint
    flux = dataclasses.replace(space, settings=ValueSettings(reward="sink-flux"))
    assert flux.capacity_unit == 2.0


def test_the_oxygen_exchange_is_found_under_any_name_of_the_model() -> None:
    network = load_network().with_bounds({"EX_o2_e": (-0.7, 1000.0)})
    renamed = tuple("R_oxygen" if name == "EX_o2_e" else name for name in network.reactions)
    healthy = Condition(id="healthy", description="the cell on its medium")
    other = DesignSpace.build(dataclasses.replace(network, reactions=renamed), load_library(), [healthy])
    assert other.oxygen_uptake == 0.7
