"""No construct carries flux with exchanges closed; a drill tests a larger sample."""

from dataclasses import replace

import numpy as np

from free_flux import free_flux
from redox_balancer.cell.choice import offered_conditions
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.media import apply_medium
from redox_balancer.cell.models import LoadedModel, to_network
from redox_balancer.design.enzymes import load_library
from redox_balancer.design.placement import Reason
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from second_solver import random_construct


def test_no_construct_carries_flux_with_all_exchanges_closed() -> None:
    space = Task(candidates="all").space()
    generator = np.random.default_rng(11)
    found = free_flux(space, (random_construct(space, generator) for _ in range(3_000)))
    assert found.constructs == 3_000
    assert found.failures == 0
    assert found.largest < 1e-9


def test_free_flux_is_found_where_there_is_some(space: DesignSpace) -> None:
    """The measure can fail: with the malic enzymes of the matrix running both ways the transhydrogenase cycles."""
    opened = replace(space, network=space.network.with_bounds({"ME1m": (-1000.0, 1000.0)}))
    generator = np.random.default_rng(11)
    assert free_flux(opened, (random_construct(opened, generator) for _ in range(200))).largest > 1e-3


def test_cycles_are_refused_in_recon3d_and_nothing_else_carries_flux_with_exchanges_closed(
    recon3d: LoadedModel,
) -> None:
    """A sample on the whole of Recon3D; the drill has ten thousand constructs on its core."""
    network = apply_medium(to_network(recon3d.model, "BIOMASS_reaction"), "human_minimal")
    space = DesignSpace.build(network, load_library(), offered_conditions(load_conditions().values(), network)[0])
    loops = {entry.id: entry for entry in space.excluded if entry.reason is Reason.CYCLE}
    assert {"UDHA_c", "UDHA_m"} <= set(loops)
    for entry in loops.values():
        assert f"SINK_{entry.id}" in entry.cycle
        assert len(entry.cycle) > 1
    assert not [entry for entry in space.excluded if entry.reason is Reason.UNBALANCED]
    assert {"LBNOX_x", "NDE1_c", "AOX_m", "MDH1_c"} <= {placement.id for placement in space.placements}
    generator = np.random.default_rng(11)
    found = free_flux(space, (random_construct(space, generator) for _ in range(300)))
    assert found.failures == 0
    assert found.largest < 1e-9
