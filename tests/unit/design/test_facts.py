"""The table of measured facts of the human redox core, through the design space's own columns."""

import re
from pathlib import Path

import pytest

from redox_balancer.cell.choice import offered_conditions
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import apply_medium
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Network
from redox_balancer.design.enzymes import load_library, load_native_capacities
from redox_balancer.design.formulation import Formulation
from redox_balancer.design.space import DesignSpace

CAP = 1000.0
COMPLEX_III = {"CYOR_u10mi": (0.0, 0.0), "EX_lac__L_e": (0.0, 1.0)}


def cell(*, capacities: bool) -> Network:
    """The core with all insertions as closed columns; native capacities applied or not."""
    network = load_network(None)
    space = DesignSpace.build(
        network,
        load_library(),
        offered_conditions(load_conditions().values(), network)[0],
        capacities=load_native_capacities(network) if capacities else None,
    )
    return Formulation(space, compressed=False).network


def growth(network: Network, bounds: dict[str, tuple[float, float]]) -> float:
    with FluxLP(network.with_bounds(bounds)) as lp:
        return lp.maximise().objective


def largest(network: Network, reaction: str, bounds: dict[str, tuple[float, float]]) -> float:
    with FluxLP(network.with_bounds(bounds), {reaction: 1.0}) as lp:
        return lp.maximise().objective


@pytest.fixture(scope="module")
def free() -> Network:
    return cell(capacities=False)


@pytest.fixture(scope="module")
def capped() -> Network:
    return cell(capacities=True)


def test_growth_on_the_generous_medium_is_limited_by_lysine() -> None:
    generous = apply_medium(load_network(None), "human_minimal").with_bounds({"DM_atp_c_": (0.0, 1000.0)})
    assert growth(generous, {}) == pytest.approx(0.6755, abs=1e-4)
    assert growth(generous, {"EX_lys__L_e": (-0.8, 1000.0)}) > 1.05 * 0.6755


def test_flux_of_a_rescuing_cytosolic_oxidase_is_forced(free: Network) -> None:
    opened = COMPLEX_III | {"SINK_LBNOX_c": (0.0, CAP)}
    held = opened | {"BIOMASS_proxy": (growth(free, opened) * (1 - 1e-9), CAP)}
    fluxes = free.with_bounds(held)
    with FluxLP(fluxes, {"SINK_LBNOX_c": -1.0}) as lp:
        assert -lp.maximise().objective == pytest.approx(0.241, abs=1e-3)
    with FluxLP(fluxes, {"SINK_LBNOX_c": 1.0}) as lp:
        assert lp.maximise().objective == pytest.approx(1.241, abs=1e-3)


def test_alternative_oxidase_takes_twice_the_oxygen_bound_without_complex_iii(free: Network) -> None:
    opened = COMPLEX_III | {"SINK_AOX_m": (0.0, CAP)}
    held = opened | {"BIOMASS_proxy": (growth(free, opened) * (1 - 1e-9), CAP)}
    with FluxLP(free.with_bounds(held), {"SINK_AOX_m": 1.0}) as lp:
        assert lp.maximise().objective == pytest.approx(2.0, abs=1e-3)


def documented() -> dict[str, tuple[float, float]]:
    """The table of docs/human_redox_core.md: what, without native capacities, with them."""
    page = (Path(__file__).parents[3] / "docs" / "human_redox_core.md").read_text()
    rows = re.findall(r"^\| (.+?) \| ([0-9.]+) \| ([0-9.]+) \|$", page, flags=re.MULTILINE)
    return {what: (float(without), float(with_)) for what, without, with_ in rows}


def computed(network: Network, what: str) -> float:
    """A row of the table from its own words."""
    closed = {
        "healthy growth": {},
        "hypoxic growth, oxygen 0.2": {"EX_o2_e": (-0.2, CAP)},
        "growth, complex I closed": {"NADH2_u10mi": (0.0, 0.0)},
        "growth, complex III closed, lactate export <= 1": COMPLEX_III,
    }
    if what in closed:
        return growth(network, closed[what])
    if rescue := re.fullmatch(r"the same with (\w+)", what):
        return growth(network, COMPLEX_III | {f"SINK_{rescue[1]}": (0.0, CAP)})
    flux = re.fullmatch(r"largest flux of (\w+) at 95 % of growth", what)
    assert flux, what
    sink = f"SINK_{flux[1]}"
    return largest(network, sink, {"BIOMASS_proxy": (0.95 * growth(network, {}), CAP), sink: (0.0, CAP)})


def test_the_documented_table_is_what_the_core_gives(free: Network, capped: Network) -> None:
    assert len(documented()) == 13
    for what, (without, with_) in documented().items():
        assert computed(free, what) == pytest.approx(without, abs=1e-4), what
        assert computed(capped, what) == pytest.approx(with_, abs=1e-4), what
