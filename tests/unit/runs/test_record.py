"""The record of a run, `config.json`: settings, their history over all processes, and the commit."""

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.record import source_commit
from redox_balancer.runs.trainer import train
from runs_on_disk import SERIAL
from sinks import Recorder
from toy_envs import Shelves
from trainings import trained


def record_of(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "config.json").read_text())
    return record


def test_it_holds_everything_needed_to_repeat_the_run(tmp_path: Path) -> None:
    config = SERIAL.changed(timesteps=400)
    train(config, Shelves(), tmp_path, resume=None, progress=Recorder(), about={"prizes": 4})
    record = record_of(tmp_path)
    assert TrainConfig(**record["settings"]) == config
    assert record["environment"]["flavour"] == "plain"
    assert record["task"] == {"prizes": 4}
    assert set(record["versions"]) >= {"redox_balancer", "python", "torch", "numpy", "gymnasium", "ray"}
    assert "git_commit" in record


def test_a_resume_with_other_settings_keeps_the_earlier_ones(tmp_path: Path) -> None:
    stages = [
        SERIAL.changed(timesteps=400),
        SERIAL.changed(timesteps=900, learning_rate=1e-4),
        SERIAL.changed(timesteps=1600, learning_rate=1e-4),
    ]
    for stage in stages:
        trained(tmp_path, stage)
    record = record_of(tmp_path)
    assert TrainConfig(**record["settings"]) == stages[-1]
    first, second, third = record["history"]
    assert TrainConfig(**first["settings"]) == stages[0]
    assert second["settings"] == {"timesteps": 900, "learning_rate": 1e-4}
    assert third["settings"] == {"timesteps": 1600}
    assert [entry["step"] for entry in record["history"]] == [0, 512, 1024]
    assert [entry["resumed_from"] for entry in record["history"]] == [
        None,
        str(tmp_path / "step_000000512"),
        str(tmp_path / "step_000001024"),
    ]
    times = [datetime.fromisoformat(entry["time"]) for entry in record["history"]]
    assert times == sorted(times)
    assert all(entry["versions"] == record["versions"] for entry in record["history"])
    assert all("git_commit" in entry for entry in record["history"])


def test_a_record_of_version_0_1_becomes_the_first_entry(tmp_path: Path) -> None:
    trained(tmp_path, SERIAL.changed(timesteps=400))
    old = record_of(tmp_path)
    del old["history"]
    old |= {"git_commit": "abc", "versions": {"redox_balancer": "0.1.0"}}
    (tmp_path / "config.json").write_text(json.dumps(old))
    trained(tmp_path)
    first, second = record_of(tmp_path)["history"]
    assert first == {
        "step": None,
        "time": None,
        "resumed_from": None,
        "settings": old["settings"],
        "git_commit": "abc",
        "versions": {"redox_balancer": "0.1.0"},
    }
    assert (second["step"], second["settings"]) == (512, {"timesteps": 1600})


def test_a_damaged_record_is_replaced_with_a_warning(tmp_path: Path) -> None:
    trained(tmp_path, SERIAL.changed(timesteps=400))
    (tmp_path / "config.json").write_text('{"settings": {"times')
    _, sink = trained(tmp_path)
    assert any("config.json is damaged" in warning for warning in sink.warnings)
    (entry,) = record_of(tmp_path)["history"]
    assert TrainConfig(**entry["settings"]) == SERIAL
    assert entry["step"] == 512


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a package `own` that is tracked and a package `foreign` that is not."""
    monkeypatch.delenv("REDOX_COMMIT", raising=False)
    for name in ("own", "foreign"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "own")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_the_commit_is_that_of_the_repository_that_tracks_the_package(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert source_commit(repository / "own") == commit
    # Installed inside the repository of another project.
    assert source_commit(repository / "foreign") is None


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_a_changed_or_added_file_of_the_package_marks_the_commit(repository: Path, name: str) -> None:
    (repository / "README").write_text("beside the package")
    assert not (source_commit(repository / "own") or "").endswith("-dirty")
    (repository / "own" / name).write_text("changed = True")
    assert source_commit(repository / "own") == f"{git(repository, 'rev-parse', 'HEAD')}-dirty"


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert source_commit(repository / "own") is None


def test_an_image_names_its_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDOX_COMMIT", "of the image")
    assert source_commit(repository / "own") == "of the image"


def test_a_hook_of_another_repository_does_not_interfere(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    other = repository / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert source_commit(repository / "own") == commit
