"""The heartbeat of a run: `heartbeat.json`, a small file that shows liveness and progress of a training.

A thread of the training replaces the file every few seconds. Its age shows whether the process is alive, and the age
of the last update whether it makes progress. It is read by health checks, by people and by a host that stops when
idle.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from redox_balancer.files import TEMPORARY

HEARTBEAT = "heartbeat.json"

Made = TypeVar("Made")
Status = Literal["starting", "training", "saving", "stopped", "finished", "failed"]
ENDED: frozenset[Status] = frozenset({"stopped", "finished", "failed"})
FRESH_S = 60.0  # twelve heartbeats at the default interval


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """Liveness and progress of a training; times are Unix times in seconds, None where there is none yet."""

    pid: int
    host: str
    status: Status = "starting"  # `stopped` by a signal with a checkpoint, `finished` with all steps, `failed`
    message: str = ""  # on the status, the error of a failed run for example
    written_at: float = 0.0
    updated_at: float | None = None  # last update of the policy by this process
    step: int = 0  # environment steps of the run
    timesteps: int = 0  # those that it shall have
    steps_per_s: float = 0.0  # of this process
    checkpoint_step: int | None = None
    checkpoint_at: float | None = None
    failed_saves: int = 0  # checkpoints that this process failed to write
    pushed_step: int | None = None  # newest checkpoint in the bucket
    pushed_at: float | None = None  # last upload of this process
    failed_pushes: int = 0  # rounds of uploads; each was or will be retried
    actors_alive: int | None = None  # None in a serial run
    trainer_bytes: int | None = None  # memory (USS)
    actor_bytes: int | None = None  # memory (USS) of the largest actor
    growth_bytes_per_s: float = 0.0  # memory of all processes together; 0 until there are enough measurements
    alarm: str = ""  # newest one of the watchdog
    alarm_at: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the trainer reported its end; one that was killed could not."""
        return self.status in ENDED

    def at_work(self, now: float) -> bool:
        """Whether this belongs to a live trainer: it does not report an end and was written within `FRESH_S` seconds.

        `now` is Unix time on the clock of the trainer's host, s. A heartbeat from the future (the clock was set back)
        is as stale as an old one: a live trainer soon replaces it.
        """
        return not self.ended and abs(now - self.written_at) <= FRESH_S


class HeartbeatWriter:
    """Writes the heartbeat of this process in a thread until it is closed.

    Nothing but `close` waits for the disk, so that a slow one does not delay the training. A file that cannot be
    written (disk full) does not disturb it either; its age then shows that something is wrong.

    A heartbeat is written every `interval_s` seconds, and as soon as possible after a change of status. `known` are
    fields of `Heartbeat` that are known from the start.
    """

    def __init__(self, run: Path, interval_s: float, **known: Any) -> None:
        self._path, self._interval_s = run / HEARTBEAT, interval_s
        self._beat = Heartbeat(pid=os.getpid(), host=socket.gethostname(), **known)
        self._changes: dict[str, Any] = {}  # since then
        self._lock = threading.Lock()  # of both, never held while writing
        self._due = threading.Event()
        self._closed = False
        self._write()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def note(self, **changes: Any) -> None:
        """Change fields of the heartbeat; a new status is written at once, other fields with the next heartbeat."""
        with self._lock:
            self._changes |= changes
        if "status" in changes:
            self._due.set()

    def close(self) -> None:
        """Write a last heartbeat and end the thread."""
        self._closed = True
        self._due.set()
        self._thread.join()
        self._write()

    def _run(self) -> None:
        while True:
            self._due.wait(self._interval_s)
            self._due.clear()
            if self._closed:
                return
            self._write()

    def _write(self) -> None:
        with self._lock:
            beat = self._beat = replace(self._beat, **self._changes, written_at=time.time())
            self._changes.clear()
        temporary = self._path.with_name(f"{TEMPORARY}{HEARTBEAT}")
        try:
            # No fsync: the content counts while the machine runs.
            temporary.write_text(json.dumps(asdict(beat), indent=1) + "\n")
            temporary.replace(self._path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def read_heartbeat(run: Path) -> Heartbeat | None:
    """Return the newest heartbeat of a run, None where none can be read."""
    try:
        return from_record(Heartbeat, json.loads((run / HEARTBEAT).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def from_record(kind: Callable[..., Made], record: Mapping[str, Any]) -> Made:
    """Return a dataclass from a record of it, without the fields that a later version added."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: record[name] for name in names if name in record})
