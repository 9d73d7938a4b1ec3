"""Checkpoints in a bucket: boto3 over HTTP to a moto server behind a proxy that injects faults."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from fault_proxy import Fault, Kind, flipped
from redox_balancer.errors import EXIT_UNREACHABLE, RedoxError
from redox_balancer.files import TEMPORARY
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import DamagedCheckpointError
from redox_balancer.runs.remote import transfer
from redox_balancer.runs.remote.bucket import Bucket, PreconditionFailedError, StoreError, UnreachableError
from redox_balancer.runs.remote.listing import list_checkpoints
from redox_balancer.runs.remote.run import OtherHistoryError, RemoteRun
from s3_stand_in import S3


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE_S", 0.01)


def save(run: Path, step: int, seed: int = 0) -> Path:
    weights = np.random.default_rng(step + seed).normal(size=25_000).astype(np.float32)
    return checkpoint.save(run, step, {"weights": weights}, {"step": step, "return_mean": None, "best": None})


@pytest.fixture
def remote(s3: S3) -> RemoteRun:
    return RemoteRun(s3.url)


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def keys(s3: S3) -> list[str]:
    return [key.removeprefix("experiments/run/") for key in s3.objects()]


def test_a_checkpoint_is_pushed_manifest_last_listed_verified_and_pulled(
    s3: S3, remote: RemoteRun, tmp_path: Path
) -> None:
    path = save(tmp_path / "here", 1000)
    sent = remote.push(path)
    assert sent == sum(map(len, content(path).values()))
    puts = [request.target for request in s3.proxy.requests if request.method == "PUT"]
    assert [target.rsplit("/", 1)[1] for target in puts] == ["arrays.safetensors", "state.json", "manifest.json"]
    (there,) = list_checkpoints(s3.url)
    assert (there.step, there.state, there.bytes) == (1000, "unverified", sent)
    remote.verify(1000)
    seen: list[tuple[int, int]] = []
    pulled = remote.pull(1000, tmp_path / "there", lambda _phase, *amount: seen.append(amount))
    assert content(pulled) == content(path)
    assert max(seen) == (sent - len(content(path)["manifest.json"]),) * 2
    assert [file.name for file in (tmp_path / "there").iterdir()] == ["step_000001000"]
    assert s3.proxy.count("GET", r"arrays\.safetensors") == 2  # the check, then the download


def test_an_existing_checkpoint_is_neither_sent_nor_rewritten(s3: S3, remote: RemoteRun, tmp_path: Path) -> None:
    path = save(tmp_path, 1000)
    remote.push(path)
    before = s3.proxy.count("PUT", "")
    assert remote.push(path) == 0
    assert s3.proxy.count("PUT", "") == before
    save(tmp_path, 1000, seed=1)
    kept = s3.objects()
    with pytest.raises(OtherHistoryError, match="a different checkpoint of step 1,000"):
        remote.push(path)
    assert s3.objects() == kept


def test_an_interrupted_push_leaves_no_checkpoint_and_the_next_one_completes_it(
    s3: S3, remote: RemoteRun, tmp_path: Path
) -> None:
    path = save(tmp_path, 1000)
    s3.proxy.faults = [Fault("error", "manifest.json", "PUT")]
    with pytest.raises(UnreachableError) as caught:
        remote.push(path)
    assert caught.value.exit_code == EXIT_UNREACHABLE
    assert list(remote.checkpoints()) == [1000]
    assert remote.complete_steps() == []
    assert remote.pull_newest(tmp_path / "there") is None
    # What is there is not sent again.
    s3.proxy.faults = [Fault("error", "manifest.json", "PUT")]
    with pytest.raises(UnreachableError):
        remote.push(path)
    assert s3.proxy.count("PUT", "arrays") == 1
    # Another attempt at the run saves other content at this step, which replaces the incomplete push.
    save(tmp_path, 1000, seed=1)
    assert remote.push(path) > 0
    assert content(remote.pull(1000, tmp_path / "there")) == content(path)


@pytest.mark.parametrize("kind", ["error", "cut upload", "flip upload", "lose answer"])
def test_a_fault_in_an_upload_leaves_no_damaged_checkpoint(
    s3: S3, remote: RemoteRun, tmp_path: Path, kind: Kind
) -> None:
    path = save(tmp_path, 1000)
    for name in ("arrays", "state", "manifest"):
        s3.proxy.faults = [Fault(kind, name, "PUT")]
        with suppress(UnreachableError):
            remote.push(path)
        assert s3.proxy.faults[0].met == 1
        for key, stored in s3.objects().items():
            assert stored == (path / key.rsplit("/", 1)[1]).read_bytes()
    remote.push(path)
    remote.verify(1000)


def test_an_interrupted_push_is_resumed_without_sending_complete_files_again(
    s3: S3, remote: RemoteRun, tmp_path: Path
) -> None:
    path = save(tmp_path, 1000)
    s3.proxy.faults = [Fault("error", "state", "PUT")]
    with pytest.raises(UnreachableError):
        remote.push(path)
    remote.push(path)
    assert s3.proxy.count("PUT", "arrays") == 1
    remote.verify(1000)


def test_a_locally_damaged_checkpoint_is_not_pushed(s3: S3, remote: RemoteRun, tmp_path: Path) -> None:
    path = save(tmp_path, 1000)
    (path / "state.json").write_bytes(flipped((path / "state.json").read_bytes()))
    with pytest.raises(DamagedCheckpointError, match=r"state\.json"):
        remote.push(path)
    assert s3.objects() == {}


@pytest.mark.parametrize("kind", ["error", "cut", "stall", "flip"])
@pytest.mark.parametrize("name", ["arrays", "state", "manifest"])
def test_a_download_survives_faults_in_transit(
    s3: S3, remote: RemoteRun, tmp_path: Path, kind: Kind, name: str
) -> None:
    path = save(tmp_path / "here", 1000)
    remote.push(path)
    if kind == "stall":
        remote = RemoteRun(s3.url, timeout_s=0.5)
    s3.proxy.faults = [Fault(kind, name, "GET", times=2)]
    assert content(remote.pull(1000, tmp_path / "there")) == content(path)
    assert s3.proxy.faults[0].met == 2
    s3.proxy.faults = [Fault(kind, name, "GET", times=2)]
    remote.verify(1000)
    assert s3.proxy.faults[0].met == 2


def test_a_pull_resumes_from_the_bytes_an_earlier_one_fetched(
    s3: S3, remote: RemoteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "here", 1000)
    remote.push(path)
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    size = (path / "arrays.safetensors").stat().st_size
    s3.proxy.faults = [Fault("cut", "arrays", times=2)]  # in the middle of what was asked for
    received: list[int] = []

    def progress(_phase: str, done: int, _total: int) -> None:
        received.append(done)

    with pytest.raises(UnreachableError):
        remote.pull(1000, tmp_path / "there", progress)
    s3.proxy.faults = []
    (partial,) = (tmp_path / "there").iterdir()
    assert partial.name.startswith(TEMPORARY)
    (kept,) = [file.stat().st_size for file in partial.iterdir()]
    assert size * 0.7 < kept == received[-1] < size  # half by the first try, half of the rest by the second
    again = len(received)
    assert content(remote.pull(1000, tmp_path / "there", progress)) == content(path)
    assert received[again] == kept
    asked = [request for request in s3.proxy.requests if "arrays" in request.target and request.method == "GET"]
    assert len(asked) == 3


def test_a_damaged_object_is_named_and_the_next_older_checkpoint_taken(
    s3: S3, remote: RemoteRun, tmp_path: Path
) -> None:
    for step in (1000, 2000, 3000):
        remote.push(save(tmp_path / "here", step))
    for step, name in ((3000, "arrays.safetensors"), (2000, "manifest.json")):
        key = f"experiments/run/step_{step:09d}/{name}"
        s3.write(key, flipped(s3.read(key)))
    with pytest.raises(DamagedCheckpointError, match=r"step_000003000/ is damaged: arrays\.safetensors"):
        remote.pull(3000, tmp_path / "there")
    pulled = remote.pull_newest(tmp_path / "there")
    assert pulled is not None
    assert (pulled.step, list(pulled.damaged)) == (1000, [3000, 2000])
    assert "manifest.json" in pulled.damaged[2000]
    assert list(checkpoint.steps(tmp_path / "there")) == [1000]
    s3.write("experiments/run/step_000001000/state.json", b"{}")
    with pytest.raises(DamagedCheckpointError, match="every checkpoint"):
        remote.pull_newest(tmp_path / "elsewhere")
    assert checkpoint.steps(tmp_path / "elsewhere") == {}


def test_a_manifest_cannot_name_a_file_outside_of_its_folder(s3: S3, remote: RemoteRun, tmp_path: Path) -> None:
    path = save(tmp_path / "here", 1000)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["sha256"]
    manifest["schema"] = 1
    manifest["files"]["../../escaped"] = manifest["files"]["state.json"]
    s3.write("experiments/run/step_000001000/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(DamagedCheckpointError, match="escaped"):
        remote.pull(1000, tmp_path / "there" / "run")
    assert not list(tmp_path.rglob("escaped"))


def test_a_locally_damaged_checkpoint_is_replaced_by_the_intact_remote_one(remote: RemoteRun, tmp_path: Path) -> None:
    path = save(tmp_path, 1000)
    remote.push(path)
    whole = content(path)
    (path / "state.json").write_text("{}")
    assert content(remote.pull(1000, tmp_path)) == whole
    assert len(checkpoint.damaged(tmp_path)) == 1


def test_a_sync_pushes_missing_checkpoints_and_the_run_metadata(s3: S3, remote: RemoteRun, tmp_path: Path) -> None:
    for step in (1000, 2000, 3000):
        save(tmp_path, step)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.csv").write_text("steps\n1000\n")
    events = tmp_path / "tensorboard" / "events.out.tfevents.1"
    events.parent.mkdir()
    events.write_bytes(b"first")
    remote.push(tmp_path / "step_000002000")
    (tmp_path / "step_000001000" / "state.json").write_text("{}")
    reported: list[str] = []
    synced = remote.sync(tmp_path, reported.append)
    assert (synced.pushed, synced.present, list(synced.failed)) == ([3000], [2000], [1000])
    assert len(reported) == 1
    assert "metrics.csv" in keys(s3)
    (tmp_path / "metrics.csv").write_text("steps\n1000\n2000\n")
    before = s3.proxy.count("PUT", "")
    remote.sync(tmp_path, reported.append)
    assert s3.proxy.count("PUT", "") == before + 1
    assert s3.read("experiments/run/metrics.csv").endswith(b"2000\n")
    remote.pull_metadata(tmp_path)
    new = tmp_path / "new"
    new.mkdir()
    remote.pull_metadata(new)
    assert (new / "metrics.csv").read_text() == "steps\n1000\n2000\n"
    assert (new / "tensorboard" / events.name).read_bytes() == b"first"


def test_a_newer_run_in_the_bucket_replaces_the_metadata_of_a_folder_and_keeps_its_other_events(
    remote: RemoteRun, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, text in ((here, "old"), (there, "new")):
        (folder / "tensorboard").mkdir(parents=True)
        for name in ("config.json", "tensorboard/events.1", f"tensorboard/events.{text}"):
            (folder / name).write_text(text)
    remote.push_metadata(there)
    remote.pull_metadata(here)
    assert (here / "config.json").read_text() == "old"
    remote.pull_metadata(here, replace=True)
    assert {path.name: path.read_text() for path in [here / "config.json", *(here / "tensorboard").iterdir()]} == {
        "config.json": "new", "events.1": "new", "events.old": "old", "events.new": "new",
    }  # fmt: skip


def test_a_sync_of_an_older_folder_keeps_the_newer_metadata(s3: S3, remote: RemoteRun, tmp_path: Path) -> None:
    newer, older = tmp_path / "newer", tmp_path / "older"
    for folder, steps in ((newer, (1000, 2000)), (older, (1000,))):
        for step in steps:
            save(folder, step)
        (folder / "config.json").write_text(json.dumps({"history": steps}))
        (folder / "metrics.csv").write_text("\n".join(["steps", *map(str, steps)]))
    remote.sync(newer, print)
    assert remote.sync(older, print).present == [1000]
    assert s3.read("experiments/run/metrics.csv") == (newer / "metrics.csv").read_bytes()
    assert s3.read("experiments/run/config.json") == (newer / "config.json").read_bytes()


def test_writes_are_conditional(s3: S3) -> None:
    bucket = Bucket(s3.bucket, timeout_s=5.0)
    first = bucket.put("key", b"a")
    with pytest.raises(PreconditionFailedError):
        bucket.put("key", b"b")
    second = bucket.put("key", b"b", replaces=first)
    with pytest.raises(PreconditionFailedError):
        bucket.put("key", b"c", replaces=first)
    assert (bucket.get("key").body, bucket.get("key").etag) == (b"b", second)


def test_invalid_addresses_and_failed_requests_raise_one_line(
    s3: S3, remote: RemoteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("s3://Bucket/experiments/run", "s3://bucket/run", "s3://bucket/a/../b", "file:///tmp/a/b"):
        with pytest.raises(RedoxError, match="not the address of a run"):
            RemoteRun(url)
    with pytest.raises(StoreError, match="bucket nowhere-at-all does not exist"):
        RemoteRun("s3://nowhere-at-all/experiments/run").checkpoints()
    with pytest.raises(RedoxError, match="no complete checkpoint of step 5"):
        remote.pull(5, tmp_path)
    s3.proxy.faults = [Fault("error", "", times=1, status=403)]
    with pytest.raises(StoreError) as refused:
        remote.checkpoints()
    assert "s3:PutObject" in refused.value.hint
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError):
        RemoteRun(s3.url).checkpoints()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="credentials"):
        RemoteRun(s3.url).checkpoints()
