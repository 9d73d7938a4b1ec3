"""The checkpoint that a training resumes from: newest, named, damaged, foreign, or of another environment."""

import shutil
from pathlib import Path

import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.runs import checkpoint
from redox_balancer.runs.trainer import train
from runs_on_disk import SERIAL, reproducible
from sinks import Recorder
from toy_envs import Broken, Shelves


def test_an_empty_folder_starts_a_new_run_and_a_used_one_must_be_resumed(tmp_path: Path) -> None:
    sink = Recorder()
    train(SERIAL, Shelves(), tmp_path, resume="auto", progress=sink)
    assert "starting a new run" in sink.messages[0]
    with pytest.raises(RedoxError, match="already holds a run") as caught:
        train(SERIAL, Shelves(), tmp_path, resume=None, progress=Recorder())
    assert "resume" in caught.value.settings


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(tmp_path: Path) -> None:
    train(SERIAL, Shelves(), tmp_path, resume=None, progress=Recorder())
    before = reproducible(tmp_path)
    (tmp_path / "step_000001664" / "state.json").write_text("{}")
    sink = Recorder()
    train(SERIAL, Shelves(), tmp_path, resume="auto", progress=sink)
    assert "step_000001664 is damaged" in sink.warnings[0]
    assert reproducible(tmp_path) == before
    for path in checkpoint.steps(tmp_path).values():
        (path / "manifest.json").unlink()
    with pytest.raises(RedoxError, match="every checkpoint"):
        train(SERIAL, Shelves(), tmp_path, resume="auto", progress=Recorder())


def test_a_folder_with_only_damaged_checkpoints_does_not_start_a_new_run(tmp_path: Path) -> None:
    train(SERIAL, Shelves(), tmp_path, resume=None, progress=Recorder())
    for path in checkpoint.steps(tmp_path).values():
        checkpoint.set_aside(path)
    with pytest.raises(RedoxError, match="only damaged"):
        train(SERIAL, Shelves(), tmp_path, resume="auto", progress=Recorder())


def test_a_path_resumes_into_a_folder_of_its_own_and_never_over_newer_checkpoints(tmp_path: Path) -> None:
    run, branch = tmp_path / "run", tmp_path / "branch"
    train(SERIAL, Shelves(), run, resume=None, progress=Recorder())
    older = run / "step_000000896"
    with pytest.raises(RedoxError, match="do not precede"):
        train(SERIAL, Shelves(), run, resume=older, progress=Recorder())
    sink = Recorder()
    train(SERIAL, Shelves(), branch, resume=older, progress=sink)
    assert sink.started == (896, 1600)
    assert reproducible(branch)["arrays"] == reproducible(run)["arrays"]
    with pytest.raises(RedoxError, match="do not precede"):
        train(SERIAL, Shelves(), branch, resume=run, progress=Recorder())
    with pytest.raises(RedoxError, match="not a checkpoint"):
        train(SERIAL, Shelves(), tmp_path / "new", resume=tmp_path / "nothing", progress=Recorder())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_folder_name_without_leading_zeros_is_a_checkpoint_too(tmp_path: Path, *, elsewhere: bool) -> None:
    """The predecessor of this project wrote `step_932960`; its users name and rename folders so."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(SERIAL, Shelves(), whole, resume=None, progress=Recorder())
    named = shutil.copytree(whole / "step_000000512", run / "step_512")
    sink = Recorder()
    target = tmp_path / "target" if elsewhere else run
    result = train(SERIAL, Shelves(), target, resume=named, progress=sink)
    assert sink.started == (512, 1600)
    assert result.finished
    assert reproducible(target)["arrays"] == reproducible(whole)["arrays"]
    assert (512 in checkpoint.steps(target)) is not elsewhere


def test_a_run_whose_newest_checkpoint_has_no_leading_zeros_resumes_automatically(tmp_path: Path) -> None:
    first = train(SERIAL.changed(timesteps=500), Shelves(), tmp_path, resume=None, progress=Recorder())
    first.checkpoint.rename(tmp_path / "step_512")
    sink = Recorder()
    train(SERIAL, Shelves(), tmp_path, resume="auto", progress=sink)
    assert sink.started == (512, 1600)


def test_another_environment_or_policy_is_refused(tmp_path: Path) -> None:
    train(SERIAL.changed(timesteps=500), Shelves(), tmp_path, resume=None, progress=Recorder())
    with pytest.raises(RedoxError, match="another environment: flavour differ"):
        train(SERIAL, Shelves("sour"), tmp_path, resume="auto", progress=Recorder())
    with pytest.raises(RedoxError, match="sizes"):
        train(SERIAL.changed(hidden_sizes=(8,)), Shelves(), tmp_path, resume="auto", progress=Recorder())
    with pytest.raises(RedoxError, match="no shelf for"):
        train(SERIAL, Broken(), tmp_path / "broken", resume=None, progress=Recorder())
