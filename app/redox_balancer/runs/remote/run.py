"""A run in a bucket: `s3://BUCKET/experiments/RUN`, with the same layout as on disk.

A checkpoint is pushed file by file and its manifest last, so a checkpoint with a manifest is complete; it is never
rewritten. Nothing is deleted.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from redox_balancer.errors import RedoxError
from redox_balancer.files import TEMPORARY, cannot_write, sync_folder, write_atomically, write_synced
from redox_balancer.progress import Progress, no_progress
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import DamagedCheckpointError
from redox_balancer.runs.manifest import MANIFEST, Manifest, read_manifest
from redox_balancer.runs.remote import transfer
from redox_balancer.runs.remote.bucket import (
    Bucket,
    ObjectNotFoundError,
    ObjectSummary,
    PreconditionFailedError,
    RunAddress,
)
from redox_balancer.runs.remote.lock import refuse_other_writer

TIMEOUT_S = 20.0
# Run metadata beside the checkpoints. It changes while a run trains, so the newest version counts.
METADATA_FILES = ("config.json", "metrics.csv")
EVENTS = "tensorboard/"  # the folder of its event files, one for each process that trained
_STEP = re.compile(r"step_(\d{9,})")


class OtherHistoryError(RedoxError):
    """The bucket holds a different checkpoint of the same step, which is kept."""


class PulledCheckpoint(NamedTuple):
    """A pulled checkpoint, and the reason for each newer one that was skipped as damaged."""

    step: int
    path: Path
    damaged: Mapping[int, str]


class SyncResult(NamedTuple):
    """Steps that were pushed, steps that the bucket already had, and the reason for each that failed."""

    pushed: Sequence[int]
    present: Sequence[int]
    failed: Mapping[int, str]


class RemoteRun:
    """A run in a bucket, at `s3://BUCKET/experiments/RUN`; the timeout is that of `Bucket`."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.address = RunAddress.parse(url)
        self.bucket = Bucket(self.address.bucket, timeout_s=timeout_s)

    @property
    def url(self) -> str:
        """Address of the run."""
        return self.address.url

    def checkpoints(self) -> dict[int, dict[str, ObjectSummary]]:
        """Return the objects of each checkpoint by file name, newest first; one without a manifest is incomplete."""
        found: dict[int, dict[str, ObjectSummary]] = {}
        prefix = f"{self.address.prefix}/"
        for entry in self.bucket.summaries(f"{prefix}step_"):
            folder, _, name = entry.key.removeprefix(prefix).partition("/")
            if (match := _STEP.fullmatch(folder)) and name:
                found.setdefault(int(match[1]), {})[name] = entry
        return dict(sorted(found.items(), reverse=True))

    def push(self, path: Path) -> int | None:
        """Push a checkpoint folder to the bucket unless the bucket has it, and return the bytes sent.

        0 where the bucket had all files, None where the folder was pruned meanwhile. A DamagedCheckpointError where
        the local checkpoint is damaged, an OtherHistoryError where the bucket holds a different one of this step.
        """
        try:
            manifest, files = checkpoint.read(path)
        except RedoxError:
            if path.exists():
                raise
            return None
        folder = self._folder(manifest.step)
        present = self._objects(folder)
        committed = MANIFEST in present
        if committed and self.bucket.get(folder + MANIFEST).body != files[MANIFEST]:
            raise OtherHistoryError(
                f"{self.bucket.url(folder)} holds a different checkpoint of step {manifest.step:,}, which is kept",
                hint="push this run to another address",
            )
        sent = 0
        for name, content in files.items():
            entry = present.get(name)
            # Without a manifest, an object may come from an interrupted push of an earlier attempt at this run.
            if not (entry and (entry.size == len(content) if committed else _has(entry, content))):
                self._put(folder + name, content, entry)
                sent += len(content)
        return sent

    def sync(self, folder: Path, report: Callable[[str], Any]) -> SyncResult:
        """Push every checkpoint of a run's folder that the bucket lacks, newest first, and the run metadata.

        Each is reported. A trainer may be running in the folder; an InUseError if one on another folder holds the
        run's lock. Where the bucket's newest checkpoint is newer than the folder's, so is its metadata, which is
        kept.
        """
        refuse_other_writer(self.bucket, self.address, folder)
        newest = max(self.complete_steps(), default=-1)
        pushed, present, failed = list[int](), list[int](), dict[int, str]()
        for step, path in checkpoint.steps(folder).items():
            try:
                sent = self.push(path)
            except (DamagedCheckpointError, OtherHistoryError) as error:
                failed[step] = error.message
                continue
            if sent:
                report(f"pushed step {step:,}, {sent:,} bytes")
            if sent is not None:
                (pushed if sent else present).append(step)
        if max([*pushed, *present], default=-1) >= newest:
            self.push_metadata(folder)
        return SyncResult(pushed, present, failed)

    def push_metadata(self, folder: Path) -> None:
        """Push settings, metrics and events that changed; a concurrent write of another process wins."""
        present = self._metadata()
        for path in [*(folder / name for name in METADATA_FILES), *sorted((folder / EVENTS).glob("*"))]:
            if not path.exists():
                continue
            name, content = str(path.relative_to(folder)), path.read_bytes()
            entry = present.get(name)
            if entry is None or not _has(entry, content):
                with suppress(PreconditionFailedError):
                    self._put(f"{self.address.prefix}/{name}", content, entry)

    def pull_metadata(self, folder: Path, *, replace: bool = False) -> None:
        """Fetch settings, metrics and events that the folder lacks; with `replace`, also those that it has."""
        for name, entry in self._metadata().items():
            path = folder / name
            if not path.exists() or (replace and not _has(entry, path.read_bytes())):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, self.bucket.get(entry.key).body)

    def _metadata(self) -> dict[str, ObjectSummary]:
        """Return the objects of the run metadata by their paths below the folder of the run."""
        prefix = f"{self.address.prefix}/"
        found = {
            entry.key.removeprefix(prefix): entry
            for name in (*METADATA_FILES, EVENTS)
            for entry in self.bucket.summaries(prefix + name)
        }
        return {name: entry for name, entry in found.items() if name in METADATA_FILES or name.startswith(EVENTS)}

    def verify(self, step: int, progress: Progress = no_progress) -> None:
        """Read a checkpoint and compare it with its manifest; a DamagedCheckpointError names the difference."""
        with self._as_damage(step):
            manifest, _ = self._manifest(step)
            transfer.fetch(self.bucket, self._folder(step), manifest, progress=progress)

    def pull(self, step: int, into: Path, progress: Progress = no_progress) -> Path:
        """Fetch a checkpoint into a run's folder and verify it before it gets its final name.

        An interrupted pull is resumed. An intact local checkpoint of this step is kept, a damaged one is set aside. A
        DamagedCheckpointError where an object differs from the manifest on every attempt, an UnreachableError where
        S3 fails on every attempt.
        """
        final = into / checkpoint.folder_name(step)
        partial = into / f"{TEMPORARY}{final.name}"
        try:
            if final.exists():
                try:
                    checkpoint.read(final)
                except DamagedCheckpointError:
                    checkpoint.set_aside(final)
                else:
                    return final
            with self._as_damage(step):
                manifest, written = self._manifest(step)
                transfer.fetch(self.bucket, self._folder(step), manifest, partial, progress)
            write_synced(partial / MANIFEST, written)
            sync_folder(partial)
            partial.rename(final)
            sync_folder(into)
        except OSError as error:
            raise cannot_write(final, error.strerror or str(error)) from error
        return final

    def pull_newest(
        self, into: Path, *, above: int = -1, progress: Progress = no_progress
    ) -> PulledCheckpoint | None:
        """Fetch the newest intact checkpoint above a step; None if there is no complete one.

        A DamagedCheckpointError where all are damaged.
        """
        damaged: dict[int, str] = {}
        for step in self.complete_steps():
            if step <= above:
                break
            try:
                return PulledCheckpoint(step, self.pull(step, into, progress), damaged)
            except DamagedCheckpointError as error:
                damaged[step] = error.message
        if damaged:
            newer = f" above step {above:,}" if above >= 0 else ""
            raise DamagedCheckpointError(
                f"every checkpoint in {self.url}{newer} is damaged: {'; '.join(damaged.values())}",
                hint="a versioned bucket keeps earlier versions of its objects; or use another address",
            )
        return None

    def complete_steps(self) -> list[int]:
        """Steps of the complete checkpoints, newest first."""
        return [step for step, objects in self.checkpoints().items() if MANIFEST in objects]

    def _folder(self, step: int) -> str:
        return f"{self.address.prefix}/{checkpoint.folder_name(step)}/"

    def _manifest(self, step: int) -> tuple[Manifest, bytes]:
        """Read the manifest of a checkpoint; a ValueError where it or the list of objects is wrong."""
        folder = self._folder(step)
        present = self._objects(folder)
        if MANIFEST not in present:
            steps = ", ".join(f"{each:,}" for each in self.complete_steps()[:3]) or "none"
            raise RedoxError(
                f"{self.url} has no complete checkpoint of step {step:,}",
                hint=f"the newest complete checkpoints: {steps}",
            )

        def read() -> tuple[Manifest, bytes]:
            written = self.bucket.get(folder + MANIFEST).body
            return read_manifest(written, step, self.bucket.url(folder)), written

        manifest, written = transfer.retrying()(read)
        for name, expected in manifest.files.items():
            if name not in present:
                raise ValueError(f"{name} is missing")
            if present[name].size != expected.size:
                raise ValueError(f"{name} has {present[name].size} bytes instead of {expected.size}")
        return manifest, written

    def _objects(self, folder: str) -> dict[str, ObjectSummary]:
        return {entry.key.removeprefix(folder): entry for entry in self.bucket.summaries(folder)}

    @contextmanager
    def _as_damage(self, step: int) -> Iterator[None]:
        try:
            yield
        except (ValueError, ObjectNotFoundError) as error:
            raise DamagedCheckpointError(
                f"{self.bucket.url(self._folder(step))} is damaged: {error}", hint="use an older checkpoint"
            ) from error

    def _put(self, key: str, content: bytes, entry: ObjectSummary | None) -> None:
        try:
            self.bucket.put(key, content, replaces=entry.etag if entry else None)
        except PreconditionFailedError:
            # The response may have been lost, or a concurrent sync pushed the same content.
            if self.bucket.get(key).body != content:
                raise


def _has(entry: ObjectSummary, content: bytes) -> bool:
    """Whether an object certainly has this content: the ETag is its MD5 unless the object is encrypted with KMS."""
    return entry.etag.strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest()
