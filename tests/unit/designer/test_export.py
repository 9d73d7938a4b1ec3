"""An exported model that does not reproduce growth and capacity of the design is refused."""

import json
from pathlib import Path

import pytest

from full_disk import disk_full_after
from redox_balancer.design.task import Task
from redox_balancer.designer.design import Design, check_agreement, make_design
from redox_balancer.designer.export import FILES, export, verify_model
from redox_balancer.designer.model import DesignedCell, checked_cell
from redox_balancer.designer.proposal import Proposal
from redox_balancer.errors import RedoxError


@pytest.fixture(scope="module")
def design() -> tuple[Design, DesignedCell]:
    proposal = Proposal.by_name(Task().space(), "H2O2NOX_c 0.1 % + NPR_c 0.03 % + MDH1_c 0.01 %", "mdh1_deficiency")
    made = make_design(proposal, linked=False)
    return made, checked_cell(Task(), made)[0]


def test_a_design_with_h2o2_and_a_native_enzyme_is_exported_completely(
    design: tuple[Design, DesignedCell], tmp_path: Path
) -> None:
    made, cell = design
    assert set(export(cell, made, tmp_path / "out")) == set(FILES)
    data = json.loads((tmp_path / "out" / "design.json").read_text())
    assert data["capacity_objective"] == {"SINK_H2O2NOX_c": 1.0, "SINK_NPR_c": 1.0, "H2O2_LEFT": -1.0}


def test_a_full_disk_is_named_and_leaves_nothing(design: tuple[Design, DesignedCell], tmp_path: Path) -> None:
    made, cell = design
    folder = tmp_path / "out"
    with disk_full_after(4096), pytest.raises(RedoxError, match=f"cannot write to {folder}: File too large"):
        export(cell, made, folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reaction", ["SINK_NPR_c", "MDH"])
def test_a_changed_model_is_refused(design: tuple[Design, DesignedCell], reaction: str, tmp_path: Path) -> None:
    made, cell = design
    export(cell, made, tmp_path)
    path = tmp_path / "model.json"
    document = json.loads(path.read_text())
    (entry,) = (entry for entry in document["reactions"] if entry["id"] == reaction)
    entry["lower_bound"], entry["upper_bound"] = entry["lower_bound"] / 2, entry["upper_bound"] / 2
    path.write_text(json.dumps(document))
    with pytest.raises(RedoxError, match=r"by COBRApy from model\.json"):
        verify_model(path, cell, made)


def test_invalid_sbml_is_refused(design: tuple[Design, DesignedCell], tmp_path: Path) -> None:
    made, cell = design
    export(cell, made, tmp_path)
    text = (tmp_path / "model.xml").read_text()
    (tmp_path / "model.xml").write_text(text.replace('species="M_nadh_c"', 'species="M_nobody_c"', 1))
    with pytest.raises(RedoxError, match="not valid"):
        verify_model(tmp_path / "model.xml", cell, made)


def test_values_that_differ_are_refused(design: tuple[Design, DesignedCell]) -> None:
    outcome = design[0].proposal.outcome
    check_agreement("COBRApy", outcome.growth, outcome.capacity, outcome)
    with pytest.raises(RedoxError, match="growth is"):
        check_agreement("COBRApy", outcome.growth + 1e-5, outcome.capacity, outcome)
    with pytest.raises(RedoxError, match="capacity is"):
        check_agreement("COBRApy", outcome.growth, float("nan"), outcome)
