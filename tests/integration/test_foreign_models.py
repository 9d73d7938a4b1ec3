"""The same commands on other models: those that COBRApy ships, and one with Human-GEM's identifiers."""

from pathlib import Path

import cobra
import pytest

from commands import redox_json
from metabolic_atlas import metabolic_atlas
from redox_balancer.cell.models import save_model
from toy_cell import unlimited_as_999999

SHIPPED = Path(cobra.__file__).parent / "data"


@pytest.fixture(scope="module")
def human_gem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("human-gem") / "Human-GEM.xml"
    model, _, _ = metabolic_atlas(annotated=True)
    save_model(model, path)
    return path


@pytest.mark.parametrize(
    ("name", "growth", "expected"),
    [
        ("textbook.xml.gz", 0.8739215, ({"LBNOX_c", "TPNOX_c", "MDH1_c", "FDH_c"}, set())),
        ("iJO1366.xml.gz", 0.9823718, ({"LBNOX_c", "NPR_c", "LOX_c", "MDH1_c"}, {"GPD1_c", "LDHA_c"})),
        ("human_gem", 0.08444, ({"LBNOX_c", "LBNOX_m", "NDI1_m", "AOX_m", "MDH1_c"}, set())),
    ],
)
def test_commands_run_on_other_models(
    name: str, growth: float, expected: tuple[set[str], set[str]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    offered, cycles = expected
    model = request.getfixturevalue(name) if name == "human_gem" else SHIPPED / name
    assert redox_json("model", "info", model)["growth"] == pytest.approx(growth, abs=1e-5)
    if name == "human_gem":
        assert redox_json("model", "info", model, "--medium", "hams")["growth"] == pytest.approx(0.67556, abs=1e-5)

    core = tmp_path / "core.xml"
    built = redox_json("build-core", "--input", model, "--output", core, "--medium", "model")
    assert built["growth"] == pytest.approx(growth, abs=1e-5)
    assert built["rules"][2]["kept"], "central carbon is known by BiGG name"

    found = redox_json("enzymes", "--model", core)
    assert {placement["placement"] for placement in found["placements"]} >= offered
    refused = {entry["placement"]: entry for entry in found["excluded"] if entry["reason"] == "cycle"}
    assert set(refused) >= cycles
    for entry in refused.values():
        assert len(entry["cycle"]) > 1
        assert all(reaction in entry["detail"] or entry["placement"] in reaction for reaction in entry["cycle"])

    trained = redox_json(
        *("train", "--model", core, "--timesteps", 300, "--num-actors", 0, "--conditions", "healthy"),
        *("--checkpoint-dir", tmp_path / "run"),
    )
    assert trained["finished"]
    assert trained["last"]["env/growth"] == pytest.approx(growth, rel=0.5)


def test_a_training_checks_its_values_exactly_where_999999_stands_for_unlimited(tmp_path: Path) -> None:
    model = cobra.io.load_model("textbook")
    model.reactions.get_by_id("EX_o2_e").lower_bound = -20.0
    growth = model.slim_optimize()
    unlimited_as_999999(model)
    save_model(model, tmp_path / "model.json")
    assert redox_json("model", "info", tmp_path / "model.json")["growth"] == pytest.approx(growth, rel=1e-9)
    trained = redox_json(
        *("train", "--model", tmp_path / "model.json", "--timesteps", 300, "--num-actors", 0, "--exact-check"),
        *("--checkpoint-dir", tmp_path / "run"),
    )
    assert trained["finished"]
