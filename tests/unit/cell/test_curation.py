"""Curation of a model by a data file, and probes that find what a cell gets for free."""

from __future__ import annotations

import re
from pathlib import Path

import cobra
import pytest

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.curation import Curated, Curation, find_curation
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import load_media
from redox_balancer.cell.models import LoadedModel, to_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.probes import Free, ProbedCell, free_fluxes
from redox_balancer.errors import RedoxError
from toy_cell import GROWTH, growth_of, toy_cell

LDH = "lac__L_c + nad_c <=> pyr_c + nadh_c + h_c"
THD = "nadh_c + nadp_c <=> nad_c + nadph_c"
RESP = "nadh_c + 3.5 h_c + 0.5 o2_c + 2.5 adp_c + 2.5 pi_c --> nad_c + 2.5 atp_c + 3.5 h2o_c"

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


def correction(*lines: str, name: str = "one", mark: str = "assumed") -> str:
    return "\n".join(
        ("[[correction]]", f'id = "{name}"', f'mark = "{mark}"', 'reason = "why"', 'source = "who"', *lines)
    )


def reactions(**equations: str) -> str:
    return "reactions = { " + ", ".join(f'{name} = "{equation}"' for name, equation in equations.items()) + " }"


def curation(folder: Path, *corrections: str) -> Curation:
    path = folder / "toy.toml"
    path.write_text("\n".join(corrections), encoding="utf-8")
    return Curation.read(path)


def toy() -> Network:
    return to_network(toy_cell())


@pytest.mark.parametrize(
    ("change", "equations", "bounds", "line"),
    [
        ('direction = "forward"', {"LDH_L": LDH}, (0.0, 1000.0), "LDH_L: forward only (assumed): why"),
        ('direction = "backward"', {"LDH_L": LDH}, (-1000.0, 0.0), "LDH_L: backward only (assumed): why"),
        ('direction = "backward"', {"RESP": RESP}, (-1000.0, 0.0), "RESP: backward only (assumed): why"),
        ('direction = "both"', {"RESP": RESP}, (-1000.0, 1000.0), "RESP: both directions (assumed): why"),
        ("closed = true", {"LDH_L": LDH}, (0.0, 0.0), "LDH_L: closed (assumed): why"),
        ("capped = 2.5", {"LDH_L": LDH}, (-2.5, 2.5), "LDH_L: at most 2.5 (assumed): why"),
        ("capped = 2.5", {"RESP": RESP}, (0.0, 2.5), "RESP: at most 2.5 (assumed): why"),
        ("capped_forward = 2.5", {"LDH_L": LDH}, (-1000.0, 2.5), "LDH_L: at most 2.5 forward (assumed): why"),
        ("capped_backward = 2.5", {"RESP": RESP}, (-2.5, 1000.0), "RESP: at most 2.5 backward (assumed): why"),
        (
            "capped_forward = 0.0\ncapped_backward = 2.5",
            {"RESP": RESP},
            (-2.5, 0.0),
            "RESP: at most 0 forward and 2.5 backward (assumed): why",
        ),
    ],
)
def test_bounds_are_corrected_and_said(
    tmp_path: Path, change: str, equations: dict[str, str], bounds: tuple[float, float], line: str
) -> None:
    network = toy()
    found = curation(tmp_path, correction(change, reactions(**equations)))
    curated = found.apply(network)
    (reaction,) = equations
    assert found.recognises(network)
    assert curated.network.bounds_of(reaction) == bounds
    assert curated.lines == (line,)
    others = [r for r in network.reactions if r != reaction]
    assert [curated.network.bounds_of(r) for r in others] == [network.bounds_of(r) for r in others]


def test_stoichiometry_is_corrected(tmp_path: Path) -> None:
    change = correction("stoichiometry = { h_c = -4.5, h_e = 1, o2_c = 0, o2_e = -0.5 }", reactions(RESP=RESP))
    before = toy()
    after = curation(tmp_path, change).apply(before).network
    expected = before.stoichiometry_of("RESP") | {"h_c": -4.5, "h_e": 1.0, "o2_e": -0.5}
    del expected["o2_c"]
    assert after.stoichiometry_of("RESP") == expected
    others = [r for r in before.reactions if r != "RESP"]
    assert [after.stoichiometry_of(r) for r in others] == [before.stoichiometry_of(r) for r in others]
    assert (after.metabolites, after.objective, after.names) == (before.metabolites, before.objective, before.names)


def test_a_charge_is_corrected_everywhere_and_before_the_balance_is_read(tmp_path: Path) -> None:
    model = toy_cell()
    for metabolite in ("lac__L_c", "lac__L_e"):
        model.metabolites.get_by_id(metabolite).charge = -2
    model.reactions.TCA.add_metabolites({"h_c": 1})
    network = to_network(model)
    assert imbalanced_reactions(network).keys() == {"LDH_L", "TCA"}
    found = curation(
        tmp_path,
        correction("charges = { lac__L = -1 }", mark="balance"),
        correction("unbalanced = true", "closed = true", reactions(TCA="H 1, charge 1"), name="two"),
    )
    curated = found.apply(network)
    assert imbalanced_reactions(curated.network).keys() == {"TCA"}
    assert curated.network.bounds_of("TCA") == (0.0, 0.0)
    assert curated.lines[0] == "lac__L: charge -1 (balance): why"


def test_a_model_is_recognised_by_its_reactions_alone_and_curated_only_once(tmp_path: Path) -> None:
    found = curation(
        tmp_path,
        correction("stoichiometry = { h_c = -4.5, h_e = 1 }", reactions(RESP=RESP)),
        correction('direction = "forward"', reactions(LDH_L=LDH), name="two"),
    )
    model = toy_cell()
    model.id = "unnamed"
    model.reactions.sort(key=lambda reaction: reaction.id)
    for metabolite in model.metabolites:
        metabolite.id = f"{metabolite.id[:-2]}[{metabolite.id[-1]}]"
    model.repair()
    once = found.apply(to_network(model)).network
    assert found.recognises(once)
    twice = found.apply(once).network
    assert [twice.stoichiometry_of(r) for r in once.reactions] == [once.stoichiometry_of(r) for r in once.reactions]
    assert once.stoichiometry_of("RESP")["h[e]"] == 1.0
    model.reactions.RESP.add_metabolites({"h[c]": -1})
    model.reactions.LDH_L.add_metabolites({"h[c]": 1})
    assert not found.recognises(to_network(model))


@pytest.mark.parametrize(
    ("corrections", "message"),
    [
        ([correction("closed = true", reactions(NOPE=LDH))], "one names reaction NOPE, which model toy lacks"),
        ([correction("closed = true", reactions(LDH_L=THD))], "one is about another LDH_L than model toy has"),
        (
            [correction("closed = true", "unbalanced = true", reactions(LDH_L="H 1"))],
            "one is about another LDH_L than model toy has",
        ),
        ([correction("stoichiometry = { h_i = 1 }", reactions(RESP=RESP))], "metabolite h_i, which model toy lacks"),
        ([correction("charges = { nope = 1 }")], "one names metabolite nope, which model toy lacks"),
        (
            [
                correction("closed = true", reactions(LDH_L=LDH)),
                correction("capped = 1", reactions(LDH_L=LDH), name="b"),
            ],
            "toy.toml: LDH_L is changed twice, by one and b",
        ),
        ([correction(reactions(LDH_L=LDH))], "needs exactly one of"),
        ([correction("closed = true", "capped = 1", reactions(LDH_L=LDH))], "needs exactly one of"),
        ([correction("closed = true")], "needs reactions"),
        ([correction("capped = 0", reactions(LDH_L=LDH))], "capped: Input should be greater than 0"),
        ([correction('direction = "up"', reactions(LDH_L=LDH))], "direction: Input should be"),
        ([correction("closed = true", reactions(LDH_L=LDH), mark="guessed")], "mark: Input should be"),
        ([correction("closed = true", reactions(LDH_L="lac__L_c")).replace("who", "")], "source: String should have"),
    ],
)
def test_bad_corrections_are_refused_in_one_line(tmp_path: Path, corrections: list[str], message: str) -> None:
    with pytest.raises(RedoxError, match=re.escape(message)) as caught:
        curation(tmp_path, *corrections).apply(toy())
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_models_without_a_curation_are_not_recognised(core: Network) -> None:
    assert find_curation(toy()) is None
    assert find_curation(core) is None


@pytest.mark.parametrize(
    ("equation", "free"),
    [
        ("h2o_c --> h2o_e", set()),
        ("nadph_c + 0.5 o2_c + h_c --> nadp_c + h2o_c", {"oxidation (nadph_c)"}),
        ("nadp_c + h_c --> nadph_c", {"reduction (nadph_c)"}),
        ("nadh_c + nadp_c --> nad_c + nadph_c", {"NADPH from NADH (c)"}),
        ("nad_c + nadph_c --> nadh_c + nadp_c", set()),
        ("adp_c + pi_c + h_c --> atp_c + h2o_c", {"ATP (c)"}),
        ("h_m --> h_i", {"proton gradient (i)"}),
        ("q10h2_m + 0.5 o2_c + 2 h_m --> q10_m + h2o_c + 2 h_i", set()),
    ],
)
def test_probes_find_what_is_free(equation: str, free: set[str]) -> None:
    model = toy_cell()
    for reaction in (model.reactions.THD, model.reactions.RESP):
        reaction.bounds = 0.0, 0.0
    new = cobra.Reaction("NEW", lower_bound=0.0, upper_bound=1000.0)
    model.add_reactions([new])
    new.build_reaction_from_string(equation, verbose=False)
    for metabolite in new.metabolites:
        metabolite.compartment = metabolite.id[-1]
    found = free_fluxes(to_network(model))
    assert {str(probe) for probe, value in found.items() if value} == free
    assert all(found[probe] == 1.0 for probe in found if str(probe) in free)


def test_the_embedded_core_gets_nothing_for_free(core: Network) -> None:
    found = free_fluxes(core)
    assert {probe.subject for probe in found} >= {"nadh_c", "nadh_m", "nadph_m", "q10h2_m", "i"}
    assert not any(found.values())


@pytest.mark.parametrize("compartment", ["c", "m"])
def test_an_oxidase_in_the_embedded_core_is_found(core: Network, compartment: str) -> None:
    equation = parse_equation("nadh_X + h_X + 0.5 o2_X --> nad_X + h2o_X".replace("X", compartment))
    found = free_fluxes(core.with_columns([Column("OXIDASE", equation, 0.0, 1000.0)]))
    assert f"oxidation (nadh_{compartment})" in {str(probe) for probe, value in found.items() if value == 1.0}


def test_the_curated_toy_cell_grows_as_before(tmp_path: Path) -> None:
    found = curation(tmp_path, correction('direction = "backward"', reactions(LDH_L=LDH)))
    assert growth_of(found.apply(toy()).network) == pytest.approx(GROWTH)


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
    assert reached("NADH2_u10mi")["to nadh_m"] == reached("r0205")["to nadh_c"] == pytest.approx(1.0)
    assert reached("PROD2m")["to nadh_m"] == pytest.approx(0.001)


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
            assert curated.network.stoichiometry_of(reaction).keys() & {f"o2_{letter}" for letter in "cmxre"}, (
                reaction
            )
            lp.set_objective({reaction: 1.0})
            if not lp.maximise().objective > 0.01:
                idle.append(enzyme)
    assert not idle
