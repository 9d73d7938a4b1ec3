from __future__ import annotations

import pytest

from redox_balancer.cell.cycles import reactions_in_cycles
from redox_balancer.cell.network import Column, Network


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
