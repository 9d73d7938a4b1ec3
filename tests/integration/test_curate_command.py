"""`redox model curate` and `redox model functions` as a user runs them."""

from pathlib import Path

import cobra
import pytest

from commands import assert_refused, redox, redox_json, succeeded
from model_server import FILE
from redox_balancer.cell.models import load_model, save_model, to_network
from redox_balancer.cell.probes import free_fluxes
from toy_cell import toy_cell


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A cell that oxidises NADPH for nothing."""
    model = toy_cell()
    new = [cobra.Reaction("FREE"), cobra.Reaction("PPP")]
    model.add_reactions(new)
    model.reactions.FREE.reaction = "nadph_c + h_c + 0.5 o2_c --> nadp_c + h2o_c"
    model.reactions.PPP.reaction = "glc__D_c + 12 nadp_c + 6 h2o_c --> 6 co2_c + 12 nadph_c + 12 h_c"
    model.reactions.THD.bounds = 0.0, 0.0
    path = tmp_path / "faulty.json"
    save_model(model, path)
    return path


@pytest.mark.parametrize("name", ["curated.json.gz", "curated.xml"])
def test_a_faulty_model_is_written_curated_with_its_curation_and_a_log(faulty: Path, name: str) -> None:
    output = faulty.with_name(name)
    answer = redox_json("model", "curate", faulty, "--output", output)
    assert [closing["step"] for closing in answer["closings"]] == ["FREE"]
    assert answer["probes"]["oxidation (nadph_c)"] == {"before": 1.0, "after": 0.0}
    assert answer["growth_after"] >= 0.99 * answer["growth"]
    assert {answer[key] for key in ("output", "curation", "log")} == {
        str(faulty.with_name(file)) for file in (name, "curated.toml", "curated.md")
    }
    model = load_model(output).model
    assert model.reactions.FREE.bounds == (0.0, 0.0)
    assert not any(free_fluxes(to_network(model)).values())
    assert "free oxidation (nadph_c): FREE" in faulty.with_name("curated.md").read_text()
    again = redox_json("model", "info", faulty, "--curation", answer["curation"])
    assert "FREE: closed (assumed)" in str(again["curation"])


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ("model", "curate", tmp_path / "absent.json", "--output", tmp_path / "file" / "curated.json")
    assert_refused(redox(*arguments), "cannot write")


def test_the_table_names_the_steps(faulty: Path) -> None:
    done = succeeded("model", "curate", faulty, "--output", faulty.with_name("curated.json"))
    assert "FREE" in done.stdout
    assert "steps closed at the lowest price, 3: 1," in done.stdout
    assert "round 1" in done.stderr


def test_the_textbook_model_is_left_alone_and_that_is_said(e_coli_core: bytes, tmp_path: Path) -> None:
    model, output = tmp_path / FILE, tmp_path / "curated.json"
    model.write_bytes(e_coli_core)
    done = succeeded("model", "curate", model, "--output", output)
    assert "nothing is free" in done.stdout
    assert "nothing to change" in done.stdout
    assert list(tmp_path.iterdir()) == [model]


def test_functions_are_listed_with_what_the_model_lacks(faulty: Path) -> None:
    answer = redox_json("model", "functions", faulty)
    verdicts = {function["name"]: function for function in answer["functions"]}
    assert verdicts["Aerobic rephosphorylation of ATP"]["passed"]
    assert verdicts["Histidine uptake"]["missing"] == ["his__L_e", "his__L_c"]
    done = succeeded("model", "functions", faulty)
    assert f"toy passes {answer['passed']} of {len(verdicts)} functions" in done.stdout
