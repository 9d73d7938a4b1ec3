from __future__ import annotations

import pytest

from redox_balancer.cell.cycles import reactions_in_cycles
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Column, Network


@pytest.fixture(scope="module")
def cyclic(core: Network) -> Network:
    """Core with cycles: the two closed duplicate reactions opened, a second LDH and a futile pair of carriers."""
    opened = core.with_bounds({"GLUDym": (-1000.0, 1000.0), "MTHFDm": (-1000.0, 1000.0), "DM_atp_c_": (0.0, 1000.0)})
    duplicate = Column("LDH_duplicate", opened.stoichiometry_of("LDH_L"), -1000.0, 1000.0)
    one_way = Column("GLC_out", {"glc__D_c": -1.0, "glc__D_e": 1.0}, 0.0, 1000.0)
    return opened.with_columns([duplicate, one_way])


def one_lp_pair_for_each_reaction(network: Network) -> set[str]:
    closed = network.with_bounds(dict.fromkeys(network.boundary, (0.0, 0.0)))
    found = set()
    with FluxLP(closed) as lp:
        for column, reaction in enumerate(closed.reactions):
            for sign in (1.0, -1.0):
                lp.set_objective_columns({column: sign})
                if lp.maximise().objective > 1e-6:
                    found.add(reaction)
    return found


def test_the_core_has_no_infeasible_cycle(core: Network) -> None:
    assert reactions_in_cycles(core) == ()


def test_one_program_finds_what_one_lp_pair_for_each_reaction_finds(cyclic: Network) -> None:
    found = reactions_in_cycles(cyclic)
    assert set(found) == one_lp_pair_for_each_reaction(cyclic)
    assert {"LDH_L", "LDH_duplicate", "GLUDxm", "GLUDym", "GLCt1r", "GLC_out"} <= set(found)


def test_a_closed_reaction_breaks_its_cycle(cyclic: Network) -> None:
    found = reactions_in_cycles(cyclic, closed=["LDH_duplicate"])
    assert "LDH_L" not in found
    assert "GLUDxm" in found
