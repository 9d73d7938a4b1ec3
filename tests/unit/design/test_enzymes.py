from pathlib import Path

import numpy as np
import pytest

from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import load_conditions
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Column
from redox_balancer.cell.records import packaged
from redox_balancer.design.enzymes import (
    Placement,
    load_library,
    load_native_capacities,
    looping,
    placements,
    seal,
)
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = packaged("enzymes.toml").read_text()
    assert old in text
    path = tmp_path / "enzymes.toml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("q10h2_m = 1 }", "ubiquinol_m = 1 }", "no metabolite 'ubiquinol_m'"),
        ("kcat_per_s = { value = 648", "kcat_per_s = { value = -648", "LBNOX: kcat_per_s.value"),
        ("o2_c = -0.5", "o2_c = -1", "not balanced: O -1"),
        ('native = "MDH"', 'native = "MDH9"', "no reaction 'MDH9'"),
        ('id = "TPNOX"', 'id = "LBNOX"', "LBNOX stands twice"),
        ('role = "oxidase"', 'role = "oxidase"\ncolour = "green"', "colour"),
        ('native = "MDH"', 'compartment2 = "MDH"', "compartment2"),
    ],
)
def test_a_faulty_library_is_refused_with_one_line_and_a_hint(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(RedoxError) as caught:
        Task(enzymes=edited(tmp_path, old, new)).space()
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_flux_of_an_expression_level_follows_from_kcat_mass_and_saturation() -> None:
    # 648 /s x 3600 s/h x 0.001 x 0.506 g/gDW / 49 g/mmol = 24.1 mmol/gDW/h at full saturation
    assert load_library()["LBNOX"].capacity(1e-3, 1.0) == pytest.approx(24.1, abs=0.05)
    assert load_library()["LBNOX"].capacity(1e-3, 0.05) == pytest.approx(24.1 * 0.05, abs=0.005)


def test_foreign_chemistry_is_a_new_column_and_native_enzymes_are_not(space: DesignSpace) -> None:
    names = {placement.id: placement.reaction for placement in space.placements}
    assert names["LBNOX_c"] == "SINK_LBNOX_c"
    assert names["NDI1_m"] == "SINK_NDI1_m"
    assert names["LDHA_c"] == "LDH_L"
    native = load_network(None).reaction_index
    assert not any(p.reaction in native for p in space.placements if p.foreign)
    assert all(p.reaction in native for p in space.placements if not p.foreign)


def test_no_inserted_reaction_carries_flux_in_a_sealed_cell(space: DesignSpace) -> None:
    sealed = seal(space.network, space.placements)
    with FluxLP(sealed, {}) as lp:
        for placement in space.placements:
            column = sealed.column(placement.reaction)
            for sign in (1.0, -1.0):
                lp.set_objective_columns({column: sign})
                solution = lp.maximise()
                assert solution.optimal
                assert solution.objective == pytest.approx(0.0, abs=1e-9)
    assert looping(space.network, space.placements) == {}


def test_a_second_column_of_a_reversible_native_reaction_is_found_to_loop() -> None:
    library = load_library()
    twin = library["MDH1"].model_copy(
        update={
            "id": "TWIN",
            "sites": (
                library["LBNOX"]
                .sites[0]
                .model_copy(
                    update={
                        "stoichiometry": {"oaa_c": -1.0, "nadh_c": -1.0, "h_c": -1.0, "mal__L_c": 1.0, "nad_c": 1.0}
                    }
                ),
            ),
        }
    )
    network = load_network(None)
    (offered,) = placements({"TWIN": twin}, network, [1e-3], 1.0)
    found = looping(network.with_columns([offered.column]), [offered])
    assert found["TWIN_c"] > 100.0


def test_every_site_of_the_library_fits_and_balances_in_the_core() -> None:
    offered: tuple[Placement, ...] = placements(load_library(), load_network(None), [1e-3], 0.05)
    assert len(offered) >= 20
    required = [
        "LBNOX",
        "H2O2NOX",
        "NPR",
        "TPNOX",
        "NDI1",
        "NDE1",
        "AOX",
        "UDHA",
        "MDH1",
        "MDH2",
        "GOT1",
        "GOT2",
        "SLC25A11",
        "SLC25A12",
        "GPD1",
        "GPD2",
        "LDHA",
    ]
    assert {placement.enzyme.id for placement in offered} >= set(required)


def test_native_capacities_are_one_and_a_half_times_parsimonious_fluxes() -> None:
    """Two thirds of each limit still allow the unrestricted least total flux in every unperturbed condition."""
    network = load_network(None)
    capacities = load_native_capacities(network)
    hypoxia = {"EX_o2_e": (-load_conditions()["hypoxia"].changes[0].value, 1000.0)}
    for condition in ({}, hypoxia):
        fed = network.with_bounds(condition)
        with FluxLP(fed) as lp:
            growth = lp.maximise().objective
        held = fed.with_bounds({fed.objective: (growth * (1 - 1e-9), 1000.0)})
        limited = held.with_bounds(
            {
                reaction: (
                    max(float(held.lower[held.column(reaction)]), -capacity.limit / 1.5 - 1e-5),
                    min(float(held.upper[held.column(reaction)]), capacity.limit / 1.5 + 1e-5),
                )
                for reaction, capacity in capacities.items()
            }
        )
        assert least_total_flux(limited) == pytest.approx(least_total_flux(held), rel=1e-5)


def least_total_flux(network) -> float:  # noqa: ANN001 - one line of a test
    backwards = [
        Column(f"{r}_back", {m: -c for m, c in network.stoichiometry_of(r).items()}, 0.0, -float(network.lower[i]))
        for i, r in enumerate(network.reactions)
        if network.lower[i] < 0
    ]
    split = network.with_columns(backwards)
    split.lower[: len(network.reactions)] = np.maximum(split.lower[: len(network.reactions)], 0.0)
    with FluxLP(split, dict.fromkeys(split.reactions, -1.0)) as lp:
        return -lp.maximise().objective
