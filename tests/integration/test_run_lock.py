"""One writer per run: locks in a bucket over HTTP, on moto with If-Match and If-None-Match."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from fault_proxy import Fault
from redox_balancer.errors import RedoxError
from redox_balancer.runs.remote import lock as lock_module
from redox_balancer.runs.remote.bucket import Bucket, RunAddress, StoreError, UnreachableError
from redox_balancer.runs.remote.lock import InUseError, RunLock, read_lock, refuse_other_writer
from s3_stand_in import S3
from waiting import wait_until

KEY = "locks/run.json"
LONG_S = 3600.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "POLL_S", 0.05)


@pytest.fixture
def bucket(s3: S3) -> Bucket:
    return Bucket(s3.bucket, timeout_s=5.0)


def lock(s3: S3, bucket: Bucket, folder: Path, ttl_s: float = LONG_S) -> RunLock:
    folder.mkdir(exist_ok=True)
    return RunLock(bucket, RunAddress.parse(s3.url), folder, ttl_s=ttl_s)


def stored(s3: S3) -> dict[str, object]:
    return dict(json.loads(s3.read(KEY)))


def test_the_lock_names_its_holder_and_is_released_by_a_write(s3: S3, bucket: Bucket, tmp_path: Path) -> None:
    reported: list[str] = []
    with lock(s3, bucket, tmp_path / "a") as held:
        held.take(reported.append)
        assert held.held
        assert str(stored(s3)["name"]).startswith("process ")
        assert stored(s3)["run"] == s3.url
        with pytest.raises(InUseError, match="locked by process"):
            refuse_other_writer(bucket, RunAddress.parse(s3.url), tmp_path)
        refuse_other_writer(bucket, RunAddress.parse(s3.url), tmp_path / "a")
    assert not held.held
    assert stored(s3)["released"] is True
    with lock(s3, bucket, tmp_path / "b") as other:
        other.take(reported.append)
        assert other.held
    assert reported == []


def test_a_second_writer_is_refused_as_soon_as_the_holder_renews(s3: S3, bucket: Bucket, tmp_path: Path) -> None:
    reported: list[str] = []
    # The holder renews every second, so the second writer need not wait for expiry.
    with lock(s3, bucket, tmp_path / "a", ttl_s=4.0) as first, lock(s3, bucket, tmp_path / "b") as second:
        first.take(reported.append)
        first.keep(print)
        with pytest.raises(InUseError, match=rf"{s3.url} is locked by process \d+ on ") as caught:
            second.take(reported.append)
        assert "stop that trainer, or wait" in caught.value.hint
        assert first.held
    assert len(reported) == 1
    assert "waiting up to" in reported[0]


def test_the_lock_of_a_dead_holder_is_taken_over_after_it_expires(s3: S3, bucket: Bucket, tmp_path: Path) -> None:
    dead, successor = lock(s3, bucket, tmp_path / "a", ttl_s=0.5), lock(s3, bucket, tmp_path / "b")
    dead.take(print)
    reported: list[str] = []
    successor.take(reported.append)
    assert successor.held
    assert not dead.held
    assert len(reported) == 1
    # The old holder resumes, finds its lock lost and does not touch it.
    names: list[str] = []
    dead.keep(names.append)
    wait_until(lambda: names == [stored(s3)["name"]])
    assert dead.lost_to
    before = s3.read(KEY)
    dead.close()
    assert s3.read(KEY) == before
    successor.close()


def test_a_new_trainer_on_the_same_folder_does_not_wait_for_the_dead_one(
    s3: S3, bucket: Bucket, tmp_path: Path
) -> None:
    lock(s3, bucket, tmp_path / "a").take(print)
    (tmp_path / "a").rename(tmp_path / "moved")
    reported: list[str] = []
    with lock(s3, bucket, tmp_path / "moved") as again:
        again.take(reported.append)
        assert again.held
    assert reported == []


def test_exactly_one_of_many_concurrent_writers_gets_the_lock(s3: S3, bucket: Bucket, tmp_path: Path) -> None:
    ended = lock(s3, bucket, tmp_path / "dead")
    ended.take(print)
    ended.close()
    locks = [lock(s3, bucket, tmp_path / f"{number}", ttl_s=4.0) for number in range(6)]
    start = threading.Barrier(len(locks))

    def take(each: RunLock) -> bool:
        start.wait()
        try:
            each.take(lambda _: None)
            each.keep(print)
        except InUseError:
            return False
        return True

    with ThreadPoolExecutor(len(locks)) as pool:
        won = list(pool.map(take, locks))
    assert won.count(True) == 1
    for each in locks:
        each.close()


def test_a_lost_response_does_not_lose_the_lock(s3: S3, bucket: Bucket, tmp_path: Path) -> None:
    fault = Fault("lose answer", KEY, "PUT")
    s3.proxy.faults = [fault]
    with lock(s3, bucket, tmp_path / "a", ttl_s=4.0) as held:
        with pytest.raises(UnreachableError):
            held.take(print)
        held.take(print)
        assert held.held
        fault.met = 0
        held.keep(print)
        wait_until(lambda: bool(fault.met and held.last_error))
        wait_until(lambda: not held.last_error)
        assert held.held
        assert held.lost_to is None


def test_an_outage_longer_than_the_lock_suspends_it_until_the_next_renewal(
    s3: S3, bucket: Bucket, tmp_path: Path
) -> None:
    with lock(s3, bucket, tmp_path / "a", ttl_s=0.4) as held:
        held.take(print)
        held.keep(print)
        s3.proxy.faults = [Fault("error", KEY, times=1e9, status=503)]
        wait_until(lambda: not held.held and "503" in held.last_error)
        assert held.lost_to is None
        s3.proxy.faults = []
        wait_until(lambda: held.held)


def test_an_object_that_is_not_a_lock_is_reported(s3: S3, bucket: Bucket, tmp_path: Path) -> None:
    s3.write(KEY, b"hands off")
    with pytest.raises(StoreError, match=r"locks/run\.json is not the lock of a run"):
        lock(s3, bucket, tmp_path / "a").take(print)
    assert s3.read(KEY) == b"hands off"


def test_the_age_of_a_lock_is_measured_by_the_clock_of_s3(
    s3: S3, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(s3, bucket, tmp_path / "a", ttl_s=LONG_S).take(print)
    monkeypatch.setattr(lock_module, "time", SimpleNamespace(time=lambda: 0.0, monotonic=time.monotonic))
    seen = read_lock(bucket, RunAddress.parse(s3.url))
    assert seen is not None
    assert LONG_S - 60 < seen.left_s <= LONG_S + 1
    with pytest.raises(RedoxError, match="locked by"):
        refuse_other_writer(bucket, RunAddress.parse(s3.url), tmp_path)
