from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from commands import edited_library
from redox_balancer.cell.balance import elements, imbalance
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.design.enzymes import (
    Confidence,
    Role,
    free_concentration,
    load_cofactors,
    load_library,
    load_native_capacities,
)
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kcat_per_s = { value = 648", "kcat_per_s = { value = -648", "LBNOX: kcat_per_s.value"),
        ('id = "TPNOX"', 'id = "LBNOX"', "LBNOX is defined twice"),
        ('role = "oxidase"', 'role = "oxidase"\ncolour = "green"', "colour"),
        ("nadh_c + h_c + 0.5 o2_c -->", "nadh_c + h_c + half o2_c -->", "cannot read 'half o2_c'"),
        ("nadh_c + h_c + 0.5 o2_c -->", "nadh_c + h_c + 0.5 o2_c", "no arrow"),
        (
            'compartment = "m", reaction = "nadh_m + h_m + 0.5',
            'compartment = "c", reaction = "nadh_m + h_m + 0.5',
            "two",
        ),
        ('confidence = "assumed"', 'confidence = "certain"', "confidence"),
    ],
)
def test_a_faulty_library_is_refused_with_one_line_and_a_hint(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(RedoxError) as caught:
        Task(enzymes=edited_library(tmp_path, old, new)).space()
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_flux_of_an_expression_level_follows_from_kcat_mass_and_saturation() -> None:
    # 648 /s x 3600 s/h x 0.001 x 0.506 g/gDW / 49 g/mmol = 24.1 mmol/gDW/h at full saturation
    assert load_library()["LBNOX"].capacity(1e-3, 1.0) == pytest.approx(24.1, abs=0.05)
    assert load_library()["LBNOX"].capacity(1e-3, 0.05) == pytest.approx(24.1 * 0.05, abs=0.005)


def test_saturation_follows_from_the_km_where_it_is_known() -> None:
    oxidase, shuttle = load_library()["LBNOX"], load_library()["NDI1"]
    network = load_network(None)
    cytosol, matrix = (free_concentration(network, site.stoichiometry) for site in oxidase.sites[:2])
    free = load_cofactors()["nadh_c"].concentration_mm
    assert (cytosol, matrix) == (free, None)
    assert oxidase.saturation(cytosol, 0.05) == pytest.approx(free / (free + 0.069))
    assert oxidase.saturation(matrix, 0.05) == 0.05
    assert shuttle.saturation(free, 0.05) == 0.05


def test_each_km_is_used(space: DesignSpace) -> None:
    """With another default saturation the placements with a KM keep their capacities."""
    halved = {p.id: p for p in Task(saturation=0.025, candidates="all").space().placements}
    given = [p for p in Task(candidates="all").space().placements if p.enzyme.km_mm and p.site.compartment == "c"]
    assert {p.enzyme.id for p in given} == {e.id for e in load_library().values() if e.km_mm}
    assert all(halved[p.id].caps == p.caps for p in given)
    assert halved["NDI1_m"].caps[0] == pytest.approx(
        next(p for p in space.placements if p.id == "NDI1_m").caps[0] / 2
    )


def test_the_library_has_forty_or_more_enzymes_with_source_and_confidence_for_each_value() -> None:
    library = load_library()
    assert len(library) >= 40
    values = [value for enzyme in library.values() for value in enzyme.sourced_values()]
    assert all(source.strip() for _, _, _, source in values)
    for _, _, confidence, source in values:
        if "no measured figure" in source or "not looked up" in source or "not verified" in source:
            assert confidence is Confidence.ASSUMED
        if "BRENDA, E. coli" in source or "Sus scrofa" in source:
            assert confidence is Confidence.PROXY


def test_the_library_balances_with_charges_at_ph_7(core: Network) -> None:
    """Every site in the peroxisome and in compartments the core lacks too, by the formulas of the cytosol."""
    formulas = {name.rpartition("_")[0]: formula for name, formula in core.formulas.items()}
    charges = {name.rpartition("_")[0]: charge for name, charge in core.charges.items()}
    outside = 0
    for enzyme in load_library().values():
        for site in enzyme.sites:
            species: dict[str, float] = {}
            for metabolite, amount in site.stoichiometry.items():
                name = metabolite.rpartition("_")[0]
                species[name] = species.get(name, 0.0) + amount
            if species.keys() <= formulas.keys():
                assert imbalance(species, formulas, charges) == {}, (enzyme.id, site.compartment)
            else:
                outside += 1
    assert outside < 15
    assert elements(formulas["nadh"])["N"] == 7


def test_known_mistakes_of_earlier_tables_are_corrected() -> None:
    library = load_library()
    assert [site.reaction for site in library["NNT"].sites] == ["h_i + nadh_m + nadp_m --> h_m + nad_m + nadph_m"]
    assert all("h_i" in library[carrier].sites[0].stoichiometry for carrier in ("SLC25A12", "SLC25A13", "PNTAB"))
    assert [site.compartment for site in library["ME2"].sites] == ["m"]
    assert [site.reversible for site in library["UDHA"].sites] == [True, True]
    assert {site.compartment for site in library["LBNOX"].sites} == {"c", "m", "x"}
    membrane = {enzyme.id for enzyme in library.values() if enzyme.membrane}
    assert membrane >= {"NDI1", "NDE1", "AOX", "NNT", "PNTAB", "GPD2", "UCP1", "SLC25A11", "SLC25A12", "SLC25A51"}
    assert not membrane & {"LBNOX", "UDHA", "LDHA", "MDH2"}
    assert library["FDH"].role is Role.PRODUCER


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
                    max(float(held.lower[held.column(reaction)]), -limit / 1.5 - 1e-5),
                    min(float(held.upper[held.column(reaction)]), limit / 1.5 + 1e-5),
                )
                for reaction, limit in capacities.items()
            }
        )
        assert least_total_flux(limited) == pytest.approx(least_total_flux(held), rel=1e-5)


def test_enzymes_that_a_proteome_lacks_are_limited_in_genome_scale_models_alone() -> None:
    core = load_network(None).with_columns([Column("SULFOX", {"nadh_c": -1.0, "nad_c": 1.0}, 0.0, 1000.0)])
    assert "SULFOX" not in load_native_capacities(core)
    limits = load_native_capacities(replace(core, id="genome"))
    assert (limits["SULFOX"], limits["LDH_L"], limits["MDH"]) == (0.001, 3.75, load_native_capacities(core)["MDH"])
    assert load_native_capacities(replace(core, id="genome"), as_published=True) == {}


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
