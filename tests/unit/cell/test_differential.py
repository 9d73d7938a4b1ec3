"""Generated networks: the judge is right, and the linear program agrees with it."""

from fractions import Fraction
from math import inf
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generated_networks import changing_bounds, random_network, with_values
from judge import judge
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.parametric import ParametricLP
from redox_balancer.cell.presolve import presolve
from redox_balancer.cell.solution import Solution, Status
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


def assert_judged(found: Solution, network: Network) -> None:
    verdict = judge(network)
    assert found.status is verdict.status
    if found.optimal:
        assert found.objective == pytest.approx(float(verdict.objective), rel=1e-6, abs=1e-12)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_status_and_optimum_of_generated_networks_are_those_of_the_judge(random: Random) -> None:
    network = random_network(random)
    with FluxLP(network) as lp:
        assert_judged(lp.maximise(), network)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_lookups_in_generated_networks_are_the_optima_of_the_judge(random: Random) -> None:
    network = random_network(random)
    parameters = changing_bounds(random, network)
    program = ParametricLP(network, {network.column("BIOMASS"): 1.0}, parameters)
    for _ in range(6):
        u = np.asarray([p.high * random.choice((0.0, 1e-3, 1.0, random.random())) for p in parameters])
        assert_judged(program.maximise(u), with_values(network, parameters, u))
    program.close()


@pytest.mark.parametrize("seed", [22, 222, 2377])
def test_lookups_beside_parameters_of_any_size_are_the_optima_of_the_judge(seed: int) -> None:
    """Absolute tolerances gave 0.3 or 1e300 times the optimum where parameters or slopes are below 1e-8."""
    random = Random(seed)  # noqa: S311 - no secrets
    network = random_network(random)
    parameters = changing_bounds(random, network)
    for presolved in (None, presolve(network, [network.reactions[p.column] for p in parameters])):
        program = ParametricLP(network, {network.column("BIOMASS"): 1.0}, parameters, presolved=presolved)
        draws = Random(seed)  # noqa: S311 - no secrets
        for _ in range(40):
            shares = [draws.choice((0.0, 1e-3, 1.0, draws.random(), 10 ** draws.uniform(-12, 0))) for _ in parameters]
            u = np.asarray([share * p.high for share, p in zip(shares, parameters, strict=True)])
            assert_judged(program.maximise(u), with_values(network, parameters, u))
        assert program.hits > 20
        program.close()


@pytest.mark.parametrize("size", [10.0**exponent for exponent in range(-12, 1)])
def test_growth_is_the_vitamin_let_in_over_the_vitamin_needed(size: float) -> None:
    network = small_network(
        Column("glucose", {"g": 1.0}, 0.0, 12.0),
        Column("vitamin", {"v": -1.0}, -size, 1000.0),
        Column("transport", {"v": -1.0, "w": 1.0}, -1000.0, 1000.0),
        Column("BIOMASS", {"g": -1.0, "w": -size}, 0.0, 1000.0),
        objective="BIOMASS",
    )
    with FluxLP(network) as lp:
        assert lp.maximise().objective == pytest.approx(1.0, rel=1e-9)
