import math

import pytest

from redox_balancer.cell.cycles import closed_network, cycle_through, reactions_in_cycles, unblocked
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.solution import Solution, Status


@pytest.fixture(scope="module")
def cyclic(core: Network) -> Network:
    """Core with cycles: the two closed duplicate reactions opened, a second LDH and a futile pair of carriers."""
    opened = core.with_bounds({"GLUDym": (-1000.0, 1000.0), "MTHFDm": (-1000.0, 1000.0), "DM_atp_c_": (0.0, 1000.0)})
    duplicate = Column("LDH_duplicate", opened.stoichiometry_of("LDH_L"), -1000.0, 1000.0)
    one_way = Column("GLC_out", {"glc__D_c": -1.0, "glc__D_e": 1.0}, 0.0, 1000.0)
    return opened.with_columns([duplicate, one_way])


def test_the_core_has_no_infeasible_cycle(core: Network) -> None:
    assert reactions_in_cycles(core) == ()


def test_cycles_are_found_and_closing_a_reaction_breaks_its_own(cyclic: Network) -> None:
    ldh = {"LDH_L", "LDH_duplicate"}
    found = set(reactions_in_cycles(cyclic))
    assert found >= ldh | {"GLUDxm", "GLUDym", "GLCt1r", "GLC_out"}
    closed = cyclic.with_bounds({"LDH_duplicate": (0.0, 0.0)})
    assert set(reactions_in_cycles(closed)) == found - ldh


def test_where_rational_arithmetic_takes_too_long_a_proof_in_floating_point_serves(
    cyclic: Network, core: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers() -> list[object]:
        closed = closed_network(cyclic)
        return [
            unblocked(core, core.reactions),
            unblocked(closed, closed.reactions),
            [cycle_through(closed, reaction) for reaction in ("LDH_duplicate", "GLUDym", "PGI")],
        ]

    exact = answers()
    assert set(exact[1]) == set(reactions_in_cycles(cyclic))  # type: ignore[call-overload]

    def too_long(_: FluxLP, **_options: bool) -> Solution:
        return Solution(Status.TIME_LIMIT, math.nan)

    monkeypatch.setattr(FluxLP, "maximise_exactly", too_long)
    assert answers() == exact
