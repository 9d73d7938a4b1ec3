"""Writing files so that no reader ever sees half of one, and what is seen survives a power cut."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redox_balancer.errors import RedoxError

TEMPORARY = ".partial-"
"""Begins the name of everything that is not finished; no reader matches it."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the caller a name to write to; what is there becomes `path` when the block ends well.

    The temporary file lies in the folder of `path` and ends as `path` does, because writers go by suffix.
    It is flushed to disk and renamed, and removed when the block fails, so `path` keeps what it held before.
    """
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.name, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files private; a result is as readable as any file of its owner.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """As `replacing`, for what a user asked for: makes the folder, and a failure is a RedoxError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise RedoxError(
            f"cannot write {path}: {error.strerror or error}",
            hint="check the folder, its rights and free space",
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or leave the old one as it was; a failure is a RedoxError."""
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a whole file or leave the old one as it was; a failure is an OSError."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and flush it to disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make what was created and renamed in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
