"""A compressed network has the optima of the original for all bounds and weights of the protected reactions."""

from collections.abc import Mapping

import numpy as np
import pytest

from redox_balancer.cell.compress import compress
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Network
from redox_balancer.cell.solution import Solution, Status
from small_networks import network_of

CHAIN = {
    "in": ("--> a", 0.0, 10.0),
    "step": ("2 a --> b", 0.0, 4.0),
    "duplicate": ("a <=> 0.5 b", -1.0, 1.0),
    "dead": ("b --> nowhere", 0.0, 5.0),
    "closed": ("a --> c", 0.0, 0.0),
    "next": "b --> 3 c",
    "out": "c -->",
}


def optimum(network: Network, weights: Mapping[str, float] | None = None) -> Solution:
    with FluxLP(network, weights) as lp:
        return lp.maximise()


def test_chains_duplicates_and_dead_ends_become_one_column() -> None:
    network = network_of(CHAIN, "out")
    small = compress(network, ())
    assert small.reactions == ("in", "out")
    # 10 of a make 5 of b, of which `step` carries 4 and its duplicate half of 1; each makes 3 of c.
    assert optimum(network).objective == pytest.approx(13.5)
    assert optimum(small).objective == pytest.approx(13.5)
    assert small.upper[small.column("in")] == pytest.approx(9.0)


def test_protected_reactions_keep_their_column_and_bounds() -> None:
    network = network_of(CHAIN, "out")
    small = compress(network, ["step", "closed"])
    assert {"step", "closed", "out"} <= set(small.reactions)
    for bounds in ({"step": (0.0, 1.0)}, {"closed": (0.0, 3.0)}, {"step": (0.0, 2.0), "closed": (0.0, 7.0)}):
        expected = optimum(network.with_bounds(bounds)).objective
        assert optimum(small.with_bounds(bounds)).objective == pytest.approx(expected)


def test_an_infeasible_forced_flux_remains_infeasible() -> None:
    for forced in ({"dead": ("b --> nowhere", 1.0, 5.0)}, {"next": ("b --> 3 c", 40.0, 1000.0)}):
        network = network_of(CHAIN | forced, "out")
        assert optimum(network).status is Status.INFEASIBLE
        assert optimum(compress(network, ())).status is Status.INFEASIBLE


def test_the_embedded_core_shrinks_and_keeps_its_optima_under_random_bounds_and_weights(core: Network) -> None:
    rng = np.random.default_rng(0)
    protected = [core.reactions[column] for column in rng.choice(len(core.reactions), 25, replace=False)]
    small = compress(core, protected)
    assert len(small.reactions) < 0.75 * len(core.reactions)
    assert len(small.metabolites) < 0.65 * len(core.metabolites)
    ends = set()
    for _ in range(300):
        changed = rng.choice(protected, 6, replace=False).tolist()
        bounds = {}
        for reaction in changed:
            lower, upper = core.bounds_of(reaction)
            bounds[reaction] = lower * rng.choice([0.0, 0.01, 1.0]), upper * rng.choice([0.01, 0.1, 1.0])
        weights = {core.objective: 1.0} | dict(zip(changed, rng.normal(size=6).round(2).tolist(), strict=True))
        expected = optimum(core.with_bounds(bounds), weights)
        found = optimum(small.with_bounds(bounds), weights)
        ends.add(expected.status)
        assert found.status is expected.status
        assert found.objective == pytest.approx(expected.objective, rel=1e-9, abs=1e-8, nan_ok=True)
    assert Status.OPTIMAL in ends
