"""The queue of jobs in the bucket, and the host's turn: the active run goes on, else the next job starts.

The queue is one object, and each change of it one conditional write. So of two operators one takes a name, a job is
either cancelled or taken, and a host that ends either finds a new job or has closed the queue before it came: who
added the job then sees that this host will not take it, and has another one launched. Only the standard library.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

from infra.machine import contract, log
from infra.machine.aws import ChangedError, Found
from infra.machine.contract import QUEUE
from infra.machine.spending import Store

ATTEMPTS = 10  # of a change that others forestall
STOPPED = "stopped"  # closed by a person until a run is started again
UNIT = f"{contract.TRAINER}.service"

say = partial(log.say, "queue")


@dataclass(frozen=True)
class Job:
    """A run that is to be trained."""

    run: str
    environment: str  # file of the unit: run, image, options
    queued_at: float = 0.0  # Unix time
    outcome: str = ""  # of one that was set aside: why it failed
    log: str = ""  # its key in the bucket


@dataclass
class Queue:
    """State of the queue."""

    active: Job | None = None  # which a host trains, or the next host goes on with
    waiting: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)
    closed: str = ""  # the host that ends and takes no job, or STOPPED

    @classmethod
    def of(cls, found: Found | None) -> Self:
        """Return the queue that an object holds; an OSError if it is damaged."""
        try:
            known = json.loads(found.content) if found else {}
            for name in ("waiting", "failed"):
                known[name] = [Job(**each) for each in known.get(name, ())]
            return cls(**{**known, "active": Job(**known["active"]) if known.get("active") else None})
        except (ValueError, TypeError, AttributeError) as error:
            raise OSError(f"{QUEUE} is damaged: {error}") from error

    def content(self) -> bytes:
        """Return the object that holds it."""
        return json.dumps(asdict(self)).encode()


def change(store: Store, edit: Callable[[Queue], None]) -> Queue:
    """Edit the queue, anew where another writer was faster, and return it."""
    for attempt in range(1, ATTEMPTS + 1):
        found = store.get(QUEUE)
        queue = Queue.of(found)
        edit(queue)
        try:
            store.put(QUEUE, queue.content(), replaces=found)
        except ChangedError:
            if attempt == ATTEMPTS:
                raise
        else:
            return queue
    raise AssertionError


class HostQueue:
    """The queue as this host works it off; `store_log` stores the training's log for a run and returns its key."""

    def __init__(self, store: Store, experiments: Path, store_log: Callable[[str], str]) -> None:
        self._store, self._experiments, self._store_log = store, experiments, store_log
        self._seen: Found | None = None
        self._looked = False

    def turn(self) -> None:
        """Start the active run or the next job, unless a training runs; a job that has failed is set aside."""
        unit = properties()
        if unit.get("ActiveState") in contract.UNIT_ACTIVE or not contract.READY.exists():
            return
        queue = self._look()
        before, job = queue.content(), queue.active
        if job and started(job):
            outcome = self._outcome(job, unit)
            if outcome is None:  # it has saved: whoever stopped it decides, or the next host goes on with it
                return
            with suppress(OSError):  # not worth a host that waits
                job = replace(job, log=self._store_log(job.run))
            job = replace(job, outcome=outcome)
            say(f"run {job.run} {f'failed, and is set aside: {outcome}' if outcome else 'has finished'}")
            queue.failed += [job] if outcome else []
            queue.active = job = None
        if job is None and queue.waiting and queue.closed != STOPPED:
            job, queue.closed = queue.waiting.pop(0), ""
            queue.active = job
        if queue.content() != before:  # before it starts: a job that is cancelled meanwhile does not
            self._store.put(QUEUE, queue.content(), replaces=self._seen)
        if job:
            (self._experiments / job.run / contract.HEARTBEAT).unlink(missing_ok=True)  # of an earlier end of the run
            start(job)

    def close(self, host: str) -> bool:
        """Close the queue for a host that ends; not if it changed since the last turn, for which the host stays."""
        if not self._looked and self._look().waiting:  # the watch has just started
            return False
        queue = Queue.of(self._seen)
        queue.closed = host
        try:
            self._store.put(QUEUE, queue.content(), replaces=self._seen)
        except ChangedError:
            self._look()
            return False
        return True

    def failed(self) -> bool:
        """Whether the job that this host started last was set aside, none waits, and nobody asked to keep the host.

        As of the last turn; from what is in the bucket and on the host, for the watch may have started since.
        """
        try:
            queue = Queue.of(self._seen)
        except OSError:  # damaged, which the turn reports
            return False
        if queue.active or queue.waiting or not any(map(started, queue.failed)):
            return False
        awake = contract.KEEP_AWAKE
        return not awake.exists() or awake.stat().st_mtime <= contract.RUN_ENV.stat().st_mtime

    def _look(self) -> Queue:
        self._seen, self._looked = self._store.get(QUEUE), True
        return Queue.of(self._seen)

    def _outcome(self, job: Job, unit: dict[str, str]) -> str | None:
        """Return why a training failed, empty if it finished; None if it was stopped."""
        try:
            beat = json.loads((self._experiments / job.run / contract.HEARTBEAT).read_text())
        except (OSError, ValueError):
            beat = {}
        status = beat.get("status")
        if unit.get("Result") == "exec-condition":
            return without_image(job)
        if unit.get("ActiveState") == "failed" or status == "failed":
            how = f"unit {unit.get('ActiveState')} ({unit.get('Result')}), exit code {unit.get('ExecMainStatus')}"
            return str(beat.get("message") or how) if status == "failed" else how
        return "" if status == "finished" else None


def without_image(job: Job) -> str:
    """Return why a job did not start, and what to do: its image is neither on this host nor could it be pulled."""
    found = re.search(r'^REDOX_IMAGE="(.*)"$', job.environment, flags=re.MULTILINE)
    image = f"image {found[1] if found else ''}".rstrip()
    if "/" in image:
        return f"{image} is not on the host and could not be pulled: the log says why; then queue the run again"
    return (
        f"{image} is not on the host, which has replaced the one that it was sent to: queue the run again, which "
        'sends it; with container.image_delivery = "repository" a host that replaces another one pulls it'
    )


def properties() -> dict[str, str]:
    """Return the state of the trainer's unit."""
    command = ["systemctl", "show", UNIT, "--property=ActiveState,Result,ExecMainStatus"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def started(job: Job) -> bool:
    """Whether this host has started a job since it booted."""
    return contract.RUN_ENV.exists() and contract.RUN_ENV.read_text() == job.environment


def start(job: Job) -> None:
    """Start the unit with a job; its idle time begins anew, for pulling an image may take long."""
    say(f"starting run {job.run}, queued {time.time() - job.queued_at:,.0f} s ago")
    contract.KEEP_AWAKE.touch()  # before the file of the run: what is newer than that, a person asked for
    temporary = contract.RUN_ENV.with_suffix(".new")
    temporary.write_text(job.environment)
    temporary.replace(contract.RUN_ENV)
    for words in (["reset-failed"], ["start", "--no-block"]):
        subprocess.run(["systemctl", *words, UNIT], check=False)
