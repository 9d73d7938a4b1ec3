"""Writing a file so that no reader ever sees half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redox_balancer.errors import RedoxError


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give the caller a name to write to; what is there becomes `path` when the block ends well.

    The temporary file lies in the folder of `path` and ends as `path` does, because writers go by suffix.
    It is fsynced and renamed, and removed when the block fails, so `path` keeps what it held before.

    Raises
    ------
    RedoxError
        The folder cannot be written to or is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new-", suffix=path.name, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files private; a model is as readable as any file of its owner.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise RedoxError(
            f"cannot write {path}: {error.strerror or error}",
            hint="check the folder, its rights and free space",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file, or leave the old one as it was."""
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
