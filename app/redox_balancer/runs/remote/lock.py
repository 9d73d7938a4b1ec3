"""One writer a run: an object in the bucket that names its holder and ends unless it is renewed.

Nothing is deleted: a lock is released by writing so into it. Every write is conditional, so of two that take over an
ended lock one wins and the other sees it. Age is counted by the clock of S3.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from redox_balancer.errors import RedoxError
from redox_balancer.runs.remote.bucket import Bucket, ChangedError, MissingError, Place, StoreError

RENEWALS = 4  # tries before a lock ends
POLL_S = 1.0
PATIENCE_S = 2.0  # for a renewal that is under way at the end
_ROUNDING_S = 1.0  # S3 tells times in whole seconds
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class InUseError(RedoxError):
    """Somebody else may write the run."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """What a lock says.

    Attributes
    ----------
    run
        Address of the run.
    name
        Who holds it, for people.
    writer
        The folder that is written from, see `writer_of`.
    token
        Of one process: tells its lock from that of another on the same folder.
    ttl_s
        Seconds after its last renewal at which the lock ends.
    expires_at
        Unix time at which it ends, by the clock of its holder: for people.
    released
        Whether the holder gave it back.
    """

    run: str
    name: str
    writer: str
    token: str
    ttl_s: float
    expires_at: float = 0.0
    released: bool = False

    def as_bytes(self) -> bytes:
        """Ready to be stored."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()


@dataclass(frozen=True)
class Seen:
    """A lock as it was read: its holder, the version of the object, and the seconds it has left."""

    holder: Holder
    etag: str
    left_s: float

    @property
    def free(self) -> bool:
        """Whether anybody may take it over."""
        return self.holder.released or self.left_s < 0


def writer_of(folder: Path) -> str:
    """Name a run's folder so that no other folder of any machine has its name while this machine runs.

    The same in a container and outside, whatever the folder is called there. Who holds the lock of the folder itself
    (`learning.lock`) knows that an earlier holder of the run's lock with this name is dead.
    """
    try:
        machine = _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        machine = socket.gethostname()
    status = folder.stat()
    return f"{machine}/{status.st_dev}/{status.st_ino}"


def read_lock(bucket: Bucket, place: Place) -> Seen | None:
    """Return who holds a run, None where nobody ever did."""
    try:
        found = bucket.get(place.lock_key)
    except MissingError:
        return None
    try:
        holder = Holder(**json.loads(found.body))
        left_s = float(holder.ttl_s) + _ROUNDING_S - found.age_s
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{bucket.url(place.lock_key)} is not the lock of a run: {error}", hint="look at it, and move it away"
        ) from error
    return Seen(holder, found.etag, left_s)


def refuse_other_writer(bucket: Bucket, place: Place, folder: Path) -> None:
    """Raise an InUseError where somebody else than a trainer on this folder may write the run now."""
    seen = read_lock(bucket, place)
    if seen is not None and not seen.free and seen.holder.writer != writer_of(folder):
        raise _in_use(place, seen)


def _in_use(place: Place, seen: Seen) -> InUseError:
    return InUseError(
        f"{place.url} is written by {seen.holder.name}",
        hint=f"stop it, or wait: its lock ends {seen.holder.ttl_s:.0f} s after it is dead; another address is free",
    )


class RunLock:
    """The lock of a run, renewed by a thread of its own from `take` to `close`.

    A bucket that does not answer makes nobody lose a lock: it is renewed as soon as it answers again, unless somebody
    took it over meanwhile. Then the lock is lost for good.

    Parameters
    ----------
    bucket, place
        Where the run lies.
    folder
        The run's folder here, whose own lock (`learning.lock`) the caller holds.
    ttl_s
        Seconds after the last renewal at which others may take over.
    """

    def __init__(self, bucket: Bucket, place: Place, folder: Path, *, ttl_s: float) -> None:
        self._bucket, self._place, self._ttl_s = bucket, place, ttl_s
        self._own = Holder(
            run=place.url,
            name=f"process {os.getpid()} on {socket.gethostname()}",
            writer=writer_of(folder),
            token=uuid.uuid4().hex,
            ttl_s=ttl_s,
        )
        self._etag: str | None = None
        self._valid_until = 0.0  # of time.monotonic()
        self._lost_to: str | None = None
        self._trouble = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> bool:
        """Whether this process may write the run; False for a while when the lock could not be renewed in time."""
        return self._lost_to is None and time.monotonic() < self._valid_until

    @property
    def lost_to(self) -> str | None:
        """Who took the lock over, None while nobody did."""
        return self._lost_to

    @property
    def trouble(self) -> str:
        """Why the lock could not be taken or renewed at the last try, empty where it could."""
        return self._trouble

    def take(self, tell: Callable[[str], Any]) -> None:
        """Take the lock, or wait until that of a holder who does not renew it has ended.

        Raises
        ------
        InUseError
            Where its holder is alive: it renewed the lock, or another one took it first.
        UnreachableError
            Where S3 does not answer; `close` undoes what may have arrived.
        """
        first: Seen | None = None
        while (seen := self._attempt()) is not None:
            if first is None:
                first = seen
                tell(
                    f"{self._place.url} is written by {seen.holder.name}; waiting up to {seen.left_s:.0f} s "
                    "for a sign of life"
                )
            elif seen.etag != first.etag:
                raise _in_use(self._place, seen)
            self._stop.wait(POLL_S)

    def keep(self, lost: Callable[[str], Any]) -> None:
        """Begin to renew the lock, or to try for it where it could not be taken yet.

        `lost` is called once, by the thread that renews, where somebody else has the lock; with the other's name.
        """
        self._thread = threading.Thread(target=self._go_on, args=(lost,), name="run lock", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the lock back; where S3 does not answer it ends by itself."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
        silent = bool(self._trouble) or (self._thread is not None and self._thread.is_alive())
        if self._etag is not None and self._lost_to is None and not silent:
            with suppress(StoreError):
                self._write(replace(self._own, released=True), self._etag)
        self._valid_until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _attempt(self) -> Seen | None:
        """Renew the lock, or take it where it is free or of this folder; return who else holds it."""
        try:
            other = self._take_free() if self._etag is None else self._write(self._own, self._etag)
        except StoreError as error:
            self._trouble = error.message
            raise
        self._trouble = ""
        return other

    def _take_free(self) -> Seen | None:
        seen = read_lock(self._bucket, self._place)
        if seen is not None and not seen.free and seen.holder.writer != self._own.writer:
            return seen
        return self._write(self._own, None if seen is None else seen.etag)

    def _write(self, content: Holder, replaces: str | None) -> Seen | None:
        """Write the lock in place of the version that was seen; return who else was quicker."""
        sent_at = time.monotonic()
        stamped = replace(content, expires_at=time.time() + self._ttl_s)
        try:
            self._etag = self._bucket.put(self._place.lock_key, stamped.as_bytes(), replaces=replaces)
        except (ChangedError, MissingError):
            seen = read_lock(self._bucket, self._place)
            if seen is None or seen.holder.token != self._own.token:
                return seen or Seen(replace(self._own, name="nobody: its lock was removed"), "", self._ttl_s)
            self._etag = seen.etag  # our own write, whose answer was lost
        self._valid_until = sent_at + self._ttl_s
        return None

    def _go_on(self, lost: Callable[[str], Any]) -> None:
        while self._lost_to is None and not self._stop.wait(self._ttl_s / RENEWALS):
            try:
                other = self._attempt()
            except StoreError:
                continue
            self._lost_to = other.holder.name if other else None
        if self._lost_to is not None:
            lost(self._lost_to)
