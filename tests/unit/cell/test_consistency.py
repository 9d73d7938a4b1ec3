from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog

from flux_judge import differences
from generated_networks import networks
from redox_balancer.cell.consistency import (
    Consistency,
    consistent_reactions,
    has_slack,
    stoichiometric_matrix,
)
from redox_balancer.cell.network import Column, Network
from small_networks import small_network

ONE_WAY, REVERSIBLE, BACKWARD, CLOSED = (0.0, 1000.0), (-1000.0, 1000.0), (-1000.0, 0.0), (0.0, 0.0)


def network_of(reactions: dict[str, tuple[dict[str, float], tuple[float, float]]]) -> Network:
    return small_network(
        *(Column(name, stoichiometry, *bounds) for name, (stoichiometry, bounds) in reactions.items())
    )


def kept(network: Network) -> set[str]:
    return {network.reactions[column] for column in consistent_reactions(network).kept}


def assert_witnessed(network: Network, found: Consistency) -> None:
    """The witness is balanced, respects every direction and is non-zero exactly in the kept reactions."""
    v = found.witness
    S = stoichiometric_matrix(network)
    assert np.all(np.abs(S @ v) <= 1e-9 * (abs(S) @ np.abs(v) + 1e-300))
    assert np.all(v[network.lower >= 0] >= 0)
    assert np.all(v[network.upper <= 0] <= 0)
    assert np.array_equal(np.flatnonzero(v), found.kept)


def can_run(network: Network, column: int) -> bool:
    """Decided by two LPs of another solver, with fluxes limited to 1."""
    S = stoichiometric_matrix(network)
    bounds = [
        (-1.0 if low < 0 else 0.0, 1.0 if high > 0 else 0.0)
        for low, high in zip(network.lower, network.upper, strict=True)
    ]
    for sign in (1.0, -1.0):
        cost = np.zeros(len(network.reactions))
        cost[column] = sign
        if linprog(cost, A_eq=S, b_eq=np.zeros(S.shape[0]), bounds=bounds).fun < -1e-7:
            return True
    return False


def test_a_chain_to_a_dead_end_is_dropped_and_the_way_through_is_kept() -> None:
    network = network_of(
        {
            "in": ({"a": 1}, ONE_WAY),
            "out": ({"a": -1}, ONE_WAY),
            "side": ({"a": -1, "b": 1}, REVERSIBLE),
            "further": ({"b": -1, "c": 1}, REVERSIBLE),
            "shut": ({"a": -1}, CLOSED),
        }
    )
    found = consistent_reactions(network)
    assert {network.reactions[column] for column in found.kept} == {"in", "out"}
    assert (found.closed, found.dead_ends) == (1, 2)


def test_a_one_way_reaction_whose_by_product_cannot_leave_is_dropped() -> None:
    # m and n form a cycle without an exit: there is no dead end, so only the LP can decide.
    network = network_of(
        {
            "in": ({"a": 1}, ONE_WAY),
            "out": ({"b": -1}, ONE_WAY),
            "clean": ({"a": -1, "b": 1}, ONE_WAY),
            "dirty": ({"a": -1, "b": 1, "m": 1}, ONE_WAY),
            "there": ({"m": -1, "n": 1}, ONE_WAY),
            "back": ({"n": -1, "m": 1}, ONE_WAY),
        }
    )
    found = consistent_reactions(network)
    assert kept(network) == {"in", "out", "clean", "there", "back"}
    assert found.blocked_one_way == 1


def test_a_reversible_reaction_outside_the_null_space_is_dropped() -> None:
    network = network_of(
        {
            "in": ({"a": 1}, REVERSIBLE),
            "out": ({"b": -1}, REVERSIBLE),
            "clean": ({"a": -1, "b": 1}, REVERSIBLE),
            "dirty": ({"a": -1, "b": 1, "m": 1}, REVERSIBLE),
            "there": ({"m": -1, "n": 1}, REVERSIBLE),
            "back": ({"n": -1, "m": 1}, REVERSIBLE),
        }
    )
    found = consistent_reactions(network)
    assert kept(network) == {"in", "out", "clean", "there", "back"}
    assert found.blocked_reversible == 1


def test_a_reversible_reaction_that_only_one_way_partners_decide_is_kept_or_dropped_with_them() -> None:
    two_ways_in = {
        "in": ({"a": 1}, ONE_WAY),
        "also_in": ({"b": 1}, ONE_WAY),
        "swap": ({"a": -1, "b": 1}, REVERSIBLE),
        "out": ({"a": -1}, ONE_WAY),
    }
    assert kept(network_of(two_ways_in)) == set(two_ways_in)
    assert kept(network_of(two_ways_in | {"also_in": ({"b": 1}, BACKWARD)})) == set(two_ways_in)
    assert kept(network_of(two_ways_in | {"out": ({"a": -1}, BACKWARD)})) == set()


def test_a_cycle_without_any_exchange_is_consistent() -> None:
    cycle = {
        "ab": ({"a": -1, "b": 1}, ONE_WAY),
        "bc": ({"b": -1, "c": 1}, ONE_WAY),
        "ac": ({"a": -1, "c": 1}, BACKWARD),
    }
    assert kept(network_of(cycle)) == set(cycle)


def test_a_reaction_a_million_times_slower_than_its_supply_is_kept() -> None:
    chain = {
        "in": ({"a": 1}, ONE_WAY),
        "first": ({"a": -1000, "b": 1}, ONE_WAY),
        "second": ({"b": -1000, "c": 1}, REVERSIBLE),
        "out": ({"c": -1}, ONE_WAY),
    }
    assert kept(network_of(chain)) == set(chain)


def test_shares_that_add_up_to_one_but_for_round_off_block_nothing() -> None:
    # The carrier is conserved exactly only if the shares are exactly 1 together.
    lipids = {
        "in": ({"x": 1}, ONE_WAY),
        "load": ({"x": -1, "carrier": -1, "y": 1}, ONE_WAY),
        "load_other": ({"x": -2, "carrier": -1, "z": 1}, ONE_WAY),
        "lump": ({"y": -0.123456789012, "z": -0.876543210989, "lipid": 1, "carrier": 1}, ONE_WAY),
        "out": ({"lipid": -1}, ONE_WAY),
    }
    assert kept(network_of(lipids)) == set(lipids)


def test_a_network_in_which_nothing_runs_has_an_empty_core() -> None:
    network = network_of({"ab": ({"a": -1, "b": 1}, REVERSIBLE)})
    assert consistent_reactions(network).kept.size == 0


@settings(deadline=None, max_examples=200)
@given(networks())
def test_what_is_said_of_reactions_is_so_in_rational_arithmetic(network: Network) -> None:
    assert not differences(network)
    found = consistent_reactions(network)
    assert_witnessed(network, found)
    dropped = found.closed + found.dead_ends + found.blocked_one_way + found.blocked_reversible
    assert dropped + found.kept.size == len(network.reactions)


def test_the_embedded_core_is_consistent_but_for_its_closed_reactions(core: Network) -> None:
    found = consistent_reactions(core)
    assert_witnessed(core, found)
    assert found.kept.tolist() == [j for j in range(len(core.reactions)) if can_run(core, j)]


@pytest.mark.parametrize(
    ("uptake", "need", "slack"),
    [
        pytest.param((0, 10), (0, 1000), True, id="nothing is forced"),
        pytest.param((0, 10), (9, 1000), True, id="slack remains"),
        pytest.param((0, 10), (10, 1000), False, id="the whole uptake is needed"),
        pytest.param((0, 10), (5, 5), True, id="one fixed flux can be scaled to"),
        pytest.param((5, 5), (5, 5), False, id="two fixed fluxes"),
    ],
)
def test_slack_depends_on_the_forced_fluxes(
    uptake: tuple[float, float], need: tuple[float, float], *, slack: bool
) -> None:
    network = network_of({"in": ({"a": 1}, uptake), "need": ({"a": -1}, need), "out": ({"a": -1}, (0, 1000))})
    assert has_slack(network) is slack
