"""Generated networks: the judge is right, and the linear program agrees with it."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import pytest

from judge import judge
from redox_balancer.cell.network import Column
from redox_balancer.cell.solution import Status
from small_networks import small_network


@pytest.mark.parametrize(
    ("supply", "drain", "status", "growth"),
    [
        ((0.0, 0.3), (0.0, 0.0), Status.OPTIMAL, Fraction(3 * 10**8)),
        # Three tenths are exactly ten times three hundredths, which floats cannot tell.
        ((0.3, 0.3), (0.03, 0.03), Status.OPTIMAL, Fraction(0)),
        ((0.3, 0.3), (0.030000000000000002, 1.0), Status.INFEASIBLE, None),
        ((1e-12, 1e-12), (0.0, 0.0), Status.OPTIMAL, Fraction(1, 1000)),
        ((0.0, inf), (0.0, 0.0), Status.UNBOUNDED, None),
    ],
)
def test_the_judge_is_exact(
    supply: tuple[float, float], drain: tuple[float, float], status: Status, growth: Fraction | None
) -> None:
    network = small_network(
        Column("in", {"a": 1.0}, *supply),
        Column("BIOMASS", {"a": -1e-9}, 0.0, inf),
        Column("drain", {"a": -10.0}, *drain),
        objective="BIOMASS",
    )
    found = judge(network)
    assert found.status is status
    assert growth is None or found.objective == growth
