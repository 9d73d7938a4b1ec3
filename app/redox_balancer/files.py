"""Atomic and durable writes: no reader sees a partial file, and a complete one survives a power failure."""

import errno
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redox_balancer.errors import RedoxError

TEMPORARY = ".partial-"  # prefix of the names of incomplete files and folders; no reader matches it


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block succeeds.

    The temporary file is in the folder of `path` and has its suffix, because writers derive the format from it. It is
    flushed to disk and renamed. If the block fails or a signal ends the process, it is removed and `path` unchanged.
    An OSError if the file cannot be written.
    """
    with _signals_unwind():
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.name, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            # mkstemp creates private files; results get the usual permissions.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(prefix: str = TEMPORARY, within: Path | None = None) -> Iterator[Path]:
    """Yield a new folder that is removed at the end, also where a signal ends the process."""
    with _signals_unwind(), tempfile.TemporaryDirectory(prefix=prefix, dir=within) as folder:
        yield Path(folder)


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Raise SystemExit at a SIGTERM or SIGHUP that would end the process at once, so that `finally` clauses run."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may change handlers

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def require_writable(path: Path, *, folder: bool = False) -> None:
    """Raise the RedoxError of `write_atomically` where it is sure to fail for a file, or within a folder."""
    around = [*([path] if folder else []), *path.absolute().parents]
    existing = next(each for each in around if os.path.lexists(each))
    if not folder and path.is_dir():
        reason = errno.EISDIR
    elif not existing.is_dir():
        reason = errno.ENOTDIR
    else:
        reason = 0 if os.access(existing, os.W_OK | os.X_OK) else errno.EACCES
    if reason:
        raise cannot_write(path, os.strerror(reason))


def cannot_write(path: Path, reason: str) -> RedoxError:
    """Return the error of a file or folder that cannot be written."""
    return RedoxError(f"cannot write {path}: {reason}", hint="check the folder, its permissions and free space")


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Replace a file as `replacing` does, for output that a user requested.

    Creates the folder; a failure is a RedoxError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file completely or leave the old one unchanged; a failure is a RedoxError."""
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or leave the old one unchanged; a failure is an OSError."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and flush it to disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that files created or renamed in it survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
