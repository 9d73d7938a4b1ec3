"""Curation of a model by a data file, and probes that find what a cell gets for free."""

from pathlib import Path

import cobra
import pytest

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.curation import Curation, curate_model, find_curation
from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.models import load_network, to_network
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.probes import free_fluxes
from refusals import refused
from toy_cell import GROWTH, growth_of, toy_cell

LDH = "lac__L_c + nad_c <=> pyr_c + nadh_c + h_c"
THD = "nadh_c + nadp_c <=> nad_c + nadph_c"
RESP = "nadh_c + 3.5 h_c + 0.5 o2_c + 2.5 adp_c + 2.5 pi_c --> nad_c + 2.5 atp_c + 3.5 h2o_c"


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
    assert all(curated.network.bounds_of(r) == network.bounds_of(r) for r in network.reactions if r != reaction)


def test_stoichiometry_is_corrected(tmp_path: Path) -> None:
    change = correction("stoichiometry = { h_c = -4.5, h_e = 1, o2_c = 0, o2_e = -0.5 }", reactions(RESP=RESP))
    before = toy()
    after = curation(tmp_path, change).apply(before).network
    expected = before.stoichiometry_of("RESP") | {"h_c": -4.5, "h_e": 1.0, "o2_e": -0.5}
    del expected["o2_c"]
    assert after.stoichiometry_of("RESP") == expected
    assert all(after.stoichiometry_of(r) == before.stoichiometry_of(r) for r in before.reactions if r != "RESP")
    assert (after.metabolites, after.objective, after.names) == (before.metabolites, before.objective, before.names)


def test_charges_and_formulas_are_corrected_everywhere_and_before_the_balance_is_read(tmp_path: Path) -> None:
    model = toy_cell()
    for metabolite in ("lac__L_c", "lac__L_e"):
        model.metabolites.get_by_id(metabolite).charge = -2
    model.metabolites.co2_c.formula = model.metabolites.co2_e.formula = "CO3"
    model.reactions.TCA.add_metabolites({"h_c": 1})
    network = to_network(model)
    assert imbalanced_reactions(network).keys() == {"LDH_L", "TCA"}
    found = curation(
        tmp_path,
        correction("charges = { lac__L = -1 }", mark="balance"),
        correction('formulas = { co2 = "CO2" }', name="three"),
        correction("unbalanced = true", "closed = true", reactions(TCA="H 1, charge 1"), name="two"),
    )
    curated = found.apply(network)
    assert imbalanced_reactions(curated.network).keys() == {"TCA"}
    assert curated.network.bounds_of("TCA") == (0.0, 0.0)
    assert curated.lines[:2] == ("lac__L: charge -1 (balance): why", "co2: formula CO2 (assumed): why")
    curate_model(model, curated)
    assert (model.metabolites.co2_e.formula, model.metabolites.lac__L_e.charge) == ("CO2", -1)


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


def test_reactions_of_human_gem_are_found_by_their_former_ids(tmp_path: Path) -> None:
    model = toy_cell()
    model.reactions.LDH_L.id = "HMR_4281"
    found = curation(tmp_path, correction("closed = true", reactions(MAR04281=LDH)))
    assert found.apply(to_network(model)).network.bounds_of("HMR_4281") == (0.0, 0.0)


def test_a_curation_gives_reactions_their_bigg_names(tmp_path: Path) -> None:
    names = '[names]\nLDH_D = "LDH_L"\nTHD = "RESP"\nGONE = "NOPE"'
    network = curation(tmp_path, correction("closed = true", reactions(LDH_L=LDH)), names).apply(toy()).network
    assert [network.find_reaction(name) for name in ("LDH_D", "THD", "GONE")] == ["LDH_L", "THD", None]
    with refused("needs ids as texts"):
        curation(tmp_path, correction("closed = true", reactions(LDH_L=LDH)), "[names]\nLDH_D = 1")


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
        (["correction = [1]"], "has no [[correction]] entries"),
        (["substance = 1", correction("charges = { pi = -2 }")], "[substance] is no table"),
        ([correction("charges = { nope = 1 }")], "one names metabolite nope, which model toy lacks"),
        ([correction('formulas = { nope = "H" }')], "one names metabolite nope, which model toy lacks"),
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
    with refused(message):
        curation(tmp_path, *corrections).apply(toy())


def test_a_curation_that_changes_nothing_is_not_named(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(correction('direction = "both"', reactions(LDH_L=LDH)))
    assert load_network(curation=own).repairs == ()


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


ADDITION = """
[substance]
etoh = {{ formula = "C2H6O", charge = 0 }}
[[addition]]
id = "ADH"
mark = "assumed"
reason = "why"
source = "who"
equation = "{}"
"""


def test_the_curated_toy_cell_grows_as_before(tmp_path: Path) -> None:
    found = curation(tmp_path, correction('direction = "backward"', reactions(LDH_L=LDH)))
    assert growth_of(found.apply(toy()).network) == pytest.approx(GROWTH)


def test_reactions_and_metabolites_are_added(tmp_path: Path) -> None:
    change = correction("stoichiometry = { etoh_c = 1 }", reactions(LDH_L=LDH))
    added = ADDITION.format("etoh_e <=> etoh_c")
    before, model = toy(), toy_cell()
    found = curation(tmp_path, change, added).apply(before)
    after = found.network
    assert "ADH: added (assumed): why" in found.lines
    assert after.stoichiometry_of("ADH") == {"etoh_e": -1.0, "etoh_c": 1.0}
    assert after.bounds_of("ADH") == (-1000.0, 1000.0)
    assert after.stoichiometry_of("LDH_L") == before.stoichiometry_of("LDH_L") | {"etoh_c": 1.0}
    assert (after.formulas["etoh_c"], after.charges["etoh_e"]) == ("C2H6O", 0)
    assert all(after.stoichiometry_of(r) == before.stoichiometry_of(r) for r in before.reactions if r != "LDH_L")
    again = to_network(curate_model(model, found))
    assert again.stoichiometry_of("ADH") == after.stoichiometry_of("ADH")
    assert again.formulas["etoh_e"] == "C2H6O"
    assert again.compartment_of("etoh_e") == "e"


@pytest.mark.parametrize(
    ("equation", "said"),
    [
        ("etoh_c --> 2 etoh_e", "ADH does not balance (C 2, H 6, O 1)"),
        ("etoh_c --> meoh_c", "ADH names meoh_c, which neither model nor curation know"),
    ],
)
def test_an_addition_that_cannot_be_is_refused(tmp_path: Path, equation: str, said: str) -> None:
    text = correction("closed = true", reactions(LDH_L=LDH)) + ADDITION.format(equation)
    with refused(said, settings=("curation", "model")):
        curation(tmp_path, text).apply(toy())
