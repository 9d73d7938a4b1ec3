"""A run in a bucket: `s3://BUCKET/experiments/RUN`, the same tree as on disk.

A checkpoint is pushed file by file and its manifest last, so it is there when its manifest is; what is there is never
written again. Nothing here deletes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from redox_balancer.errors import RedoxError
from redox_balancer.files import TEMPORARY, sync_folder, write_atomically, write_synced
from redox_balancer.progress import Progress, no_progress
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import MANIFEST, DamagedCheckpointError, Manifest
from redox_balancer.runs.remote import transfer
from redox_balancer.runs.remote.bucket import Bucket, ChangedError, Entry, MissingError, Place, UnreachableError
from redox_balancer.runs.remote.lock import refuse_other_writer

TIMEOUT_S = 20.0
# Beside the checkpoints: what a report needs. They change as a run goes on, so the newest version counts.
PAPERS = ("config.json", "metrics.csv")
_STEP = re.compile(r"step_(\d{9,})")


class OtherHistoryError(RedoxError):
    """The bucket holds another checkpoint of the same step, which stays."""


@dataclass(frozen=True)
class RemoteCheckpoint:
    """A checkpoint as the listing of a bucket shows it: its objects by file name, unverified."""

    step: int
    objects: Mapping[str, Entry]

    @property
    def whole(self) -> bool:
        """Whether it was pushed to its end."""
        return MANIFEST in self.objects

    @property
    def size_bytes(self) -> int:
        """Size of all its files."""
        return sum(entry.size for entry in self.objects.values())

    @property
    def written_at(self) -> float:
        """Unix time of the last write."""
        return max(entry.written_at for entry in self.objects.values())


class Pulled(NamedTuple):
    """A pulled checkpoint, and the damaged ones that are newer, each with what is wrong with it."""

    step: int
    path: Path
    damaged: Mapping[int, str]


class Synced(NamedTuple):
    """What a sweep did: steps it pushed, steps that were there, and what kept others from it."""

    pushed: Sequence[int]
    there: Sequence[int]
    failed: Mapping[int, str]


class RemoteRun:
    """A run in a bucket.

    Parameters
    ----------
    url
        `s3://BUCKET/experiments/RUN`.
    timeout_s
        Seconds of silence after which a request counts as failed.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.place = Place.of(url)
        self.bucket = Bucket(self.place.bucket, timeout_s=timeout_s)

    @property
    def url(self) -> str:
        """Its address."""
        return self.place.url

    def checkpoints(self) -> dict[int, RemoteCheckpoint]:
        """Return what there is by step, newest first, with what was not pushed to its end."""
        found: dict[int, dict[str, Entry]] = {}
        prefix = f"{self.place.prefix}/"
        for entry in self.bucket.entries(f"{prefix}step_"):
            folder, _, name = entry.key.removeprefix(prefix).partition("/")
            if (match := _STEP.fullmatch(folder)) and name:
                found.setdefault(int(match[1]), {})[name] = entry
        return {step: RemoteCheckpoint(step, found[step]) for step in sorted(found, reverse=True)}

    def push(self, path: Path) -> int | None:
        """Add a checkpoint to the bucket, unless it is there.

        Returns
        -------
        int | None
            Bytes sent, 0 where all was there; None where the checkpoint was removed here, being one of the oldest.

        Raises
        ------
        DamagedCheckpointError
            Where the checkpoint is damaged here.
        OtherHistoryError
            Where the bucket holds another one of its step.
        """
        try:
            manifest, files = checkpoint.read(path)
        except RedoxError:
            if path.exists():
                raise
            return None
        folder = self._folder(manifest.step)
        there = {entry.key.removeprefix(folder): entry for entry in self.bucket.entries(folder)}
        committed = MANIFEST in there
        if committed and self.bucket.get(folder + MANIFEST).body != files[MANIFEST]:
            raise OtherHistoryError(
                f"{self.bucket.url(folder)} holds another checkpoint of step {manifest.step:,}, which stays",
                hint="push the run to an address of its own",
            )
        sent = 0
        for name, content in files.items():
            entry = there.get(name)
            # Without its manifest an object may be of a push that broke off in another life of the run.
            if not (entry and (entry.size == len(content) if committed else _has(entry, content))):
                self._put(folder + name, content, entry)
                sent += len(content)
        return sent

    def sweep(self, folder: Path, tell: Callable[[str], Any]) -> Synced:
        """Push every checkpoint of a run's folder that is not there, the newest first, and its papers.

        Parameters
        ----------
        folder
            The run's folder; a trainer may be at work on it.
        tell
            Takes a line about each checkpoint that was pushed.

        Raises
        ------
        InUseError
            Where a trainer on another folder writes the run.
        """
        refuse_other_writer(self.bucket, self.place, folder)
        pushed, there, failed = list[int](), list[int](), dict[int, str]()
        for step, path in checkpoint.steps(folder).items():
            try:
                sent = self.push(path)
            except (DamagedCheckpointError, OtherHistoryError) as error:
                failed[step] = error.message
                continue
            if sent:
                tell(f"pushed step {step:,}, {sent:,} bytes")
            if sent is not None:
                (pushed if sent else there).append(step)
        self.push_metadata(folder)
        return Synced(pushed, there, failed)

    def push_metadata(self, folder: Path) -> None:
        """Bring settings and metrics up to date; what somebody else just wrote stays."""
        for name in PAPERS:
            path, key = folder / name, f"{self.place.prefix}/{name}"
            if not path.exists():
                continue
            content, entry = path.read_bytes(), self.bucket.entry(key)
            if entry is None or not _has(entry, content):
                with suppress(ChangedError):
                    self._put(key, content, entry)

    def pull_metadata(self, folder: Path, *, replace: bool = False) -> None:
        """Fetch settings and metrics that the folder does not have, or also in place of older ones."""
        for name in PAPERS:
            if replace or not (folder / name).exists():
                with suppress(MissingError):
                    write_atomically(folder / name, self.bucket.get(f"{self.place.prefix}/{name}").body)

    def verify(self, step: int, progress: Progress = no_progress) -> None:
        """Read a checkpoint and compare it with its manifest; a DamagedCheckpointError names what differs."""
        with self._damage_named(step):
            manifest, _ = self._manifest(step)
            transfer.verify(self.bucket, self._folder(step), manifest, progress)

    def pull(self, step: int, into: Path, progress: Progress = no_progress) -> Path:
        """Fetch a checkpoint into a run's folder, verify it, and only then give it its name.

        What a pull before it left is used. A whole one that is there stays as it is, a damaged one is set aside.

        Raises
        ------
        DamagedCheckpointError
            Where an object is not what the manifest says, again and again.
        UnreachableError
            Where S3 keeps breaking off; the next pull goes on from there.
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
            with self._damage_named(step):
                manifest, written = self._manifest(step)
                transfer.fetch(self.bucket, self._folder(step), manifest, partial, progress)
            write_synced(partial / MANIFEST, written)
            sync_folder(partial)
            partial.rename(final)
            sync_folder(into)
        except OSError as error:
            raise RedoxError(
                f"cannot write {final}: {error.strerror or error}", hint="check the folder, its rights and free space"
            ) from error
        return final

    def pull_newest(self, into: Path, *, above: int = -1, progress: Progress = no_progress) -> Pulled | None:
        """Fetch the newest whole checkpoint above a step; None where there is none, whole or damaged.

        A DamagedCheckpointError where all are damaged.
        """
        damaged: dict[int, str] = {}
        for step in self.whole_steps():
            if step <= above:
                break
            try:
                return Pulled(step, self.pull(step, into, progress), damaged)
            except DamagedCheckpointError as error:
                damaged[step] = error.message
        if damaged:
            newer = f" above step {above:,}" if above >= 0 else ""
            raise DamagedCheckpointError(
                f"every checkpoint in {self.url}{newer} is damaged: {'; '.join(damaged.values())}",
                hint="a versioned bucket keeps what objects were before; or train at another address",
            )
        return None

    def whole_steps(self) -> list[int]:
        """Steps of the checkpoints that were pushed to their end, newest first."""
        return [there.step for there in self.checkpoints().values() if there.whole]

    def _folder(self, step: int) -> str:
        return f"{self.place.prefix}/{checkpoint.folder_name(step)}/"

    def _manifest(self, step: int) -> tuple[Manifest, bytes]:
        """Read the manifest of a checkpoint; a ValueError where it or the list of objects is not right."""
        folder = self._folder(step)
        there = {entry.key.removeprefix(folder): entry for entry in self.bucket.entries(folder)}
        if MANIFEST not in there:
            raise RedoxError(
                f"{self.url} has no whole checkpoint of step {step:,}",
                hint=f"redox checkpoints list {self.url} shows what there is",
            )

        def read() -> tuple[Manifest, bytes]:
            written = self.bucket.get(folder + MANIFEST).body
            return checkpoint.read_manifest(written, step, self.bucket.url(folder)), written

        manifest, written = transfer.retrying(ValueError, UnreachableError)(read)
        for name, expected in manifest.files.items():
            if name not in there:
                raise ValueError(f"{name} is missing")
            if there[name].size != expected.size:
                raise ValueError(f"{name} has {there[name].size} bytes instead of {expected.size}")
        return manifest, written

    @contextmanager
    def _damage_named(self, step: int) -> Iterator[None]:
        try:
            yield
        except (ValueError, MissingError) as error:
            raise DamagedCheckpointError(
                f"{self.bucket.url(self._folder(step))} is damaged: {error}", hint="take an older checkpoint"
            ) from error

    def _put(self, key: str, content: bytes, entry: Entry | None) -> None:
        try:
            self.bucket.put(key, content, replaces=entry.etag if entry else None)
        except ChangedError:
            # An answer may have been lost, or a sweep beside the training pushed the same.
            if self.bucket.get(key).body != content:
                raise


def _has(entry: Entry, content: bytes) -> bool:
    """Whether an object surely has this content: its ETag is the MD5, unless it is encrypted with a key of KMS."""
    return entry.etag.strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest()
