"""One writer per run: an object in the bucket that names the lock's holder and expires unless it is renewed.

Nothing is deleted: a released lock says so. Every write is conditional, so of two processes that take over an expired
lock one succeeds and the other fails. Age is measured by the clock of S3.
"""

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
from redox_balancer.runs.remote.bucket import (
    Bucket,
    ObjectNotFoundError,
    PreconditionFailedError,
    RunAddress,
    StoreError,
)

RENEWALS = 4  # attempts before a lock expires
POLL_S = 1.0
JOIN_TIMEOUT_S = 2.0  # for a renewal in progress when the lock is closed
_ROUNDING_S = 1.0  # the resolution of times in S3
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class InUseError(RedoxError):
    """Another process may write to the run."""


@dataclass(frozen=True, kw_only=True)
class LockHolder:
    """Content of a lock."""

    run: str  # address of the run
    name: str  # readable, of the holder
    writer: str  # the run's folder on the holder's machine, see `writer_of`
    token: str  # of one process: two on the same folder have different ones
    ttl_s: float  # from the last renewal to expiry
    expires_at: float = 0.0  # Unix time by the holder's clock; informative only
    released: bool = False


@dataclass(frozen=True)
class LockState:
    """A lock as read from the bucket: its holder, the ETag of the object, and the time to expiry (s)."""

    holder: LockHolder
    etag: str
    left_s: float

    def bars(self, writer: str | None) -> bool:
        """Whether a process other than the trainer on the folder of `writer`, see `writer_of`, may hold the lock."""
        return not self.holder.released and self.left_s >= 0 and self.holder.writer != writer


def writer_of(folder: Path) -> str:
    """Return an identifier of a run's folder that no other folder on any machine shares while this machine is up.

    It is the same inside and outside a container, wherever the folder is mounted. A process that holds the lock of
    the folder itself (`runs.lock`) can therefore assume that an earlier holder with this identifier is dead.
    """
    try:
        machine = _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        machine = socket.gethostname()
    status = folder.stat()
    return f"{machine}/{status.st_dev}/{status.st_ino}"


def read_lock(bucket: Bucket, address: RunAddress) -> LockState | None:
    """Return the lock of a run, None if there has never been one."""
    try:
        found = bucket.get(address.lock_key)
    except ObjectNotFoundError:
        return None
    try:
        holder = LockHolder(**json.loads(found.body))
        left_s = float(holder.ttl_s) + _ROUNDING_S - found.age_s
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{bucket.url(address.lock_key)} is not the lock of a run: {error}", hint="inspect it, and move it away"
        ) from error
    return LockState(holder, found.etag, left_s)


def refuse_other_writer(bucket: Bucket, address: RunAddress, folder: Path) -> None:
    """Raise an InUseError if a trainer on another folder holds the run's lock."""
    state = read_lock(bucket, address)
    if state is not None and state.bars(writer_of(folder)):
        raise _in_use(address, state)


def await_expiry(
    attempt: Callable[[], LockState | None],
    address: RunAddress,
    report: Callable[[str], Any],
    pause: Callable[[float], Any] = time.sleep,
) -> bool:
    """Wait until `attempt` returns no lock of another holder; return whether there was one, reported in one line.

    An InUseError where the holder is alive: it renewed the lock, or another process took it first.
    """
    first: LockState | None = None
    while (state := attempt()) is not None:
        if first is None:
            first, held = state, f"{address.url} is locked by {state.holder.name}"
            report(f"{held}; waiting up to {state.left_s:.0f} s for a renewal")
        elif state.etag != first.etag:
            raise _in_use(address, state)
        pause(POLL_S)
    return first is not None


def _in_use(address: RunAddress, state: LockState) -> InUseError:
    return InUseError(
        f"{address.url} is locked by {state.holder.name}",
        hint=f"stop that trainer, or wait: its lock expires {state.holder.ttl_s:.0f} s after the last renewal",
    )


class RunLock:
    """The lock of a run, renewed by a background thread from `keep` to `close`.

    An unreachable bucket alone does not lose the lock: it is renewed as soon as the bucket responds again, unless
    another process has taken it over. Then it is lost for good.

    The caller holds the run's local lock, that of the folder (`runs.lock`). Other processes may take over `ttl_s`
    seconds after the last renewal.
    """

    def __init__(self, bucket: Bucket, address: RunAddress, folder: Path, *, ttl_s: float) -> None:
        self._bucket, self._address, self._ttl_s = bucket, address, ttl_s
        self._own = LockHolder(
            run=address.url,
            name=f"process {os.getpid()} on {socket.gethostname()}",
            writer=writer_of(folder),
            token=uuid.uuid4().hex,
            ttl_s=ttl_s,
        )
        self.lost_to: str | None = None  # the process that took the lock over
        self.last_error = ""  # of the last attempt to take or renew the lock
        self._etag: str | None = None
        self._valid_until = 0.0  # time.monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> bool:
        """Whether this process may write to the run; False while the lock could not be renewed in time."""
        return self.lost_to is None and time.monotonic() < self._valid_until

    def take(self, report: Callable[[str], Any]) -> None:
        """Take the lock, waiting for the lock of a dead holder to expire, which is reported in one line.

        An InUseError where the holder is alive: it renewed the lock, or another process took it first. An
        UnreachableError where S3 does not respond; `close` releases a lock that may have been written.
        """
        await_expiry(self._attempt, self._address, report, self._stop.wait)

    def keep(self, lost: Callable[[str], Any]) -> None:
        """Start renewing the lock, or trying to take it if that has not succeeded yet.

        The renewing thread calls `lost` once, with the name of the other holder, if another process has the lock.
        """
        self._thread = threading.Thread(target=self._renew, args=(lost,), name="run lock", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Release the lock; if S3 does not respond it expires."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)
        unreachable = bool(self.last_error) or (self._thread is not None and self._thread.is_alive())
        if self._etag is not None and self.lost_to is None and not unreachable:
            with suppress(StoreError):
                self._write(replace(self._own, released=True), self._etag)
        self._valid_until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _attempt(self) -> LockState | None:
        """Renew the lock, or take it if it is free or held by this folder; return the lock of another holder."""
        try:
            other = self._take_free() if self._etag is None else self._write(self._own, self._etag)
        except StoreError as error:
            self.last_error = error.message
            raise
        self.last_error = ""
        return other

    def _take_free(self) -> LockState | None:
        state = read_lock(self._bucket, self._address)
        if state is not None and state.bars(self._own.writer):
            return state
        return self._write(self._own, None if state is None else state.etag)

    def _write(self, content: LockHolder, replaces: str | None) -> LockState | None:
        """Replace a version of the lock; return the lock of another holder that was written first."""
        sent_at = time.monotonic()
        stamped = asdict(replace(content, expires_at=time.time() + self._ttl_s))
        stored = (json.dumps(stamped, indent=1) + "\n").encode()
        try:
            self._etag = self._bucket.put(self._address.lock_key, stored, replaces=replaces)
        except (PreconditionFailedError, ObjectNotFoundError):
            state = read_lock(self._bucket, self._address)
            if state is None or state.holder.token != self._own.token:
                return state or LockState(replace(self._own, name="nobody (the lock was deleted)"), "", self._ttl_s)
            self._etag = state.etag  # this process wrote it; the response was lost
        self._valid_until = sent_at + self._ttl_s
        return None

    def _renew(self, lost: Callable[[str], Any]) -> None:
        while self.lost_to is None and not self._stop.wait(self._ttl_s / RENEWALS):
            try:
                other = self._attempt()
            except StoreError:
                continue
            self.lost_to = other.holder.name if other else None
        if self.lost_to is not None:
            lost(self.lost_to)
