from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from redox_balancer.cell.balance import imbalanced_reactions
from redox_balancer.cell.embedded import CORE_ID, core_from_tables, core_json, core_text
from redox_balancer.cell.media import get_medium
from redox_balancer.cell.models import LoadedModel, load_model, to_network
from redox_balancer.cell.network import Network
from redox_balancer.cell.records import packaged
from redox_balancer.errors import RedoxError

ADDED = {"PIt2m", "BIOMASS_proxy"}
ON_INTERMEMBRANE_PROTONS = {"THD1m", "ASPGLUm"}


def test_the_committed_json_is_what_the_tables_give() -> None:
    assert core_json().read_text(encoding="utf-8") == core_text()


def test_the_core_has_its_164_reactions_and_one_objective(core: Network) -> None:
    assert (core.id, len(core.reactions), len(core.metabolites)) == ("human_redox_core", 164, 154)
    assert core.objective == "BIOMASS_proxy"


def test_cobrapy_reads_the_same_network_as_the_reader_of_the_core(core: Network) -> None:
    loaded = load_model(core_json())
    read = to_network(loaded.model)
    assert loaded.repairs == ()
    assert (read.reactions, read.metabolites, read.objective) == (core.reactions, core.metabolites, core.objective)
    assert (read.formulas, read.charges) == (core.formulas, core.charges)
    assert all(read.bounds_of(r) == core.bounds_of(r) for r in core.reactions)
    assert all(read.stoichiometry_of(r) == core.stoichiometry_of(r) for r in core.reactions)


def test_every_internal_reaction_but_the_biomass_proxy_is_balanced(core: Network) -> None:
    assert set(core.formulas) == set(core.charges) == set(core.metabolites)
    assert imbalanced_reactions(core) == {}


def test_a_wrong_charge_unbalances_the_core(core: Network) -> None:
    faulty = replace(core, charges={**core.charges, "h_m": 0})
    assert {"NADH2_u10mi", "ATPS4mi", "Htmi"} <= set(imbalanced_reactions(faulty))


def test_ids_and_stoichiometry_are_those_of_recon3d_but_for_two_carriers(core: Network, recon3d: LoadedModel) -> None:
    theirs = {reaction.id: reaction for reaction in recon3d.model.reactions}
    assert set(core.reactions) - theirs.keys() == ADDED
    different = {
        reaction
        for reaction in core.reactions
        if reaction not in ADDED
        and {m.id: value for m, value in theirs[reaction].metabolites.items()} != core.stoichiometry_of(reaction)
    }
    assert different == ON_INTERMEMBRANE_PROTONS
    for reaction in ON_INTERMEMBRANE_PROTONS:
        moved = {"h_i" if m.id == "h_c" else m.id: value for m, value in theirs[reaction].metabolites.items()}
        assert core.stoichiometry_of(reaction) == moved


def test_the_embedded_bounds_are_the_physiological_medium(core: Network) -> None:
    medium = get_medium("physiological")
    assert medium is not None
    fed = medium.apply(core)
    assert (fed.lower.tolist(), fed.upper.tolist()) == (core.lower.tolist(), core.upper.tolist())


def test_every_line_of_the_tables_names_its_source() -> None:
    document = core_from_tables(packaged(CORE_ID))
    assert all(entry["notes"]["source"] for entry in document["reactions"] + document["metabolites"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text.replace("glc__D_c --> ", "glucose_c --> "), "no metabolite 'glucose_c'"),
        (lambda text: text + text.splitlines()[-1] + "\n", "is repeated"),
        (lambda text: text + "odd\t1\n", "odd has another number of cells"),
    ],
)
def test_a_table_with_a_mistake_is_refused(tmp_path: Path, change: Callable[[str], str], problem: str) -> None:
    for name in ("metabolites.tsv", "reactions.tsv"):
        text = packaged(f"{CORE_ID}/{name}").read_text(encoding="utf-8")
        (tmp_path / name).write_text(change(text), encoding="utf-8")
    with pytest.raises(RedoxError, match=problem):
        core_from_tables(tmp_path)
