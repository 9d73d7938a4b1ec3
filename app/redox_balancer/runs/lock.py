"""One trainer per run: a lock on its folder, which ends with the process that holds it, however that ends."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from redox_balancer.errors import RedoxError

LOCK = "trainer.lock"


@contextmanager
def sole_trainer(run: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is created where it is missing.

    The lock file is kept, because a lock on a deleted file excludes no other process. A folder that was created here
    and holds nothing but the lock is removed at the end. A RedoxError where another process holds the lock, or the
    folder cannot be written.
    """
    created = not run.exists()
    try:
        run.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise unwritable(run, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RedoxError(
                f"{run} is in use by a trainer: {_holder(descriptor)}",
                hint="wait for it, stop it, or train into another folder",
                settings=("checkpoint_dir",),
            ) from None
        with suppress(OSError):  # on a full disk the lock holds without the name of its holder
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        try:
            yield
        finally:
            if created and [path.name for path in run.iterdir()] == [LOCK]:
                with suppress(OSError):
                    (run / LOCK).unlink()
                    run.rmdir()
    finally:
        os.close(descriptor)


def unwritable(run: Path, error: OSError) -> RedoxError:
    """Return the error of a folder that cannot be written."""
    return RedoxError(
        f"cannot write to {run}: {error.strerror}",
        hint="choose another folder, or free some disk",
        settings=("checkpoint_dir",),
    )


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "an unknown process"
