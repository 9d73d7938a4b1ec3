"""A curated model in all commands: what they read, build and hand on is curated alike, and only once."""

import json
import shutil
from pathlib import Path

import pytest

import redox_balancer as rb
from commands import assert_refused, redox, redox_json
from redox_balancer.cell import curation
from redox_balancer.cell.models import load_network, save_model
from redox_balancer.design.task import Task
from redox_balancer.designer.model import open_model
from redox_balancer.errors import RedoxError
from toy_cell import GROWTH, growth_of, toy_cell

HEAD = 'mark = "assumed"\nreason = "why"\nsource = "who"\n'
TOY = f"""
[[correction]]
id = "mended"
{HEAD}stoichiometry = {{ h_c = -4.5, h_e = 1 }}
reactions.RESP = "nadh_c + 3.5 h_c + 0.5 o2_c + 2.5 adp_c + 2.5 pi_c --> nad_c + 2.5 atp_c + 3.5 h2o_c"

[[correction]]
id = "slow"
{HEAD}capped_backward = 0.5
reactions.LDH_L = "lac__L_c + nad_c <=> pyr_c + nadh_c + h_c"

[[correction]]
id = "charge"
{HEAD}charges = {{ lac__L = -3 }}
"""
SUMMARY = "curation toy: 3 changes of what was published"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy cell in a file, whose curation the package has."""
    path = tmp_path / "toy.toml"
    path.write_text(TOY, encoding="utf-8")
    known = curation.Curation.read(path)
    monkeypatch.setattr(curation, "_packaged_curations", lambda: (known,))
    save_model(toy_cell(), tmp_path / "toy.json")
    return tmp_path / "toy.json"


def test_networks_and_models_are_curated_alike_unless_as_published(model: Path) -> None:
    network, published = load_network(model), load_network(model, as_published=True)
    assert network.repairs == (SUMMARY,)
    assert network.stoichiometry_of("RESP") == {**published.stoichiometry_of("RESP"), "h_c": -4.5, "h_e": 1.0}
    assert (network.bounds_of("LDH_L"), published.bounds_of("LDH_L")) == ((-0.5, 1000.0), (-1000.0, 1000.0))
    assert (published.repairs, published.charges["lac__L_c"]) == ((), -1)
    cases = [(rb.load_model(model), False), (rb.load_model(model, as_published=True), True)]
    cases += [(source, as_published) for source in (model, toy_cell()) for as_published in (False, True)]
    for source, as_published in cases:
        task, expected = Task(model=source, as_published=as_published), published if as_published else network
        own, cell = task.network(), open_model(task)
        for reaction in cell.reactions:
            coefficients = {metabolite.id: value for metabolite, value in reaction.metabolites.items()}
            assert coefficients == expected.stoichiometry_of(reaction.id) == own.stoichiometry_of(reaction.id)
            assert reaction.bounds == expected.bounds_of(reaction.id) == own.bounds_of(reaction.id)
        assert {m.charge for m in cell.metabolites if m.id.startswith("lac__L")} == {-1 if as_published else -3}
    assert growth_of(network) == pytest.approx(open_model(Task(model=model)).slim_optimize()) != pytest.approx(GROWTH)


def test_what_the_user_changes_in_a_curated_model_stays(model: Path) -> None:
    opened = rb.load_model(model)
    opened.reactions.LDH_L.bounds = -7.0, 7.0
    task = Task(model=opened)
    assert task.network().bounds_of("LDH_L") == open_model(task).reactions.LDH_L.bounds == (-7.0, 7.0)
    assert task.network().repairs == (f"{SUMMARY}, already in this model",)


@pytest.mark.parametrize("suffix", ["json", "xml", "yml.gz", "mat"])
def test_a_core_of_a_curated_model_is_curated_once(model: Path, suffix: str) -> None:
    core = model.with_name(f"core.{suffix}")
    built = redox_json("build-core", "--input", model, "--output", core, "--medium", "model")
    assert built["repairs"] == [SUMMARY]
    network = load_network(core)
    assert network.stoichiometry_of("RESP")["h_c"] == -4.5
    assert network.bounds_of("LDH_L")[0] == -0.5
    # MAT has no notes: the model is recognised, and nothing is left to do.
    assert len(network.repairs) == (suffix != "mat")
    assert built["growth"] == pytest.approx(growth_of(network), abs=1e-9)
    redox_json("build-core", "--input", model, "--output", core, "--medium", "model", "--as-published")
    assert load_network(core, as_published=True).bounds_of("LDH_L") == (-1000.0, 1000.0)


def test_model_info_lists_every_change(model: Path) -> None:
    lines = redox_json("model", "info", model)["curation"]
    assert lines == [
        "lac__L: charge -3 (assumed): why",
        "RESP: stoichiometry mended (assumed): why",
        "LDH_L: at most 0.5 backward (assumed): why",
    ]
    assert redox_json("model", "info", model, "--as-published")["curation"] == []


def test_a_curation_of_ones_own_replaces_that_of_the_package(model: Path) -> None:
    own = model.with_name("own.toml")
    own.write_text(
        f'[[correction]]\nid = "one"\n{HEAD}closed = true\nreactions.THD = "nadh_c + nadp_c <=> nad_c + nadph_c"'
    )
    network = load_network(model, curation=own)
    assert network.repairs == ("curation own: 1 changes of what was published",)
    assert (network.bounds_of("THD"), network.bounds_of("LDH_L")) == ((0.0, 0.0), (-1000.0, 1000.0))
    own.write_text(own.read_text().replace("THD", "NOPE"))
    for command in (("enzymes", "--model", model), ("model", "info")):
        refused = redox(*command, "--curation", own)
        assert_refused(refused, "curation own: one names reaction NOPE, which model", "lacks", "--curation")
    with pytest.raises(RedoxError, match="a model as published has no curation"):
        Task(model=model, curation=own, as_published=True)


def test_a_run_that_began_before_models_were_curated_goes_on_as_published(model: Path) -> None:
    run = model.with_name("run")
    command = ("train", "--model", model, "--num-actors", 0, "--conditions", "healthy", "--checkpoint-dir", run)
    redox_json(*command, "--timesteps", 300, "--as-published")
    record = json.loads((run / "config.json").read_text())
    assert record["task"].pop("as_published") is True
    assert record["task"].pop("curation") is None
    (run / "config.json").write_text(json.dumps(record))
    assert rb.load_run(run).task.as_published
    before = shutil.copytree(run, run.with_name("before"))
    answer = redox_json(*command, "--timesteps", 600, "--resume", "auto")
    assert answer["steps"] >= 600
    assert json.loads((run / "config.json").read_text())["task"]["as_published"] is True
    shutil.copytree(before, run.with_name("new"))
    renamed = [run.with_name("new") if part == run else part for part in command]
    record["task"]["as_published"] = False
    (run.with_name("new") / "config.json").write_text(json.dumps(record))
    again = redox(*renamed, "--timesteps", 600, "--resume", "auto")
    assert_refused(again, "was trained on another environment: model_sha256")
