"""What a training does about its bucket: takes the run's lock, brings back what is newer there, pushes what it saves.

Pushing has a thread of its own, so that neither a slow nor a dead bucket holds up the training: what fails is
reported and tried again. Each round looks for all checkpoints that are not there yet, so whatever an earlier one
missed, or an earlier process, is not forgotten.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

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

FIRST_PAUSE_S = 1.0  # after a failure; it doubles with each further one
LONGEST_START_PAUSE_S, LONGEST_PAUSE_S = 10.0, 60.0


@contextmanager
def uploading(
    config: TrainConfig, folder: Path, *, resume: Literal["auto"] | Path | None, progress: ProgressSink
) -> Iterator[Uploader | None]:
    """Hold the lock of `config.remote`, bring back its newest checkpoint where that is due, and give its uploader.

    Gives None where there is no `config.remote`. What was not pushed when the block ends gets `remote_patience_s`.

    Parameters
    ----------
    config
        Settings.
    folder
        The run's folder, whose own lock the caller holds.
    resume
        As for `trainer.train`: "auto" fetches a checkpoint that is newer than those here.
    progress
        Where to report.

    Raises
    ------
    InUseError
        Where another trainer holds the run.
    RedoxError
        Where the bucket holds checkpoints that the run would not come after, or cannot be used at all.
    UnreachableError
        Where it does not answer and there is no checkpoint here to go on from.
    """
    if not config.remote:
        yield None
        return
    remote = RemoteRun(config.remote, timeout_s=config.remote_timeout_s)
    with RunLock(remote.bucket, remote.place, folder, ttl_s=config.remote_lock_s) as lock:
        try:
            again = _patiently(config.remote_patience_s, progress.message)
            again(lock.take, progress.message)
            again(bring_back, remote, folder, resume, progress)
        except UnreachableError as error:
            if resume is None or not checkpoint.steps(folder):
                raise
            progress.warning(f"{error.message}; training goes on from what is here, and pushes when it answers")
        uploader = Uploader(remote, lock, folder, warn=progress.warning)
        lock.keep(uploader.give_up)
        try:
            yield uploader
        finally:
            uploader.finish(config.remote_patience_s, progress.message)


def _patiently(patience_s: float, tell: Callable[[str], Any]) -> Retrying:
    """Try again while the bucket does not answer, for so many seconds, and say so."""
    return Retrying(
        retry=retry_if_exception_type(UnreachableError),
        stop=stop_after_delay(patience_s),
        wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_START_PAUSE_S),
        before_sleep=lambda attempt: tell(f"{_reason(attempt)}; trying for up to {patience_s:g} s"),
        reraise=True,
    )


def bring_back(
    remote: RemoteRun, folder: Path, resume: Literal["auto"] | Path | None, progress: ProgressSink
) -> None:
    """Fetch the newest whole checkpoint of the bucket where the run goes on from the newest and that is not here.

    A run that would not come after what the bucket holds is refused with a RedoxError.
    """
    there = remote.whole_steps()
    if not there:
        progress.message(f"no checkpoint in {remote.url}")
        return
    if resume == "auto":
        here = _newest_whole(folder)
        if there[0] > here:
            progress.message(f"fetching the newest checkpoint of {remote.url}, step {there[0]:,}")
            remote.pull_metadata(folder, replace=True)
            try:
                pulled = remote.pull_newest(folder, above=here)
            except DamagedCheckpointError as error:
                if here < 0:
                    raise
                progress.warning(f"{error.message}; going on from step {here:,}, which is here")
                return
            for reason in pulled.damaged.values() if pulled else ():
                progress.warning(f"{reason}; taking an older one")
        return
    newest = -1 if resume is None else checkpoint.find(resume).checkpoint.step
    if there[0] > newest:
        raise RedoxError(
            f"{remote.url} already holds a run, up to step {there[0]:,}",
            hint="--resume auto goes on with it; another --remote takes a new one",
        )


def _newest_whole(folder: Path) -> int:
    """Return the step of the newest whole checkpoint of a folder, -1 where there is none."""
    for path in checkpoint.steps(folder).values():
        with suppress(DamagedCheckpointError):
            return checkpoint.load(path).step
    return -1


class Uploader:
    """Pushes the checkpoints of a folder by a thread of its own, the newest first.

    Parameters
    ----------
    remote
        Where to.
    lock
        Nothing is pushed while this process does not hold it.
    folder
        The run's folder.
    warn
        Takes a line about what went wrong.
    """

    def __init__(self, remote: RemoteRun, lock: RunLock, folder: Path, *, warn: Callable[[str], Any]) -> None:
        self._remote, self._lock, self._folder, self._warn = remote, lock, folder, warn
        self._note: Callable[..., Any] = lambda **_: None
        self._there: set[int] = set()  # steps that need not be looked at again
        self._pushed_step: int | None = None
        self._pushed_at: float | None = None
        self._failed = 0
        self._papers_due = False
        # Rounds asked for and done; the last one asked for makes all before it.
        self._asked, self._done = 1, 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._rounds = Retrying(
            wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
            stop=stop_when_event_set(self._stop),
            before_sleep=self._report,
            sleep=self._rest,
            retry_error_callback=lambda _: None,
        )
        self._thread = threading.Thread(target=self._go_on, name="uploader", daemon=True)
        self._thread.start()

    def push(self) -> None:
        """Ask for a round: there is a new checkpoint."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()

    def report_to(self, note: Callable[..., Any]) -> None:
        """Tell the heartbeat from now on."""
        self._note = note
        self._tell()

    def give_up(self, holder: str) -> None:
        """Say that somebody else writes the run, so that nothing more is pushed."""
        text = (
            f"THE RUN'S LOCK IS LOST: {self._remote.url} is written by {holder}; "
            "training goes on, and what it saves stays on this machine"
        )
        self._warn(text)
        self._note(alarm=text, alarm_at=time.time())

    @property
    def figures(self) -> Mapping[str, float]:
        """Columns of a row of metrics."""
        step = math.nan if self._pushed_step is None else self._pushed_step
        return {"pushed_step": step, "failed_pushes": self._failed}

    def finish(self, patience_s: float, tell: Callable[[str], Any]) -> None:
        """Push what is left, for so many seconds at most, and end; once is enough."""
        if self._stop.is_set():
            return
        self.push()
        with self._changed:
            if not self._changed.wait_for(lambda: self._done >= self._asked, 1.0):
                tell(f"pushing the last checkpoint to {self._remote.url}, for {patience_s:g} s at most")
                self._changed.wait_for(lambda: self._done >= self._asked, patience_s - 1.0)
            self._stop.set()
            self._changed.notify_all()
            late = self._done < self._asked
        if left := [step for step in checkpoint.steps(self._folder) if step not in self._there]:
            why = f" within {patience_s:g} s" if late else ""
            self._warn(
                f"step {left[0]:,} was not pushed to {self._remote.url}{why}: "
                f"redox checkpoints push {self._folder} {self._remote.url}"
            )

    def _go_on(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._done or self._stop.is_set())
                asked = self._asked
            if asked > self._done:
                self._rounds(self._round)
            with self._changed:
                self._done = asked
                self._changed.notify_all()

    def _rest(self, seconds: float) -> None:
        """Wait between two tries until there is something new."""
        with self._changed:
            asked = self._asked
            self._changed.wait_for(lambda: self._asked > asked or self._stop.is_set(), seconds)

    def _report(self, attempt: RetryCallState) -> None:
        """Make a failed round known, whatever the reason: nothing ends this thread."""
        self._failed += 1
        self._warn(f"NOT PUSHED to {self._remote.url}: {_reason(attempt)}; training goes on and tries again")
        self._tell()

    def _tell(self) -> None:
        self._note(pushed_step=self._pushed_step, pushed_at=self._pushed_at, failed_pushes=self._failed)

    def _round(self) -> None:
        """Push every checkpoint that is not there, then what a report needs."""
        for step, path in checkpoint.steps(self._folder).items():
            if step in self._there:
                continue
            if self._lock.lost_to is not None:
                self._failed += 1  # and nothing more to say, see `give_up`
                self._tell()
                return
            if not self._lock.held:
                raise StoreError(f"the run's lock is not held: {self._lock.trouble or 'it is being renewed'}")
            try:
                sent = self._remote.push(path)
            except (DamagedCheckpointError, OtherHistoryError) as error:
                self._failed += 1
                self._warn(f"NOT PUSHED to {self._remote.url}: {error.message}")
            else:
                if sent is not None:
                    self._pushed_step = max(step, self._pushed_step or 0)
                self._pushed_at = time.time() if sent else self._pushed_at
            self._there.add(step)
            self._papers_due = True
            self._tell()
        if self._papers_due:
            self._remote.push_metadata(self._folder)
            self._papers_due = False


def _reason(attempt: RetryCallState) -> str:
    error = attempt.outcome.exception() if attempt.outcome else None
    return error.message if isinstance(error, RedoxError) else f"{type(error).__name__}: {error}"
