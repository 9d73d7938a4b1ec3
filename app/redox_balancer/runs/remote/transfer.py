"""Parallel, resumable and verified download of a checkpoint's files from a bucket.

boto3 does not detect a flipped bit in a ranged download, so files are verified against the manifest. The manifest
also detects leftovers of an earlier download that no longer match, so no separate validator is stored.
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
from redox_balancer.runs.manifest import FileEntry, Manifest, check_file
from redox_balancer.runs.remote.bucket import Bucket, UnreachableError

SEGMENT_BYTES = 16 * 2**20
WORKERS = 8
ATTEMPTS = 4  # per segment after connection errors, and per file that arrives damaged
FIRST_PAUSE_S = 0.5


def retrying(*errors: type[Exception]) -> Retrying:
    """Retry after these errors with exponential backoff; the last one is raised."""
    return Retrying(
        retry=retry_if_exception_type(errors),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=10),
        reraise=True,
    )


class _Segment(NamedTuple):
    """Bytes [start, stop) of a file, and the path that holds them until the file is complete."""

    name: str
    start: int
    stop: int
    path: Path

    @property
    def missing(self) -> int:
        """Bytes still to fetch; a file that is too long belongs to other content and is discarded."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size > self.stop - self.start:
            self.path.unlink()
            size = 0
        return self.stop - self.start - size


class _Counter:
    """Sums the bytes received by all threads."""

    def __init__(self, phase: str, manifest: Manifest, progress: Progress) -> None:
        self._phase, self._progress = phase, progress
        self._total = sum(entry.size for entry in manifest.files.values())
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes received; negative for bytes that were discarded."""
        with self._lock:
            self._done += count
            self._progress(self._phase, self._done, self._total)


def fetch(bucket: Bucket, prefix: str, manifest: Manifest, into: Path, progress: Progress = no_progress) -> None:
    """Fetch the files of a manifest into a folder and flush them to disk.

    A file whose sha256 differs is fetched again, since the corruption may have occurred in transit.

    `prefix` ends with a slash. `into` is a folder for this checkpoint only, from whose content the next call resumes
    after a failure. `progress` is called from several threads. A ValueError where a file differs from the manifest on
    every attempt, an UnreachableError where S3 fails on every attempt.
    """
    into.mkdir(parents=True, exist_ok=True)
    counter = _Counter(f"fetching {prefix}", manifest, progress)
    segments = {name: list(_segments(name, entry, into)) for name, entry in manifest.files.items()}
    everything = [segment for file in segments.values() for segment in file]
    counter.add(sum(each.stop - each.start - each.missing for each in everything))

    def fetch_segment(segment: _Segment) -> None:
        retrying(UnreachableError)(_receive, bucket, prefix + segment.name, segment, counter)

    def assemble(name: str) -> None:
        _in_parallel(fetch_segment, segments[name])
        try:
            _join(into / name, manifest.files[name], segments[name])
        except ValueError:
            for segment in segments[name]:
                segment.path.unlink()
            counter.add(-manifest.files[name].size)
            raise

    _in_parallel(fetch_segment, everything)
    for name in manifest.files:
        retrying(ValueError)(assemble, name)
    for segment in everything:
        segment.path.unlink()


def verify(bucket: Bucket, prefix: str, manifest: Manifest, progress: Progress = no_progress) -> None:
    """Read and check the files of a manifest without storing them; errors as for `fetch`."""
    counter = _Counter(f"verifying {prefix}", manifest, progress)

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
    """Apply a function to each item in a thread pool; the first error is raised once running calls have finished."""
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
    """Join segments into the file; a ValueError where it differs from the manifest."""
    content = b"".join(segment.path.read_bytes() for segment in segments)
    check_file(path.name, entry, len(content), hashlib.sha256(content).hexdigest())
    write_synced(path, content)
