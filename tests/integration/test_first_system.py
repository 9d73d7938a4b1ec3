"""The command of the predecessor that this project replaces, verbatim, on a small scale."""

import json
from pathlib import Path

import pytest

from commands import assert_refused, redox, succeeded
from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.records import packaged
from redox_balancer.runs import checkpoint

STEP = 932_960


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """M, E and D/step_932960, whose name has no leading zeros."""
    folder = tmp_path_factory.mktemp("first_system")
    (folder / "M").with_suffix(".json").write_bytes(core_json().read_bytes())
    (folder / "E").write_bytes(packaged("enzymes.toml").read_bytes())
    succeeded(
        *("train", "--timesteps", 512, "--num-actors", 0, "--model", "M.json", "--enzymes", "E"),
        *("--batch-size", 64, "--checkpoint-dir", "first"),
        cwd=folder,
    )
    saved = checkpoint.load(folder / "first" / "latest")
    written = checkpoint.save(folder / "D", STEP, saved.arrays, {**saved.state, "steps": STEP})
    written.rename(folder / "D" / f"step_{STEP}")
    return folder


def test_it_trains_past_the_step_that_it_resumes(folder: Path) -> None:
    command = (
        f"train --timesteps {STEP + 2_000} --num-actors 0 --model M.json --enzymes E --save-interval 60 "
        f"--batch-size 64 --checkpoint-dir D --resume D/step_{STEP} --json"
    )
    trained = succeeded(*command.split(), cwd=folder)
    assert "--save-interval is called --save-interval-s now" in trained.stderr
    answer = json.loads(trained.stdout)
    assert answer["finished"]
    assert answer["steps"] >= STEP + 2_000
    assert Path(folder, answer["checkpoint"]).is_dir()
    settings = json.loads((folder / "D" / "config.json").read_text())["settings"]
    assert (settings["save_interval_s"], settings["batch_size"]) == (60.0, 64)


def test_a_missing_step_is_refused(folder: Path) -> None:
    assert_refused(redox(*["train", "--checkpoint-dir", "D", "--resume", "D/step_1"], cwd=folder), "step_1")
