import gc
import gzip
import json
from pathlib import Path

import cobra
import pytest

from full_disk import disk_full_after
from redox_balancer.cell.balance import imbalance, imbalanced_reactions
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.models import LoadedModel, load_model, load_network, save_model, to_network
from redox_balancer.cell.network import Network
from refusals import refused

FORMATS = ["json", "xml", "sbml", "mat", "yml", "yaml"]


@pytest.fixture(scope="module")
def model() -> cobra.Model:
    return load_model(core_json()).model


@pytest.mark.parametrize("suffix", [*FORMATS, "json.gz", "xml.gz", "mat.gz", "yml.gz"])
def test_every_format_gives_the_same_network(tmp_path: Path, model: cobra.Model, core: Network, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    save_model(model, path)
    read = load_network(path)
    assert set(read.reactions) == set(core.reactions)
    assert read.objective == core.objective
    assert (dict(read.formulas), dict(read.charges)) == (dict(core.formulas), dict(core.charges))
    for reaction in core.reactions:
        assert read.stoichiometry_of(reaction) == pytest.approx(core.stoichiometry_of(reaction))
        for bounds in ("lower", "upper"):
            ours, theirs = getattr(core, bounds), getattr(read, bounds)
            assert theirs[read.column(reaction)] == pytest.approx(ours[core.column(reaction)])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [*FORMATS, "json.gz", "xml.gz", "yml.gz"])
def test_half_a_model_and_a_letter_are_one_clear_error(tmp_path: Path, model: cobra.Model, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    save_model(model, path)
    letter, half = b"Dear reader, this is not a model.\n", path.read_bytes()[: path.stat().st_size // 2]
    for content in (letter,) if suffix in ("yml", "yaml") else (letter, half):  # half a list in YAML is a list
        path.write_bytes(content)
        with refused("cannot read"):
            load_model(path)


def test_charges_are_repaired_only_where_formula_and_charge_show_the_error(tmp_path: Path) -> None:
    document = json.loads(core_json().read_text(encoding="utf-8"))
    faults: dict[str, dict[str, object]] = {
        "h_c": {"charge": 0},
        "h_m": {"charge": None},
        "pi_c": {"charge": 0},
        "pi_m": {"charge": -1},
        "h_e": {"charge": 0, "formula": "H2"},
    }
    for metabolite in document["metabolites"]:
        metabolite.update(faults.get(metabolite["id"], {}))
    path = tmp_path / "faulty.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    loaded = load_model(path)
    charges = {m.id: m.charge for m in loaded.model.metabolites}
    assert [charges[name] for name in faults] == [1, 1, -2, -1, 0]
    assert len(loaded.repairs) == 2
    assert "h_c, h_m" in loaded.repairs[0]
    assert loaded.repairs[1].endswith(": pi_c")


def test_recon3d_has_its_sizes_and_its_charges_are_repaired(recon3d: LoadedModel) -> None:
    network = to_network(recon3d.model)
    sizes = (len(network.reactions), len(network.metabolites), len(recon3d.model.genes))
    assert sizes == (10600, 5835, 2248)
    assert network.objective == "BIOMASS_maintenance"
    assert len(imbalanced_reactions(network)) == 406
    assert len(recon3d.repairs) == 2


def test_recon3d_as_published_has_3075_imbalanced_reactions(recon3d_path: Path) -> None:
    with gzip.open(recon3d_path) as file:
        document = json.load(file)
    formulas = {m["id"]: m.get("formula") or "" for m in document["metabolites"]}
    charges = {m["id"]: m.get("charge") or 0 for m in document["metabolites"]}
    imbalanced = [
        reaction["id"]
        for reaction in document["reactions"]
        if len(reaction["metabolites"]) > 1
        and not reaction["id"].startswith("BIOMASS")
        and imbalance(reaction["metabolites"], formulas, charges)
    ]
    assert len(imbalanced) == 3075


def test_an_objective_can_be_named_and_an_unknown_one_is_an_error(model: cobra.Model) -> None:
    network = to_network(model, "ATPS4mi")
    assert network.objective == "ATPS4mi"
    with FluxLP(network) as lp:
        assert lp.maximise().optimal
    for source in (model, None):
        with refused("no reaction 'GROWTH'"):
            load_network(source, objective="GROWTH")


@pytest.mark.parametrize("weights", [{}, {"BIOMASS_proxy": 1.0, "ATPS4mi": 1.0}])
def test_a_model_without_one_objective_requires_the_growth_reaction(
    model: cobra.Model, weights: dict[str, float]
) -> None:
    copy = model.copy()
    copy.id = ""
    copy.objective = {copy.reactions.get_by_id(name): weight for name, weight in weights.items()}
    with refused("model without id needs one objective", settings=("biomass",)):
        to_network(copy)


def test_the_same_model_saved_twice_gives_the_same_bytes(tmp_path: Path, model: cobra.Model) -> None:
    save_model(model, tmp_path / "a.json.gz")
    save_model(model, tmp_path / "b.json.gz")
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


@pytest.mark.parametrize(("suffix", "said"), [("json", "not JSON serializable"), ("yml", "cannot represent")])
def test_a_save_that_fails_leaves_the_old_file_and_the_next_one_succeeds(
    tmp_path: Path, model: cobra.Model, suffix: str, said: str
) -> None:
    path = tmp_path / f"core.{suffix}"
    save_model(model, path)
    before = path.read_bytes()
    broken = model.copy()
    broken.reactions.get_by_id("PFK").notes["unwritable"] = {object()}
    broken.notes["unwritable"] = object()
    with refused(said):
        save_model(broken, path)
    assert path.read_bytes() == before
    save_model(model, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path, model: cobra.Model) -> None:
    (tmp_path / "file").touch()
    with refused("cannot write"):
        save_model(model, tmp_path / "file" / "core.json")


@pytest.mark.parametrize("suffix", ["json", "json.gz", "xml", "xml.gz", "mat", "yml"])
def test_a_full_disk_is_a_clear_error_and_leaves_the_old_file(
    tmp_path: Path, model: cobra.Model, suffix: str
) -> None:
    path = tmp_path / f"core.{suffix}"
    path.write_text("the old core")
    with disk_full_after(4096), refused(f"cannot write {path}: File too large"):
        save_model(model, path)
    assert path.read_text() == "the old core"
    assert list(tmp_path.iterdir()) == [path]


def test_garbage_collection_is_as_before_whether_a_model_can_be_read_or_not(tmp_path: Path) -> None:
    for change in (gc.disable, gc.enable):
        change()
        before = gc.isenabled()
        load_model(core_json())
        assert gc.isenabled() == before
        with refused("no model file"):
            load_model(tmp_path / "none.json")
        assert gc.isenabled() == before
