"""The command of the predecessor of this project, verbatim, with its folder names and few steps."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from commands import redox
from redox_balancer.runs import checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def test_it_resumes_past_the_step_of_the_named_folder(tmp_path: Path) -> None:
    first, run = tmp_path / "first", tmp_path / "run"
    trained = redox("train", "--timesteps", 2048, "--num-actors", 0, "--checkpoint-dir", first)
    assert trained.returncode == 0, trained.stderr
    run.mkdir()
    shutil.copytree(first / "step_000002048", run / "step_2048")
    answer = redox(
        *("train", "--timesteps", 6000, "--num-actors", 2, "--save-interval", 60, "--batch-size", 64),
        *("--checkpoint-dir", run, "--resume", run / "step_2048"),
    )
    assert answer.returncode == 0, answer.stderr
    assert f"resuming {run / 'step_2048'} at step 2,048 of 6,000" in answer.stderr
    newest = checkpoint.find(run).checkpoint
    assert newest.step >= 6000
    assert newest.state["settings"]["save_interval_s"] == 60.0
    # Two rollouts of 256 transitions would make a batch of 512; one is the smallest possible batch.
    assert newest.step - 2048 == 256 * (newest.state["updates"] - 4)
