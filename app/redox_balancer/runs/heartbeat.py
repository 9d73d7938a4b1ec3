"""The heartbeat of a run: `heartbeat.json`, a few lines that say whether a training lives and how it does.

A thread of the training replaces the file every few seconds, so the age of the file tells whether the process lives,
and the age of the last update whether it gets anywhere. Who looks after a run (a health check, a person, a host that
stops when idle) reads it with `read_heartbeat`, which needs neither Ray nor torch.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from redox_balancer.files import TEMPORARY

HEARTBEAT = "heartbeat.json"

Status = Literal["starting", "training", "saving", "stopped", "finished", "failed"]


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """How a training does.

    Attributes
    ----------
    pid, host
        The process of the trainer, and the machine it runs on.
    status
        `stopped` by a signal and saved, `finished` with all steps, `failed` with an error; else still at work.
    message
        What there is to say, the error of a failed run for example.
    written_at
        Unix time at which this was written, in seconds.
    updated_at
        Unix time of the last update of the policy, None before the first of this process.
    step, timesteps
        Environment steps of the run, done and asked for.
    steps_per_s
        Steps of this process over its seconds.
    checkpoint_step, checkpoint_at
        Environment step and Unix time of the newest checkpoint, None where there is none.
    failed_saves
        Checkpoints that this process could not write.
    pushed_step, pushed_at
        Newest checkpoint that is in the bucket, and Unix time at which this process last pushed one; None where
        there is none.
    failed_pushes
        Rounds of pushing that failed; each was or is tried again.
    actors_alive
        Actor processes at work, None in a serial run and before they were looked at.
    trainer_bytes, actor_bytes
        Memory of their own of this process and of the largest actor, None before they were looked at.
    growth_bytes_per_s
        Growth of all processes together, 0 before they were watched for long enough.
    alarm, alarm_at
        The newest alarm of the watchdog and its Unix time, None where there was none.
    """

    pid: int
    host: str
    status: Status = "starting"
    message: str = ""
    written_at: float = 0.0
    updated_at: float | None = None
    step: int = 0
    timesteps: int = 0
    steps_per_s: float = 0.0
    checkpoint_step: int | None = None
    checkpoint_at: float | None = None
    failed_saves: int = 0
    pushed_step: int | None = None
    pushed_at: float | None = None
    failed_pushes: int = 0
    actors_alive: int | None = None
    trainer_bytes: int | None = None
    actor_bytes: int | None = None
    growth_bytes_per_s: float = 0.0
    alarm: str = ""
    alarm_at: float | None = None

    @property
    def age_s(self) -> float:
        """Seconds since this was written; a living trainer writes every few seconds."""
        return max(time.time() - self.written_at, 0.0)

    @property
    def update_age_s(self) -> float | None:
        """Seconds since the last update of the policy, None before the first."""
        return None if self.updated_at is None else max(time.time() - self.updated_at, 0.0)

    @property
    def checkpoint_age_s(self) -> float | None:
        """Seconds since the newest checkpoint, None where there is none."""
        return None if self.checkpoint_at is None else max(time.time() - self.checkpoint_at, 0.0)

    @property
    def push_age_s(self) -> float | None:
        """Seconds since this process last pushed a checkpoint, None where it did not."""
        return None if self.pushed_at is None else max(time.time() - self.pushed_at, 0.0)

    @property
    def ended(self) -> bool:
        """Whether the trainer said that it leaves; one that was killed could not."""
        return self.status in ("stopped", "finished", "failed")


class HeartbeatWriter:
    """Writes the heartbeat of this process until it is closed.

    A file that cannot be written (disk full) never disturbs the training; its age then shows that something is wrong.

    Parameters
    ----------
    run
        Folder of the run.
    interval_s
        Seconds between two writings; a change of status is written at once.
    known
        Fields of `Heartbeat` that are known from the start.
    """

    def __init__(self, run: Path, interval_s: float, **known: Any) -> None:
        self._path, self._interval_s = run / HEARTBEAT, interval_s
        self._beat = Heartbeat(pid=os.getpid(), host=socket.gethostname(), **known)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
        self._thread.start()

    def note(self, **changes: Any) -> None:
        """Change fields of the heartbeat; a new status is written at once, the rest at the next beat."""
        with self._lock:
            before, self._beat = self._beat, replace(self._beat, **changes)
        if self._beat.status != before.status:
            self._write()

    def close(self) -> None:
        """Write a last time and end."""
        self._closed.set()
        self._thread.join()
        self._write()

    def _go_on(self) -> None:
        while not self._closed.wait(self._interval_s):
            self._write()

    def _write(self) -> None:
        with self._lock:
            self._beat = replace(self._beat, written_at=time.time())
            temporary = self._path.with_name(f"{TEMPORARY}{HEARTBEAT}")
            try:
                # No fsync: what counts is what the file says while the machine runs.
                temporary.write_text(json.dumps(asdict(self._beat), indent=1) + "\n")
                temporary.replace(self._path)
            except OSError:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)


def read_heartbeat(run: Path) -> Heartbeat | None:
    """Return the newest heartbeat of a run, None where there is none that can be read."""
    try:
        written = json.loads((run / HEARTBEAT).read_text())
        # Fields that a later version added are passed over.
        return Heartbeat(**{field.name: written[field.name] for field in fields(Heartbeat) if field.name in written})
    except (OSError, ValueError, TypeError):
        return None
