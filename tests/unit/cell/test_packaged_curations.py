"""The packaged curations: curated Recon3D and Human-GEM get nothing for free, and do what they did before."""

from pathlib import Path

import pytest

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.curation import Curated, curate_model, find_curation
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import load_media
from redox_balancer.cell.models import LoadedModel, load_model, load_network, to_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.probes import Free, ProbedCell, free_fluxes
from toy_cell import growth_of

OXIDASES = {
    "SCD": "DESAT18_5",
    "SCD with cytochrome b5": "r0511",
    "FADS1": "DESAT20_1",
    "FADS2": "DESAT18_9",
    "XDH": "r0395",
    "CYP27A1": "P45027A13m",
    "MAO": "MAOLNOR",
    "DAO": "DALAOXx",
    "DDO": "DASPO1p",
    "AOX1": "5HOXINDACTO2OX",
    "AOC": "PTRCOX1",
    "HAO1": "GLYCTO1p",
    "PIPOX": "SARCOXp",
    "ACOX1": "ACOAO7p",
    "HMOX1": "HOXG",
    "NOS2": "NOS2",
    "HPD": "34HPPOR",
    "HGD": "HGNTOR",
    "SQLE": "SQLEr",
    "CYP51A1": "LNS14DM",
    "MSMO1": "HMR_1490",
    "CYP2E1": "ACTLMO",
    "PAH": "r0399",
    "TH": "TYR3MO2",
    "TPH1": "TRPHYDRO2",
    "KMO": "KYN3OX",
    "CDO1": "CYSO",
    "PHYH": "PHYHx",
    "ferroxidase": "FERO",
}
"""A reaction of human enzymes that take oxygen, by gene."""


@pytest.fixture(scope="module")
def published(recon3d: LoadedModel) -> Network:
    return to_network(recon3d.model, "BIOMASS_reaction")


@pytest.fixture(scope="module")
def curated(published: Network) -> Curated:
    found = find_curation(published)
    assert found is not None
    assert found.id == "recon3d"
    return found.apply(published)


def test_curated_recon3d_gets_nothing_for_free(published: Network, curated: Curated) -> None:
    before = free_fluxes(published)
    assert {probe.free for probe, value in before.items() if value} == {Free.OXIDATION, Free.NADPH}
    after = free_fluxes(curated.network)
    assert {probe.free for probe in after} == set(Free)
    assert after == dict.fromkeys(before, 0.0)


def test_electrons_of_nadph_reach_ubiquinone_of_curated_recon3d_by_three_enzymes_alone(curated: Curated) -> None:
    carriers = [(f"{a}_{x}", f"{a}h_{x}", f"h_{x}") for a in ("nad", "nadp") for x in "cm"]
    columns = [Column(f"to {nadh}", {nad: -1.0, "h_e": -2.0, nadh: 1.0, h: 1.0}) for nad, nadh, h in carriers]
    quinol = Column("quinol", {"q10h2_m": -1.0, "q10_m": 1.0, "h_e": 2.0}, 0.0, 1.0)
    cell = ProbedCell(curated.network).network.with_columns([*columns, quinol])

    def reached(enzyme: str | None = None) -> dict[str, float]:
        chain = dict.fromkeys(("NADH2_u10mi", "r0205", "PROD2m", "CYOR_u10mi", "EX_o2_e"), (0.0, 0.0))
        open_ = {enzyme: curated.network.bounds_of(enzyme)} if enzyme else {}
        found = {}
        with FluxLP(cell.with_bounds(chain | open_), {}) as lp:
            lp.set_objective({"quinol": 1.0})
            for column in columns:
                lp.set_bounds(cell.column(column.id), 0.0, 1.0)
                found[column.id] = lp.maximise().objective
                lp.set_bounds(cell.column(column.id), 0.0, 0.0)
        return found

    assert reached() == pytest.approx({column.id: 0.0 for column in columns}, abs=1e-9)
    for enzyme, carrier in (("NADH2_u10mi", "nadh_m"), ("r0205", "nadh_c"), ("PROD2m", "nadh_m")):
        assert reached(enzyme)[f"to {carrier}"] == pytest.approx(1.0)


def test_what_does_not_balance_in_recon3d_is_closed_or_capped(curated: Curated) -> None:
    bounds = {reaction: curated.network.bounds_of(reaction) for reaction in imbalanced_reactions(curated.network)}
    assert {reaction for reaction, limits in bounds.items() if any(limits)} == {
        "AGPAT4",
        "CHOLESTle",
        "HDL_HSDEG",
        "IDL_HSDEG",
        "LDL_HSDEG",
    }
    assert max(high for _, high in bounds.values()) < 0.1


@pytest.mark.parametrize(("name", "growth"), [("culture", 0.084443), ("human_minimal", 0.0365025)])
def test_curated_recon3d_grows_as_before(published: Network, curated: Curated, name: str, growth: float) -> None:
    before, after = (growth_of(load_media()[name].apply(network)) for network in (published, curated.network))
    assert before == pytest.approx(growth, rel=1e-4)
    assert after == pytest.approx(before, rel=1e-4)


def test_what_the_culture_medium_keeps_in_does_not_limit_growth(curated: Curated) -> None:
    culture = load_media()["culture"]
    open_ = culture.model_copy(update={"secretions": None, "oxygen_budget": None})
    assert growth_of(culture.apply(curated.network)) > 0.99 * growth_of(open_.apply(curated.network))


def test_human_oxidases_of_curated_recon3d_take_oxygen(curated: Curated) -> None:
    idle = []
    with FluxLP(curated.network, {}) as lp:
        for enzyme, reaction in OXIDASES.items():
            assert curated.network.stoichiometry_of(reaction).keys() & {f"o2_{letter}" for letter in "cmxre"}, enzyme
            lp.set_objective({reaction: 1.0})
            if not lp.maximise().objective > 0.01:
                idle.append(enzyme)
    assert not idle


def test_curated_human_gem_gets_nothing_for_free_and_grows_as_before(human_gem_path: Path) -> None:
    published = load_network(human_gem_path, as_published=True)
    loaded = load_model(human_gem_path)
    curated = loaded.curated()
    assert curated.curation == "human_gem"
    network = curated.network
    found = free_fluxes(network)
    assert {probe.free for probe in found} == set(Free)
    assert not any(found.values())
    hams = load_media()["hams"]
    assert growth_of(hams.apply(network)) == pytest.approx(growth_of(hams.apply(published)), rel=1e-6)
    again = find_curation(network)
    assert again is not None
    assert again.apply(network, strict=False).lines == ()
    core = curate_model(loaded.model, curated)
    assert to_network(core).find_reaction("r0205") is None
    assert load_network(core).find_reaction("r0205") == "MAR01169"
