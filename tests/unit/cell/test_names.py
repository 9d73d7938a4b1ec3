"""BiGG names of models in other namespaces."""

from pathlib import Path

import pytest

from metabolic_atlas import metabolic_atlas, write_tables
from redox_balancer.cell.choice import offered_conditions
from redox_balancer.cell.conditions import load_conditions
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import apply_medium
from redox_balancer.cell.models import load_network, save_model, to_network
from redox_balancer.cell.names import compartment_letter, split_metabolite
from redox_balancer.cell.network import Network
from refusals import refused
from toy_cell import toy_cell


@pytest.fixture(scope="module")
def sbml(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """The core in MAR and MAM ids, from SBML with annotations."""
    path = tmp_path_factory.mktemp("human-gem") / "Human-GEM.xml"
    model, _, _ = metabolic_atlas(annotated=True)
    save_model(model, path)
    return load_network(path)


@pytest.fixture(scope="module")
def yaml(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """The same from YAML without annotations, with tables of cross-references."""
    folder = tmp_path_factory.mktemp("human-gem")
    model, metabolites, reactions = metabolic_atlas(annotated=False)
    save_model(model, folder / "Human-GEM.yml")
    write_tables(folder, metabolites, reactions)
    return load_network(folder / "Human-GEM.yml")


@pytest.mark.parametrize("form", ["sbml", "yaml"])
def test_metabolic_atlas_ids_are_found_by_their_bigg_names(
    form: str, core: Network, request: pytest.FixtureRequest
) -> None:
    network: Network = request.getfixturevalue(form)
    assert network.find_metabolite("nadh_c") == "MAM02553c"
    assert network.is_species("MAM02553c", "nadh")
    assert all(network.find_metabolite(metabolite) is not None for metabolite in core.metabolites)
    assert all(network.find_reaction(reaction) is not None for reaction in core.reactions)
    assert list(map(network.column, core.exchanges)) == list(map(network.column, network.exchanges))
    assert network.find_reaction("EX_glc__D_c") is None


def test_media_and_conditions_in_bigg_ids_apply_to_metabolic_atlas_ids(sbml: Network, core: Network) -> None:
    for medium in ("physiological", "human_minimal"):
        with FluxLP(apply_medium(sbml, medium)) as lp, FluxLP(apply_medium(core, medium)) as expected:
            assert lp.maximise().objective == pytest.approx(expected.maximise().objective, abs=1e-8)
    fitting, left_out = offered_conditions(load_conditions().values(), sbml)
    assert left_out == []
    for condition in fitting:
        for change in condition.of(sbml).changes:
            assert change.reaction.startswith("MAR")


def test_a_model_without_annotations_is_refused_with_a_hint(tmp_path: Path) -> None:
    model, _, _ = metabolic_atlas(annotated=False)
    save_model(model, tmp_path / "bare.yml")
    network = load_network(tmp_path / "bare.yml")
    # The names of compartments suffice to recognise exchanges.
    assert len(network.exchanges) > 20
    with refused("none of the exchanges", "annotations"):
        apply_medium(network, "physiological")


def test_a_broken_table_of_cross_references_is_an_error(tmp_path: Path) -> None:
    model, metabolites, reactions = metabolic_atlas(annotated=False)
    save_model(model, tmp_path / "Human-GEM.yml")
    write_tables(tmp_path, metabolites, reactions)
    (tmp_path / "metabolites.tsv").write_bytes(b"mets\tmetBiGGID\n\xff\xfe\n")
    with refused("metabolites.tsv"):
        load_network(tmp_path / "Human-GEM.yml")


def test_a_name_of_two_metabolites_refers_to_neither() -> None:
    model, _, _ = metabolic_atlas(annotated=True)
    model.metabolites.get_by_id("MAM02552c").annotation["bigg.metabolite"] = ["nad", "nadh"]
    network = to_network(model)
    assert network.find_metabolite("nadh_c") is None
    assert network.find_metabolite("nad_c") == "MAM02552c"


@pytest.mark.parametrize(
    ("compartment", "name", "letter"),
    [
        ("s", "Extracellular", "e"),
        ("p", "Peroxisome", "x"),
        ("i", "Inner mitochondria", "i"),
        ("im", "mitochondrial intermembrane space", "i"),
        ("mm", "mitochondrial membrane", "mm"),
        ("C_c", "", "c"),
        ("c0", "", "c"),
        ("p", "", "p"),
        ("e", "extracellular space", "e"),
        ("cyto", "Cytoplasm", "c"),
        ("Extra_organism", "", "e"),
        ("extracellular", "", "e"),
        ("C_e", "", "e"),
        ("e0", "", "e"),
        ("[e]", "", "e"),
        ("Cytosol", "", "c"),
        ("x", "Boundary", "b"),
    ],
)
def test_compartments_are_recognised_by_name_or_else_by_id(compartment: str, name: str, letter: str) -> None:
    assert compartment_letter(compartment, name) == letter


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("nadh[c]", "nadh_c"),
        ("nadh(c)", "nadh_c"),
        ("nadh_c0", "nadh_c"),
        ("M_nadh_c", "nadh_c"),
        ("M_nadh__91__c__93__", "nadh_c"),
        ("M_nadh_LSQBKT_c_RSQBKT_", "nadh_c"),
        ("glc_D[e]", "glc__D_e"),
        ("glc-D(e)", "glc__D_e"),
        ("glc_DASH_D_e", "glc__D_e"),
        ("glc__D_e", "glc__D_e"),
        ("26dap-LL[c]", "26dap_LL_c"),
        ("s_0001", None),
        ("MAM02553c", None),
    ],
)
def test_the_bigg_name_of_a_metabolite_follows_from_its_id(identifier: str, name: str | None) -> None:
    species, suffix = split_metabolite(identifier, {"c", "e"})
    assert (f"{species}_{compartment_letter(suffix, '')}" if species else None) == name


@pytest.mark.parametrize(
    "annotation", [None, 3, {}, [], [None], [["isVersionOf", "nad"]], [["is", "nadh"]], " nadh "]
)
def test_odd_annotations_are_ignored(annotation: object) -> None:
    model, _, _ = metabolic_atlas(annotated=True)
    model.metabolites.get_by_id("MAM02553c").annotation["bigg.metabolite"] = annotation
    found = "MAM02553c" if "nadh" in str(annotation) else None
    assert to_network(model).find_metabolite("nadh_c") == found


@pytest.mark.parametrize("names", ["nadh_c", ["dpnh", "nadh"], [["is", "nadh_c"]]])
@pytest.mark.parametrize("own", ["nadh_c", "s_1203[c]"])
def test_an_annotation_may_name_the_compartment_or_more_than_one_species(names: object, own: str) -> None:
    model = toy_cell()
    model.metabolites.nadh_c.annotation = {"bigg.metabolite": names}
    model.metabolites.nadh_c.id = own
    network = to_network(model)
    assert network.find_metabolite("nadh_c") == own
    assert network.is_species(own, "nadh", "nadph")
    assert not network.is_species(own, "nadph")
