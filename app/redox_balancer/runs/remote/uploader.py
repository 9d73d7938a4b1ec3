"""The bucket of a training: takes the run's lock, fetches a newer checkpoint, and uploads what is saved.

A background thread uploads, so neither a slow nor an unreachable bucket delays the training; failures are reported
and retried. Each round uploads every checkpoint that the bucket lacks, including those that earlier rounds or
processes failed to upload.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import DamagedCheckpointError
from redox_balancer.runs.progress import ProgressSink
from redox_balancer.runs.remote.bucket import StoreError, UnreachableError
from redox_balancer.runs.remote.lock import RunLock
from redox_balancer.runs.remote.run import OtherHistoryError, RemoteRun

FIRST_PAUSE_S = 1.0  # after a failure; doubles with each further one
LONGEST_START_PAUSE_S, LONGEST_PAUSE_S = 10.0, 60.0


@contextmanager
def uploading(
    config: TrainConfig, folder: Path, *, resume: str | Path | None, progress: ProgressSink
) -> "Iterator[Uploader | None]":
    """Hold the lock of `config.remote`, fetch the checkpoint that the run resumes from, and yield an uploader.

    Yields None if `config.remote` is empty. At the end of the block, pending uploads get `config.remote_patience_s`.
    The caller holds the own lock of the run's folder; `resume` is as for `trainer.train`. An InUseError where another
    trainer holds the run's lock, an UnreachableError where the bucket does not respond and there is no local
    checkpoint, another RedoxError where it cannot be used or holds newer checkpoints than the run resumes from.
    """
    if not config.remote:
        yield None
        return
    remote = RemoteRun(config.remote, timeout_s=config.remote_timeout_s)
    with RunLock(remote.bucket, remote.address, folder, ttl_s=config.remote_lock_s) as lock:
        try:
            patience_s = config.remote_patience_s
            retrying = Retrying(
                retry=retry_if_exception_type(UnreachableError),
                stop=stop_after_delay(patience_s),
                wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_START_PAUSE_S),
                before_sleep=lambda attempt: progress.message(
                    f"{_reason(attempt)}; retrying for up to {patience_s:g} s"
                ),
                reraise=True,
            )
            retrying(lock.take, progress.message)
            retrying(fetch_newer, remote, folder, resume, progress)
        except UnreachableError as error:
            if resume is None or not checkpoint.steps(folder):
                raise
            progress.warning(f"{error.message}; training continues from the local checkpoint and pushes later")
        uploader = Uploader(remote, lock, folder, warn=progress.warning)
        lock.keep(uploader.report_lost_lock)
        try:
            yield uploader
        finally:
            uploader.finish(config.remote_patience_s, progress.message)


def fetch_newer(remote: RemoteRun, folder: Path, resume: str | Path | None, progress: ProgressSink) -> None:
    """Fetch the newest intact checkpoint of the bucket if the run resumes from the newest and lacks it.

    A RedoxError where the run would resume from an older checkpoint than the bucket holds.
    """
    available = remote.complete_steps()
    if not available:
        progress.message(f"no checkpoint in {remote.url}")
        return
    if resume == "auto":
        local = -1
        with suppress(DamagedCheckpointError):  # every one is
            local = checkpoint.find(folder).checkpoint.step if checkpoint.steps(folder) else -1
        if available[0] > local:
            progress.message(f"fetching the newest checkpoint of {remote.url}, step {available[0]:,}")
            remote.pull_metadata(folder, replace=True)
            try:
                pulled = remote.pull_newest(folder, above=local)
            except DamagedCheckpointError as error:
                if local < 0:
                    raise
                progress.warning(f"{error.message}; resuming from the local checkpoint of step {local:,}")
                return
            for reason in pulled.damaged.values() if pulled else ():
                progress.warning(f"{reason}; using an older one")
        return
    newest = -1 if resume is None else checkpoint.find(Path(resume)).checkpoint.step
    if available[0] > newest:
        raise RedoxError(
            f"{remote.url} already holds a run, up to step {available[0]:,}",
            hint="resume that run automatically, or choose another address",
            settings=("resume", "remote"),
        )


class Uploader:
    """Uploads the checkpoints of a run's folder in a background thread, newest first.

    Nothing is uploaded while this process does not hold the lock. `warn` receives a line for each failure.
    """

    def __init__(self, remote: RemoteRun, lock: RunLock, folder: Path, *, warn: Callable[[str], Any]) -> None:
        self._remote, self._lock, self._folder, self._warn = remote, lock, folder, warn
        self._note: Callable[..., Any] = lambda **_: None
        self._handled: set[int] = set()  # steps that were uploaded, or cannot be
        self._pushed_step: int | None = None
        self._pushed_at: float | None = None
        self._failed = 0
        self._metadata_due = False
        # Counts of requested and completed rounds; a round serves every request made before it started.
        self._requested, self._completed = 1, 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._rounds = Retrying(
            wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
            stop=stop_when_event_set(self._stop),
            before_sleep=self._report,
            sleep=self._wait,
            retry_error_callback=lambda _: None,
        )
        self._thread = threading.Thread(target=self._run, name="uploader", daemon=True)
        self._thread.start()

    def push(self) -> None:
        """Request a round: there is a new checkpoint."""
        with self._changed:
            self._requested += 1
            self._changed.notify_all()

    def report_to(self, note: Callable[..., Any]) -> None:
        """Report to the heartbeat from now on."""
        self._note = note
        self._note_state()

    def report_lost_lock(self, holder: str) -> None:
        """Raise an alarm: another process has the lock, so nothing more is uploaded."""
        text = (
            f"run lock lost: {self._remote.url} is locked by {holder}; "
            "training continues, and its checkpoints stay on this machine"
        )
        self._warn(text)
        self._note(alarm=text, alarm_at=time.time())

    @property
    def metrics(self) -> Mapping[str, float]:
        """Columns for a row of metrics."""
        step = math.nan if self._pushed_step is None else self._pushed_step
        return {"pushed_step": step, "failed_pushes": self._failed}

    def finish(self, patience_s: float, report: Callable[[str], Any]) -> None:
        """Push what is pending within `patience_s` and stop the thread; further calls do nothing."""
        if self._stop.is_set():
            return
        self.push()
        with self._changed:
            if not self._changed.wait_for(lambda: self._completed >= self._requested, 1.0):
                report(f"pushing the last checkpoint to {self._remote.url} for at most {patience_s:g} s")
                self._changed.wait_for(lambda: self._completed >= self._requested, patience_s - 1.0)
            self._stop.set()
            self._changed.notify_all()
            late = self._completed < self._requested
        if left := [step for step in checkpoint.steps(self._folder) if step not in self._handled]:
            within = f" within {patience_s:g} s" if late else ""
            self._warn(
                f"step {left[0]:,} was not pushed to {self._remote.url}{within}; "
                f"push {self._folder} when the bucket responds"
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._requested > self._completed or self._stop.is_set())
                requested = self._requested
            if requested > self._completed:
                self._rounds(self._round)
            with self._changed:
                self._completed = requested
                self._changed.notify_all()

    def _wait(self, seconds: float) -> None:
        """Wait between two attempts, at most until a new round is requested."""
        with self._changed:
            requested = self._requested
            self._changed.wait_for(lambda: self._requested > requested or self._stop.is_set(), seconds)

    def _report(self, attempt: RetryCallState) -> None:
        """Report a failed round, whatever the exception: nothing terminates this thread."""
        self._failed += 1
        self._warn(
            f"push to {self._remote.url} failed: {_reason(attempt)}; training continues and the push is retried"
        )
        self._note_state()

    def _note_state(self) -> None:
        self._note(pushed_step=self._pushed_step, pushed_at=self._pushed_at, failed_pushes=self._failed)

    def _round(self) -> None:
        """Push every checkpoint that the bucket lacks, then the run metadata."""
        for step, path in checkpoint.steps(self._folder).items():
            if step in self._handled:
                continue
            if self._lock.lost_to is not None:
                self._failed += 1  # reported once, by `report_lost_lock`
                self._note_state()
                return
            if not self._lock.held:
                raise StoreError(f"the run's lock is not held: {self._lock.last_error or 'it is being renewed'}")
            try:
                sent = self._remote.push(path)
            except (DamagedCheckpointError, OtherHistoryError) as error:
                self._failed += 1
                self._warn(f"push to {self._remote.url} failed: {error.message}")
            else:
                if sent is not None:
                    self._pushed_step = max(step, self._pushed_step or 0)
                self._pushed_at = time.time() if sent else self._pushed_at
            self._handled.add(step)
            self._metadata_due = True
            self._note_state()
        if self._metadata_due:
            self._remote.push_metadata(self._folder)
            self._metadata_due = False


def _reason(attempt: RetryCallState) -> str:
    error = attempt.outcome.exception() if attempt.outcome else None
    return error.message if isinstance(error, RedoxError) else f"{type(error).__name__}: {error}"
