"""Saving while a training runs: full disks, errors of environments, and which checkpoints are kept."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from faulty_envs import FaultyShelves
from full_disk import disk_full_after
from redox_balancer.errors import RedoxError
from redox_balancer.runs import checkpoint
from runs_on_disk import SERIAL, heartbeat_of
from sinks import Recorder
from trainings import trained


def test_an_error_of_an_environment_is_raised_after_the_last_update_was_saved(tmp_path: Path) -> None:
    sink = Recorder()
    with pytest.raises(ValueError, match="the shelf is empty"):
        trained(tmp_path, SERIAL, FaultyShelves("raise", 60), sink=sink)
    saved = checkpoint.find(tmp_path).checkpoint
    # Environments fail at their 61st step, in the fourth update; the first checkpoint is due at the fifth.
    assert saved.step == 384
    assert saved.state["updates"] == 3
    assert sink.rows[-1]["steps"] == 384
    beat = heartbeat_of(tmp_path)
    assert (beat.status, beat.checkpoint_step) == ("failed", 384)
    assert "ValueError: the shelf is empty" in beat.message
    resumed = Recorder()
    assert trained(tmp_path, SERIAL, FaultyShelves("raise", 1000), sink=resumed)[0].finished
    assert resumed.started == (384, 1600)


def test_an_error_before_the_first_update_saves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the shelf is empty"):
        trained(tmp_path, SERIAL.changed(rollout_length=64), FaultyShelves("raise", 60))
    assert checkpoint.steps(tmp_path) == {}


def test_on_a_full_disk_training_continues_and_its_end_is_an_error(tmp_path: Path) -> None:
    config = SERIAL.changed(hidden_sizes=(64, 64))  # a checkpoint of 60 kB, far larger than any other file
    trained(tmp_path, config.changed(timesteps=400))
    record_size = (tmp_path / "config.json").stat().st_size
    saved = list(checkpoint.steps(tmp_path))
    sink = Recorder()
    with disk_full_after(record_size + 3000), pytest.raises(RedoxError, match="could not be written") as caught:
        trained(tmp_path, config, sink=sink)
    assert caught.value.exit_code == 2
    assert caught.value.settings == ("resume",)
    assert sink.rows[-1]["steps"] == 1664
    failed = sum("NO CHECKPOINT" in warning for warning in sink.warnings)
    assert failed >= 3
    # The last two, at the last step, came after the last row.
    assert [row["failed_saves"] for row in sink.rows][-1] == failed - 2
    assert list(checkpoint.steps(tmp_path)) == saved
    assert not list(tmp_path.glob(".*"))
    # With room again the run resumes.
    assert trained(tmp_path, config)[0].finished


def test_the_newest_checkpoints_are_kept_and_the_best_by_mean_return(tmp_path: Path) -> None:
    config = SERIAL.changed(timesteps=4000, keep_checkpoints=2, keep_every_steps=1000, learning_rate=1e-6)
    trained(tmp_path, config)
    loaded = [checkpoint.load(path) for path in checkpoint.steps(tmp_path).values()]
    best = checkpoint.load(tmp_path / "best")
    newest = loaded[0].state["best"]
    assert newest == {"step": best.step, "return_mean": best.state["return_mean"]}
    assert best.state["return_mean"] == max(each.state["return_mean"] for each in loaded)
    assert {each.step for each in loaded} == {4096, 3712, 1280, 2048, 3200, best.step}


@pytest.mark.parametrize("spoilt", ["", "latest", "best"])
def test_in_a_copy_whose_links_became_folders_they_are_links_again(tmp_path: Path, spoilt: str) -> None:
    config = SERIAL.changed(keep_checkpoints=2, learning_rate=1e-6)
    trained(tmp_path / "run", config)
    copied = shutil.copytree(tmp_path / "run", tmp_path / "copied")
    assert checkpoint.step_of(copied / "latest") == 1664
    if spoilt:
        (copied / spoilt / "notes.txt").write_text("mine")
    _, sink = trained(copied, config.changed(timesteps=4000))
    # One that equals no checkpoint stays, with one warning, and costs nothing else.
    assert sink.warnings == (
        [f"no link {copied / spoilt}: {copied / spoilt} is a folder that equals no checkpoint: remove it"]
        if spoilt
        else []
    )
    state = checkpoint.find(copied).checkpoint.state
    targets = {"latest": "step_000004096", "best": checkpoint.folder_name(state["best"]["step"])}
    for name in targets.keys() - {spoilt}:
        assert (copied / name).readlink().name == targets[name]
    assert len(checkpoint.steps(copied)) <= 3
    assert not list(copied.glob(".*"))


def test_where_there_are_no_links_old_checkpoints_are_removed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("pathlib.Path.symlink_to", refused)
    _, sink = trained(tmp_path, SERIAL.changed(keep_checkpoints=2))
    links = [f"no link {tmp_path / name}: Operation not permitted" for name in ("latest", "best")]
    assert sorted(sink.warnings) == sorted(links)
    assert len(checkpoint.steps(tmp_path)) <= 3
    assert not list(tmp_path.glob(".*"))
