from typing import Any

import pytest
from hypothesis import given, settings

from flux_judge import differences
from generated_networks import networks
from redox_balancer.cell.consistency import consistent_reactions, has_slack, stoichiometric_matrix
from redox_balancer.cell.cycles import unblocked
from redox_balancer.cell.missing import largest_flux
from redox_balancer.cell.network import Network
from small_networks import network_of


def can_run(network: Network, column: int) -> bool:
    """Decided by two LPs of another solver, with fluxes limited to 1."""
    S, forward, backward = stoichiometric_matrix(network), network.upper > 0, network.lower < 0
    ways = (backward, forward), (forward, backward)
    return any(largest_flux(S, column, -1.0 * low, 1.0 * high).fun < -1e-7 for low, high in ways)


CYCLE_OF_M = {"there": "m --> n", "back": "n --> m"}
TWO_WAYS_IN = {"in": "--> a", "also_in": "--> b", "swap": "a <=> b", "out": "a -->"}
CASES: dict[str, tuple[dict[str, Any], set[str], tuple[int, int, int, int]]] = {
    "a chain to a dead end": (
        {"in": "--> a", "out": "a -->", "side": "a <=> b", "further": "b <=> c", "shut": ("a -->", 0.0, 0.0)},
        {"side", "further", "shut"},
        (1, 2, 0, 0),
    ),
    # m and n form a cycle without an exit: there is no dead end, so only the LP can decide.
    "one way, with a by-product that cannot leave": (
        {"in": "--> a", "out": "b -->", "clean": "a --> b", "dirty": "a --> b + m"} | CYCLE_OF_M,
        {"dirty"},
        (0, 0, 1, 0),
    ),
    "reversible, outside the null space": (
        {
            "in": "<=> a",
            "out": "b <=>",
            "clean": "a <=> b",
            "dirty": "a <=> b + m",
            "there": "m <=> n",
            "back": "n <=> m",
        },
        {"dirty"},
        (0, 0, 0, 1),
    ),
    "reversible, between one-way reactions": (TWO_WAYS_IN, set(), (0, 0, 0, 0)),
    "with another way out": (TWO_WAYS_IN | {"also_in": ("--> b", -1000.0, 0.0)}, set(), (0, 0, 0, 0)),
    "without a way out": (TWO_WAYS_IN | {"out": ("a -->", -1000.0, 0.0)}, set(TWO_WAYS_IN), (0, 0, 3, 1)),
    "a cycle without any exchange": (
        {"ab": "a --> b", "bc": "b --> c", "ac": ("a --> c", -1000.0, 0.0)},
        set(),
        (0, 0, 0, 0),
    ),
    "a million times slower than its supply": (
        {"in": "--> a", "first": "1000 a --> b", "second": "1000 b <=> c", "out": "c -->"},
        set(),
        (0, 0, 0, 0),
    ),
    # The carrier is conserved exactly only if the shares are exactly 1 together.
    "shares that add up to one but for round-off": (
        {
            "in": "--> x",
            "load": "x + carrier --> y",
            "load_other": "2 x + carrier --> z",
            "out": "lipid -->",
            "lump": "0.123456789012 y + 0.876543210989 z --> lipid + carrier",
        },
        set(),
        (0, 0, 0, 0),
    ),
    "nothing runs": ({"ab": "a <=> b"}, {"ab"}, (0, 1, 0, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_run_is_dropped_and_counted_by_its_reason(case: str) -> None:
    reactions, dropped, counts = CASES[case]
    network = network_of(reactions)
    found = consistent_reactions(network)
    assert {network.reactions[column] for column in found.kept} == reactions.keys() - dropped
    assert (found.closed, found.dead_ends, found.blocked_one_way, found.blocked_reversible) == counts
    assert set(unblocked(network, network.reactions)) == reactions.keys() - dropped


@settings(deadline=None, max_examples=200)
@given(networks())
def test_what_is_said_of_reactions_is_so_in_rational_arithmetic(network: Network) -> None:
    assert not differences(network)
    found = consistent_reactions(network)
    dropped = found.closed + found.dead_ends + found.blocked_one_way + found.blocked_reversible
    assert dropped + found.kept.size == len(network.reactions)


def test_the_embedded_core_is_consistent_but_for_its_closed_reactions(core: Network) -> None:
    assert consistent_reactions(core).kept.tolist() == [j for j in range(len(core.reactions)) if can_run(core, j)]


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
def test_slack_and_what_can_run_depend_on_the_forced_fluxes(
    uptake: tuple[float, float], need: tuple[float, float], *, slack: bool
) -> None:
    network = network_of({"in": ("--> a", *uptake), "need": ("a -->", *need), "out": "a -->"})
    assert has_slack(network) is slack
    assert ("out" in unblocked(network, network.reactions)) is slack
