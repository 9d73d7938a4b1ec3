"""A compressed network has the optima of the original for all bounds and weights of the protected reactions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from redox_balancer.cell.compress import compress
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Network
from redox_balancer.cell.solution import Solution, Status

if TYPE_CHECKING:
    from collections.abc import Mapping


def network_of(reactions: Mapping[str, tuple[dict[str, float], float, float]], objective: str) -> Network:
    """Network from stoichiometries and bounds."""
    empty = Network(
        id="small",
        reactions=(),
        metabolites=tuple(sorted({m for stoichiometry, _, _ in reactions.values() for m in stoichiometry})),
        indptr=np.zeros(1, dtype=np.int32),
        indices=np.zeros(0, dtype=np.int32),
        data=np.zeros(0),
        lower=np.zeros(0),
        upper=np.zeros(0),
        objective=objective,
    )
    place = empty.metabolite_index
    columns = [
        sorted((place[m], value) for m, value in stoichiometry.items()) for stoichiometry, _, _ in reactions.values()
    ]
    return replace(
        empty,
        reactions=tuple(reactions),
        indptr=np.cumsum([0, *map(len, columns)]).astype(np.int32),
        indices=np.asarray([row for column in columns for row, _ in column], dtype=np.int32),
        data=np.asarray([value for column in columns for _, value in column]),
        lower=np.asarray([lower for _, lower, _ in reactions.values()]),
        upper=np.asarray([upper for _, _, upper in reactions.values()]),
    )


CHAIN = {
    "in": ({"a": 1.0}, 0.0, 10.0),
    "step": ({"a": -2.0, "b": 1.0}, 0.0, 4.0),
    "duplicate": ({"a": -1.0, "b": 0.5}, -1.0, 1.0),
    "dead": ({"b": -1.0, "nowhere": 1.0}, 0.0, 5.0),
    "closed": ({"a": -1.0, "c": 1.0}, 0.0, 0.0),
    "next": ({"b": -1.0, "c": 3.0}, 0.0, 1000.0),
    "out": ({"c": -1.0}, 0.0, 1000.0),
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
        assert optimum(small.with_bounds(bounds)).objective == pytest.approx(
            optimum(network.with_bounds(bounds)).objective
        )


def test_an_infeasible_forced_flux_remains_infeasible() -> None:
    network = network_of(CHAIN | {"dead": ({"b": -1.0, "nowhere": 1.0}, 1.0, 5.0)}, "out")
    assert optimum(network).status is Status.INFEASIBLE
    assert optimum(compress(network, ())).status is Status.INFEASIBLE
    far = network_of(CHAIN | {"next": ({"b": -1.0, "c": 3.0}, 40.0, 1000.0)}, "out")
    assert optimum(far).status is Status.INFEASIBLE
    assert optimum(compress(far, ())).status is Status.INFEASIBLE


def test_the_embedded_core_shrinks_and_keeps_its_optima_under_random_bounds_and_weights(core: Network) -> None:
    rng = np.random.default_rng(0)
    protected = [core.reactions[column] for column in rng.choice(len(core.reactions), 25, replace=False)]
    small = compress(core, protected)
    assert len(small.reactions) < 0.75 * len(core.reactions)
    assert len(small.metabolites) < 0.65 * len(core.metabolites)
    ends = set()
    for _ in range(300):
        changed = rng.choice(protected, 6, replace=False)
        bounds = {}
        for reaction in changed.tolist():
            column = core.column(reaction)
            lower, upper = core.lower[column], core.upper[column]
            bounds[reaction] = (
                float(lower * rng.choice([0.0, 0.01, 1.0])),
                float(upper * rng.choice([0.01, 0.1, 1.0])),
            )
        weights = {
            core.objective: 1.0,
            **dict(zip(changed.tolist(), rng.normal(size=6).round(2).tolist(), strict=True)),
        }
        expected = optimum(core.with_bounds(bounds), weights)
        found = optimum(small.with_bounds(bounds), weights)
        ends.add(expected.status)
        assert found.status is expected.status
        assert found.objective == pytest.approx(expected.objective, rel=1e-9, abs=1e-8, nan_ok=True)
    assert Status.OPTIMAL in ends
