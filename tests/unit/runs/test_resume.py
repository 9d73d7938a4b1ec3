"""The checkpoint that a training resumes from: newest, named, damaged, foreign, or of another environment."""

import shutil
from pathlib import Path

import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.runs import checkpoint
from runs_on_disk import SERIAL, reproducible
from toy_envs import Broken, Shelves
from trainings import trained


def test_an_empty_folder_starts_a_new_run_and_a_used_one_must_be_resumed(tmp_path: Path) -> None:
    _, sink = trained(tmp_path)
    assert "starting a new run" in sink.messages[0]
    with pytest.raises(RedoxError, match="already holds a run") as caught:
        trained(tmp_path, resume=None)
    assert "resume" in caught.value.settings


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(tmp_path: Path) -> None:
    trained(tmp_path)
    before = reproducible(tmp_path)
    (tmp_path / "step_000001664" / "state.json").write_text("{}")
    _, sink = trained(tmp_path)
    assert "step_000001664 is damaged" in sink.warnings[0]
    assert reproducible(tmp_path) == before
    for path in checkpoint.steps(tmp_path).values():
        (path / "manifest.json").unlink()
    with pytest.raises(RedoxError, match="every checkpoint"):
        trained(tmp_path)


def test_a_folder_with_only_damaged_checkpoints_does_not_start_a_new_run(tmp_path: Path) -> None:
    trained(tmp_path)
    for path in checkpoint.steps(tmp_path).values():
        checkpoint.set_aside(path)
    with pytest.raises(RedoxError, match="only damaged"):
        trained(tmp_path)


def test_a_path_resumes_into_a_folder_of_its_own_and_never_over_newer_checkpoints(tmp_path: Path) -> None:
    run, branch = tmp_path / "run", tmp_path / "branch"
    trained(run)
    older = run / "step_000000896"
    with pytest.raises(RedoxError, match="do not precede"):
        trained(run, resume=older)
    _, sink = trained(branch, resume=older)
    assert sink.started == (896, 1600)
    assert reproducible(branch)["arrays"] == reproducible(run)["arrays"]
    with pytest.raises(RedoxError, match="do not precede"):
        trained(branch, resume=run)
    with pytest.raises(RedoxError, match="not a checkpoint"):
        trained(tmp_path / "new", resume=tmp_path / "nothing")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_folder_name_without_leading_zeros_is_a_checkpoint_too(tmp_path: Path, *, elsewhere: bool) -> None:
    """The predecessor of this project wrote `step_932960`; its users name and rename folders so."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    trained(whole)
    named = shutil.copytree(whole / "step_000000512", run / "step_512")
    target = tmp_path / "target" if elsewhere else run
    result, sink = trained(target, resume=named)
    assert sink.started == (512, 1600)
    assert result.finished
    assert reproducible(target)["arrays"] == reproducible(whole)["arrays"]
    assert (512 in checkpoint.steps(target)) is not elsewhere


def test_a_run_whose_newest_checkpoint_has_no_leading_zeros_resumes_automatically(tmp_path: Path) -> None:
    first, _ = trained(tmp_path, SERIAL.changed(timesteps=500))
    first.checkpoint.rename(tmp_path / "step_512")
    _, sink = trained(tmp_path)
    assert sink.started == (512, 1600)


def test_another_environment_or_policy_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, SERIAL.changed(timesteps=500))
    with pytest.raises(RedoxError, match="another environment: flavour differ"):
        trained(tmp_path, SERIAL, Shelves("sour"))
    with pytest.raises(RedoxError, match="sizes"):
        trained(tmp_path, SERIAL.changed(hidden_sizes=(8,)))
    with pytest.raises(RedoxError, match="no shelf for"):
        trained(tmp_path / "broken", SERIAL, Broken())
