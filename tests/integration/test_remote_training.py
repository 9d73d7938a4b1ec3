"""Trainings that push to a bucket behind a fault-injecting proxy: they continue and accept nothing damaged."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from commands import assert_refused, redox, redox_until, succeeded
from fault_proxy import Fault, Kind, flipped
from redox_balancer.errors import EXIT_UNREACHABLE, RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import DamagedCheckpointError
from redox_balancer.runs.heartbeat import read_heartbeat
from redox_balancer.runs.remote import uploader
from redox_balancer.runs.remote.bucket import UnreachableError
from redox_balancer.runs.remote.run import RemoteRun
from runs_on_disk import SERIAL
from s3_stand_in import S3
from sinks import Recorder
from trainings import trained
from waiting import wait_until

STEPS = [896, 1280, 1664]  # of the last three checkpoints


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "FIRST_PAUSE_S", 0.05)


@pytest.fixture
def config(s3: S3) -> TrainConfig:
    return SERIAL.changed(remote=s3.url, remote_timeout_s=10.0, remote_patience_s=60.0)


def beat(folder: Path) -> Any:
    return read_heartbeat(folder)


def remote_steps(s3: S3) -> list[int]:
    """Steps of all complete checkpoints, each of them verified."""
    remote = RemoteRun(s3.url)
    for step in remote.complete_steps():
        remote.verify(step)
    return sorted(remote.complete_steps())


def test_saved_checkpoints_are_pushed_and_an_empty_folder_resumes_from_the_bucket(
    s3: S3, config: TrainConfig, tmp_path: Path
) -> None:
    _, sink = trained(tmp_path / "a", config)
    assert sink.warnings == []
    assert remote_steps(s3)[-3:] == STEPS
    assert json.loads(s3.read("locks/run.json"))["released"] is True
    assert s3.read("experiments/run/metrics.csv") == (tmp_path / "a" / "metrics.csv").read_bytes()
    end = beat(tmp_path / "a")
    assert (end.status, end.pushed_step, end.failed_pushes) == ("finished", 1664, 0)
    assert end.pushed_at is not None
    assert time.time() - end.pushed_at < 60
    assert sink.rows[-1]["failed_pushes"] == 0
    with pytest.raises(RedoxError, match="already holds a run, up to step 1,664"):
        trained(tmp_path / "b", config, resume=None)
    result, sink = trained(tmp_path / "b", config.changed(timesteps=3000))
    assert sink.started == (1664, 3000)
    assert result.steps == 3072
    assert (tmp_path / "b" / "metrics.csv").read_text().startswith((tmp_path / "a" / "metrics.csv").read_text())
    # For a folder that is behind, such as one restored from a disk snapshot, the bucket's newer checkpoint counts.
    _, sink = trained(tmp_path / "a", config.changed(timesteps=4000))
    assert sink.started == (3072, 4000)
    rows = [int(line.split(",")[0]) for line in (tmp_path / "a" / "metrics.csv").read_text().splitlines()[1:]]
    assert {1664, 3072} < set(rows)
    with pytest.raises(RedoxError, match="already holds a run, up to step 4,"):
        trained(tmp_path / "c", config.changed(timesteps=5000), resume=tmp_path / "b")


@pytest.mark.parametrize("kind", ["error", "cut", "stall", "flip", "cut upload", "flip upload", "lose answer"])
def test_a_training_continues_through_faults_and_pushes_everything_in_the_end(
    s3: S3, config: TrainConfig, tmp_path: Path, kind: Kind
) -> None:
    s3.proxy.faults = [
        Fault(kind, "arrays", times=2),
        Fault(kind, "manifest", times=2),
        Fault(kind, "prefix", times=1),
    ]
    result, sink = trained(tmp_path, config.changed(remote_timeout_s=0.5) if kind == "stall" else config)
    assert result.finished
    assert [row["steps"] for row in sink.rows][-1] == 1664
    s3.proxy.faults = []
    assert remote_steps(s3)[-1] == 1664
    assert set(STEPS) <= set(remote_steps(s3))
    assert beat(tmp_path).pushed_step == 1664
    failures = [text for text in sink.warnings if "push to " in text]
    assert len(failures) == beat(tmp_path).failed_pushes
    if kind in ("error", "cut upload", "flip upload", "lose answer"):
        assert failures


def test_an_outage_only_warns_and_a_later_sync_pushes_the_rest(s3: S3, config: TrainConfig, tmp_path: Path) -> None:
    trained(tmp_path, config.changed(timesteps=400))
    s3.proxy.faults = [Fault("error", "", times=1e9, status=503)]
    patient = config.changed(remote_patience_s=1.5)
    result, sink = trained(tmp_path, patient)
    assert result.finished
    assert "training continues" in sink.warnings[0]
    assert any("push to " in text and "503" in text for text in sink.warnings)
    assert f"push {tmp_path} when the bucket responds" in sink.warnings[-1]
    end = beat(tmp_path)
    assert (end.status, end.checkpoint_step, end.pushed_step) == ("finished", 1664, None)
    assert end.failed_pushes > 0
    with pytest.raises(UnreachableError) as caught:
        trained(tmp_path / "empty", patient)
    assert caught.value.exit_code == EXIT_UNREACHABLE
    assert not (tmp_path / "empty").exists()
    s3.proxy.faults = []
    synced = RemoteRun(s3.url).sync(tmp_path, print)
    assert (sorted(synced.pushed), synced.present) == (STEPS, [512])
    assert remote_steps(s3)[-3:] == STEPS


def test_a_finished_run_pushes_earlier_checkpoints(s3: S3, config: TrainConfig, tmp_path: Path) -> None:
    trained(tmp_path, config.changed(remote=""))
    assert s3.objects() == {}
    result, sink = trained(tmp_path, config)
    # A push that is not over yet is told last.
    assert "nothing left to do" in [text for text in sink.messages if not text.startswith("pushing ")][-1]
    assert result.steps == 1664
    assert remote_steps(s3)[-3:] == STEPS


def test_a_damaged_remote_checkpoint_is_reported_and_an_older_one_used(
    s3: S3, config: TrainConfig, tmp_path: Path
) -> None:
    trained(tmp_path / "a", config)
    key = "experiments/run/step_000001664/arrays.safetensors"
    s3.write(key, flipped(s3.read(key)))
    result, sink = trained(tmp_path / "b", config)
    assert sink.started == (1280, 1600)
    assert "step_000001664/ is damaged: arrays.safetensors" in sink.warnings[0]
    # The new checkpoint of that step cannot replace it, which is reported; training finishes.
    assert "a different checkpoint of step 1,664, which is kept" in sink.warnings[1]
    assert result.finished
    for step in RemoteRun(s3.url).complete_steps():
        state = f"experiments/run/step_{step:09d}/state.json"
        s3.write(state, s3.read(state) + b" ")
    with pytest.raises(DamagedCheckpointError, match="every checkpoint"):
        trained(tmp_path / "c", config)
    assert checkpoint.steps(tmp_path / "c") == {}


def test_a_lost_lock_stops_the_pushes_with_an_alarm_and_not_the_training(
    s3: S3, config: TrainConfig, tmp_path: Path
) -> None:
    sink = Recorder()

    def take_over() -> None:
        wait_until(lambda: 896 in RemoteRun(s3.url).complete_steps())
        lock = json.loads(s3.read("locks/run.json"))
        s3.write("locks/run.json", json.dumps({**lock, "name": "process 7 on elsewhere", "token": "other"}).encode())
        wait_until(lambda: any("run lock lost" in text for text in sink.warnings))

    sink.act_at(1000, take_over)
    result, _ = trained(tmp_path, config.changed(remote_lock_s=2.0), sink=sink)
    assert result.finished
    (lost,) = (text for text in sink.warnings if "run lock lost" in text)
    assert "locked by process 7 on elsewhere" in lost
    assert "step 1,664 was not pushed" in sink.warnings[-1]
    assert remote_steps(s3)[-1] == 896
    assert beat(tmp_path).alarm == lost
    assert beat(tmp_path).failed_pushes > 0
    assert sink.rows[-1]["steps"] == 1664
    assert json.loads(s3.read("locks/run.json"))["name"] == "process 7 on elsewhere"


def test_a_second_trainer_is_refused_until_the_first_is_killed(s3: S3, tmp_path: Path) -> None:
    arguments = (
        *("train", "--remote", s3.url, "--remote-lock-s", "8", "--resume", "auto", "--num-actors", "0"),
        *("--conditions", "healthy", "--save-interval-s", "2", "--log-interval-steps", "1024"),
    )
    first = tmp_path / "first"
    with redox_until("steps/s", *arguments, "--checkpoint-dir", first, "--timesteps", 10**9) as process:
        wait_until(lambda: beat(first).pushed_step)
        refused = redox(*arguments, "--checkpoint-dir", tmp_path / "second")
        assert_refused(refused, f"is locked by process {process.pid} on ", "stop that trainer, or wait")
        assert not (tmp_path / "second").exists()
        process.kill()
    pushed = max(remote_steps(s3))
    assert pushed >= beat(first).pushed_step
    assert pushed in list(checkpoint.steps(first))[:2]  # the kill may have cut off the push of the newest one
    taken = succeeded(*arguments, "--checkpoint-dir", tmp_path / "second", "--timesteps", pushed + 1000, "--json")
    assert f"at step {pushed:,}" in taken.stderr
    assert json.loads(taken.stdout)["steps"] >= pushed + 1000
