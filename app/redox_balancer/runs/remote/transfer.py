"""Fetching the files of a checkpoint from a bucket: in parallel, going on from what is there, and verified.

boto3 does not notice a bit that was flipped in a part of a download, so what counts is the manifest. It also tells
whether what an earlier download left still fits, and no validator has to be kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from redox_balancer.files import write_synced
from redox_balancer.progress import Progress, no_progress
from redox_balancer.runs.checkpoint import FileEntry, Manifest, check_file
from redox_balancer.runs.remote.bucket import Bucket, UnreachableError

SEGMENT_BYTES = 16 * 2**20
WORKERS = 8
ATTEMPTS = 4  # at a segment whose connection breaks, and at a file that comes damaged
FIRST_PAUSE_S = 0.5


def retrying(*errors: type[Exception]) -> Retrying:
    """Try again after these errors, with pauses that double; the last one is raised."""
    return Retrying(
        retry=retry_if_exception_type(errors),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=10),
        reraise=True,
    )


class _Segment(NamedTuple):
    """Bytes `start` to before `stop` of a file, and where they are kept until all are there."""

    name: str
    start: int
    stop: int
    path: Path

    @property
    def missing(self) -> int:
        """Bytes that are not there yet; what is too long is of something else and is dropped."""
        there = self.path.stat().st_size if self.path.exists() else 0
        if there > self.stop - self.start:
            self.path.unlink()
            there = 0
        return self.stop - self.start - there


class _Counter:
    """Adds up what the threads receive."""

    def __init__(self, phase: str, total: int, progress: Progress) -> None:
        self._phase, self._total, self._progress = phase, total, progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes that came in, or that were lost where it is negative."""
        with self._lock:
            self._done += count
            self._progress(self._phase, self._done, self._total)


def fetch(bucket: Bucket, prefix: str, manifest: Manifest, into: Path, progress: Progress = no_progress) -> None:
    """Fetch the files of a manifest into a folder and flush them to disk.

    What does not have its sha256 is fetched again, since bits flip on the way, too.

    Parameters
    ----------
    bucket, prefix
        Where the files lie; the prefix ends with a slash.
    manifest
        What they must be.
    into
        A folder of this checkpoint alone; what is left there after a failure is used by the next call.
    progress
        Receives the bytes that are there and those of all files together, from several threads.

    Raises
    ------
    ValueError
        Where a file is not what the manifest says, again and again.
    UnreachableError
        Where S3 keeps breaking off.
    """
    into.mkdir(parents=True, exist_ok=True)
    counter = _Counter(f"fetching {prefix}", sum(entry.size for entry in manifest.files.values()), progress)
    segments = {name: list(_segments(name, entry, into)) for name, entry in manifest.files.items()}
    counter.add(sum(each.stop - each.start - each.missing for file in segments.values() for each in file))

    def complete(segment: _Segment) -> None:
        retrying(UnreachableError)(_receive, bucket, prefix + segment.name, segment, counter)

    def whole(name: str) -> None:
        _in_parallel(complete, segments[name])
        try:
            _join(into / name, manifest.files[name], segments[name])
        except ValueError:
            for segment in segments[name]:
                segment.path.unlink()
            counter.add(-manifest.files[name].size)
            raise

    _in_parallel(complete, [segment for file in segments.values() for segment in file])
    for name in manifest.files:
        retrying(ValueError)(whole, name)
    for file in segments.values():
        for segment in file:
            segment.path.unlink()


def verify(bucket: Bucket, prefix: str, manifest: Manifest, progress: Progress = no_progress) -> None:
    """Read the files of a manifest and keep nothing; errors as those of `fetch`."""
    counter = _Counter(f"verifying {prefix}", sum(entry.size for entry in manifest.files.values()), progress)

    def read(name: str) -> None:
        entry, digest, size = manifest.files[name], hashlib.sha256(), 0
        try:
            for chunk in bucket.stream(prefix + name, 0, entry.size):
                digest.update(chunk)
                size += len(chunk)
                counter.add(len(chunk))
            check_file(name, entry, size, digest.hexdigest())
        except (ValueError, UnreachableError):
            counter.add(-size)
            raise

    _in_parallel(partial(retrying(ValueError, UnreachableError), read), manifest.files)


def _in_parallel(act: Callable[[Any], Any], items: Iterable[Any]) -> None:
    """Act on each item, several at a time; the first error ends it once those under way are done."""
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="transfer") as pool:
        for _ in pool.map(act, items):
            pass


def _segments(name: str, entry: FileEntry, into: Path) -> Iterator[_Segment]:
    for start in range(0, entry.size, SEGMENT_BYTES):
        yield _Segment(name, start, min(start + SEGMENT_BYTES, entry.size), into / f"{name}.{start}")


def _receive(bucket: Bucket, key: str, segment: _Segment, counter: _Counter) -> None:
    missing = segment.missing
    if not missing:
        return
    with segment.path.open("ab") as file:
        for chunk in bucket.stream(key, segment.stop - missing, segment.stop):
            file.write(chunk)
            counter.add(len(chunk))


def _join(path: Path, entry: FileEntry, segments: Iterable[_Segment]) -> None:
    """Make the file of its segments; a ValueError where it is not what the manifest says."""
    content = b"".join(segment.path.read_bytes() for segment in segments)
    check_file(path.name, entry, len(content), hashlib.sha256(content).hexdigest())
    write_synced(path, content)
