"""`pull-checkpoints` and `restore-drill` with a failing S3: damaged data are refused, nothing is written there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fault_proxy import Fault, Kind, flipped
from infra.deployed import Deployed
from infra.settings import load
from old_runs import unpack_old_runs
from ops.commands.checkpoints import checkpoints
from ops.commands.pull_checkpoints import pull_checkpoints
from ops.commands.restore_drill import restore_drill
from ops.session import Session
from redox_balancer.errors import EXIT_UNREACHABLE, RedoxError
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import DamagedCheckpointError
from redox_balancer.runs.remote.bucket import UnreachableError
from redox_balancer.runs.remote.run import RemoteRun
from s3_stand_in import S3

RUN = "run"
NEWEST, OLDER = 3000, 2000
ARRAYS = f"step_{NEWEST:09d}/arrays.safetensors"
Pull = Callable[..., dict[str, Any]]


@pytest.fixture
def session(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session whose deployment has the bucket of the stand-in, with short timeouts."""
    monkeypatch.setitem(RemoteRun.__init__.__kwdefaults__, "timeout_s", 1.0)  # type: ignore[index]
    monkeypatch.setattr("redox_balancer.runs.remote.transfer.FIRST_PAUSE_S", 0.01)
    opened = Session(load())
    opened.deployed = Deployed(bucket=s3.bucket, repository="images")
    return opened


@pytest.fixture(autouse=True)
def _pushed(s3: S3, tmp_path: Path) -> None:
    """Three checkpoints of a run, pushed past the proxy's faults."""
    for step in (1000, OLDER, NEWEST):
        checkpoint.save(tmp_path / "pushed", step, {"weights": np.arange(step)}, {"return_mean": None, "best": None})
    RemoteRun(s3.url).sync(tmp_path / "pushed", lambda _: None)
    s3.proxy.requests.clear()


def pull(session: Session, to: Path, step: int | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = pull_checkpoints(session, run=RUN, step=step, to=to).data
    return answer


def drill(session: Session, to: Path) -> dict[str, Any]:
    answer: dict[str, Any] = restore_drill(session, run=RUN, to=to, train_steps=0).data
    return answer


def complete_steps(folder: Path) -> list[int]:
    """The checkpoints of a folder, each read and verified."""
    return [checkpoint.load(path).step for path in checkpoint.steps(folder).values()]


@pytest.mark.parametrize("command", [pull, drill], ids=["pull", "drill"])
@pytest.mark.parametrize("kind", ["error", "cut", "stall", "flip"])
def test_a_transient_fault_is_retried(command: Pull, kind: Kind, session: Session, s3: S3, tmp_path: Path) -> None:
    fault = Fault(kind, ARRAYS, method="GET", times=2)
    s3.proxy.faults = [fault]
    assert command(session, tmp_path / "here")["step"] == NEWEST
    assert fault.met == 2
    assert complete_steps(tmp_path / "here") == [NEWEST]
    assert s3.proxy.methods() == {"GET"}


@pytest.mark.parametrize("command", [pull, drill], ids=["pull", "drill"])
def test_a_damaged_object_is_reported_and_an_older_checkpoint_taken(
    command: Pull, session: Session, s3: S3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = f"experiments/run/{ARRAYS}"
    s3.write(key, flipped(s3.read(key)))
    answer = command(session, tmp_path / "here")
    assert (answer["step"], list(answer["damaged"])) == (OLDER, [NEWEST])
    assert "arrays.safetensors does not match its sha256; using an older one" in capsys.readouterr().err
    assert complete_steps(tmp_path / "here") == [OLDER]
    with pytest.raises(DamagedCheckpointError, match=r"step_000003000/ is damaged: arrays\.safetensors") as refused:
        pull(session, tmp_path / "other", NEWEST)
    assert (refused.value.hint, refused.value.settings) == (f"fetch the next older one, step {OLDER}", ("step",))
    assert complete_steps(tmp_path / "other") == []
    listed = checkpoints(session, run=RUN, verify=True)
    states = [(each["step"], each["state"]) for each in listed.data["checkpoints"]]
    assert states == [(NEWEST, "damaged"), (OLDER, "whole"), (1000, "whole")]
    assert listed.error is not None
    assert listed.error.hint == "step 2,000 is the newest intact one"
    assert s3.proxy.methods() == {"GET"}


@pytest.mark.parametrize("command", [pull, drill], ids=["pull", "drill"])
def test_an_unreachable_s3_leaves_nothing_that_looks_like_a_checkpoint(
    command: Pull, session: Session, s3: S3, tmp_path: Path
) -> None:
    s3.proxy.faults = [Fault("error", ARRAYS, method="GET", times=1e9, status=503)]
    with pytest.raises(UnreachableError) as gone:
        command(session, tmp_path / "here")
    assert gone.value.exit_code == EXIT_UNREACHABLE
    assert complete_steps(tmp_path / "here") == []
    assert s3.proxy.methods() == {"GET"}


def test_an_interrupted_download_continues_where_it_stopped(session: Session, s3: S3, tmp_path: Path) -> None:
    s3.proxy.faults = [Fault("error", "state.json", method="GET", times=1e9, status=503)]
    with pytest.raises(UnreachableError):
        pull(session, tmp_path)
    s3.proxy.faults, before = [], s3.proxy.count("GET", ARRAYS)
    assert pull(session, tmp_path)["step"] == NEWEST
    assert s3.proxy.count("GET", ARRAYS) == before == 1


def test_a_dry_run_lists_and_writes_nothing(session: Session, s3: S3, tmp_path: Path) -> None:
    session.dry_run = True
    planned = pull(session, tmp_path / "here", OLDER)
    assert (planned["step"], (tmp_path / "here").exists()) == (OLDER, False)
    assert drill(session, tmp_path / "here") == {"step": NEWEST}
    assert not (tmp_path / "here").exists()
    assert s3.proxy.methods() == {"GET"}
    with pytest.raises(RedoxError, match="no complete checkpoint of step 4,000"):
        pull(session, tmp_path / "here", 4000)


def test_a_drill_refuses_a_folder_that_is_not_empty(session: Session, tmp_path: Path) -> None:
    with pytest.raises(RedoxError, match="is not empty"):
        drill(session, tmp_path)


def test_the_drill_resumes_where_the_training_stopped(s3: S3, session: Session, tmp_path: Path) -> None:
    """A real training that is uploaded as on the host, and resumed by the trainer itself."""
    url = f"s3://{s3.bucket}/experiments/real"
    redox = [sys.executable, "-m", "redox_balancer", "train", "--num-actors", "0", "--remote", url]
    options = ["--timesteps", "512", "--hidden-sizes", "8", "--conditions", "hypoxia", "--seed", "3"]
    subprocess.run(
        [*redox, "--checkpoint-dir", tmp_path / "trained", *options],
        check=True,
        capture_output=True,
        env=os.environ | {"AWS_MAX_ATTEMPTS": "3"},
    )
    (step,) = checkpoint.steps(tmp_path / "trained")
    s3.proxy.requests.clear()
    answer = restore_drill(session, run="real", to=None, train_steps=256)
    data = answer.data
    assert (data["step"], data["resumed_at"]) == (step, step)
    assert data["trained_to"] >= step + 256
    assert data["seconds"] >= data["fetch_s"] + data["load_s"] + data["train_s"] > 0
    assert f"resumed at step {step:,}" in answer.shown
    assert json.dumps(data)
    assert s3.proxy.methods() == {"GET"}  # the training of a drill uploads nothing


def test_the_drill_resumes_a_run_of_version_0_1(s3: S3, session: Session, tmp_path: Path) -> None:
    """Its config.json has the old names of the settings."""
    RemoteRun(f"s3://{s3.bucket}/experiments/untold").sync(unpack_old_runs(tmp_path) / "untold", lambda _: None)
    data = restore_drill(session, run="untold", to=None, train_steps=64).data
    assert data["resumed_at"] == data["step"] == 2048
    assert data["trained_to"] > 2048
