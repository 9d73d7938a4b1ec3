import json
import operator
from pathlib import Path

import cobra
import pytest
from cobra.flux_analysis import fastcc, find_blocked_reactions, find_essential_reactions

from redox_balancer.cell.core import (
    ESSENTIAL_FRACTION,
    Core,
    central_carbon,
    core_model,
    essential_reactions,
    extract_core,
)
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.models import load_model, save_model, to_network
from redox_balancer.cell.network import Network
from refusals import refused
from small_networks import network_of
from toy_cell import BLOCKED, GROWTH, add_blocked, toy_cell


@pytest.fixture(scope="module")
def textbook() -> cobra.Model:
    return cobra.io.load_model("textbook")


@pytest.fixture(scope="module")
def textbook_core(textbook: cobra.Model) -> Core:
    return extract_core(to_network(textbook), ["EX_glc__D_e", "EX_fru_e"])


def rule(core: Core, name: str) -> tuple[set[str], set[str]]:
    (found,) = [rule for rule in core.rules if rule.name == name]
    return set(found.kept), set(found.blocked)


def growth_without(network: Network, reaction: str) -> float:
    """Largest growth after the deletion; 0 where maintenance cannot be met."""
    with FluxLP(network.with_bounds({reaction: (0.0, 0.0)})) as lp:
        solution = lp.maximise()
    return solution.objective if solution.optimal else 0.0


def test_the_textbook_core_is_what_cobrapy_keeps_and_calls_essential(
    textbook: cobra.Model, textbook_core: Core
) -> None:
    kept = set(textbook_core.network.reactions)
    assert kept == {reaction.id for reaction in fastcc(textbook).reactions}
    blocked = {reaction.id for reaction in textbook.reactions} - kept
    assert blocked == set(find_blocked_reactions(textbook, processes=1))
    essential = {reaction.id for reaction in find_essential_reactions(textbook, processes=1)}
    assert rule(textbook_core, "essential") == (essential, set())
    assert textbook_core.growth == pytest.approx(textbook.slim_optimize(), abs=1e-6)
    assert textbook_core.model_growth == pytest.approx(textbook_core.growth, abs=1e-6)


def test_a_rule_names_what_it_kept_and_what_is_blocked(textbook_core: Core) -> None:
    assert rule(textbook_core, "medium") == ({"EX_glc__D_e"}, {"EX_fru_e"})
    assert rule(textbook_core, "objective") == ({"Biomass_Ecoli_core"}, set())
    kept, blocked = rule(textbook_core, "consistent")
    assert (kept, blocked) == (set(textbook_core.network.reactions), set())


@pytest.mark.parametrize(("share", "dispensable"), [(0.5, False), (2.0, True)])
def test_a_bypass_makes_a_reaction_dispensable_unless_it_carries_too_little(
    share: float, *, dispensable: bool
) -> None:
    reactions = {
        "in": ("--> a", 0.0, 10.0),
        "only": "a --> b",
        "one": "b <=> c",
        "other": "b --> c",
        "wide": "c --> d",
        "narrow": ("c --> d", 0.0, share * ESSENTIAL_FRACTION * 10.0),
        "backward": ("e --> d", -1000.0, 0.0),
        "grow": "e -->",
    }
    needed = {"in", "only", "wide", "backward", "grow"} - ({"wide"} if dispensable else set())
    assert set(essential_reactions(network_of(reactions, "grow"), 10.0)) == needed


def test_what_the_deletion_of_a_forced_flux_allows_says_nothing_of_others() -> None:
    forced = {"in": ("--> a", 0.0, 10.0), "grow": ("a -->", -5.0, 1000.0)}
    forced |= {"supply": ("--> b", 0.0, 10.0), "maintain": ("b -->", 2.0, 2.0)}
    assert essential_reactions(network_of(forced, "grow"), 10.0) == ("in", "grow", "supply")


@pytest.mark.parametrize("kind", BLOCKED)
@pytest.mark.parametrize("bound", [1000.0, 999999.0])
@pytest.mark.parametrize("small", [1e-1, 1e-3, 1e-5, 1e-7])
def test_blocked_reactions_with_coefficients_of_any_size_are_dropped(kind: str, bound: float, small: float) -> None:
    model = toy_cell()
    own = {reaction.id for reaction in model.reactions}
    add_blocked(model, kind, small=small, bound=bound)
    found = extract_core(to_network(model), [])
    assert set(found.network.reactions) == own
    assert found.growth == pytest.approx(GROWTH, rel=1e-9)


def test_essential_reactions_of_the_embedded_core_agree_with_plain_deletions(core: Network) -> None:
    extracted = extract_core(core, [])
    assert extracted.growth == pytest.approx(0.08444, abs=1e-5)
    essential, _ = rule(extracted, "essential")
    floor = ESSENTIAL_FRACTION * extracted.growth
    assert essential == {r for r in extracted.network.reactions if growth_without(extracted.network, r) < floor}


def test_central_carbon_is_found_by_name_and_glucose_transport_by_stoichiometry(core: Network) -> None:
    found = set(central_carbon(core))
    assert {"AKGDm", "SUCOASm", "PDHm", "CSm", "HEX1", "GLCt1r", "TALA", "NADH2_u10mi"} <= found
    assert not found & {"EX_glc__D_e", "GLNtm", "LYStiDF", "PCGD", "GLUDxm", "BIOMASS_proxy"}
    unnamed = {
        "HMR_1": "glc__D_e + na1_e --> glc__D_c + na1_c",
        "HMR_2": "glc__D_c --> g6p_c",
        "EX_glc__D_e": "glc__D_e <=>",
    }
    assert central_carbon(network_of(unnamed)) == ("HMR_1",)


def test_a_medium_on_which_nothing_grows_is_refused(textbook: cobra.Model) -> None:
    for closed in ("EX_glc__D_e", "EX_nh4_e"):  # without glucose maintenance cannot be met, without NH4+ only growth
        network = to_network(textbook).with_bounds({closed: (0.0, 0.0)})
        with refused("does not grow", settings=("medium", "biomass")):
            extract_core(network, [])


def test_the_core_as_a_file_carries_medium_objective_genes_formulas_and_charges(
    textbook: cobra.Model, tmp_path: Path
) -> None:
    network = to_network(textbook).with_bounds({"EX_glc__D_e": (-7.0, 1000.0)})
    core = extract_core(network, [])
    path = tmp_path / "core.json"
    save_model(core_model(textbook, core.network), path)
    read = load_model(path).model
    assert {reaction.id for reaction in read.reactions} == set(core.network.reactions)
    assert {metabolite.id for metabolite in read.metabolites} == set(core.network.metabolites)
    for reaction in read.reactions:
        original = textbook.reactions.get_by_id(reaction.id)
        assert (reaction.name, reaction.gene_reaction_rule) == (original.name, original.gene_reaction_rule)
        assert {m.id: v for m, v in reaction.metabolites.items()} == network.stoichiometry_of(reaction.id)
    about = operator.attrgetter("name", "formula", "charge", "compartment")
    for metabolite in read.metabolites:
        assert about(metabolite) == about(textbook.metabolites.get_by_id(metabolite.id))
    assert {gene.id for gene in read.genes} == {gene.id for reaction in read.reactions for gene in reaction.genes}
    assert read.reactions.get_by_id("EX_glc__D_e").lower_bound == -7.0
    written = json.loads(path.read_text())["reactions"]
    assert [entry["id"] for entry in written if entry.get("objective_coefficient")] == ["Biomass_Ecoli_core"]
    assert read.slim_optimize() == pytest.approx(core.growth, abs=1e-6)


def test_another_objective_replaces_the_one_the_model_came_with(textbook: cobra.Model) -> None:
    network = to_network(textbook, "ATPM")
    written = core_model(textbook, extract_core(network, []).network)
    assert to_network(written).objective == "ATPM"
