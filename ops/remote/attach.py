"""Following a run on the host: the trainer's own progress bar, fed from its heartbeat and metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ops.remote import training
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat

if TYPE_CHECKING:
    from ops.remote.training import TrainingState
    from ops.session import Session

LOOK_S = 2.0
TRIES = 5  # to reach the host again, with pauses that grow
START_TIMEOUT_S = 300.0  # until the container writes its first heartbeat


def follow(session: Session, run: str, since: float, sleep: Callable[[float], Any] = time.sleep) -> Heartbeat | None:
    """Show how a run goes on until it ends; None where the user detaches by Ctrl-C and the run goes on.

    Parameters
    ----------
    session
        The session; a connection that breaks off is made anew.
    run
        Name of the run.
    since
        Unix time, by the host, of the start: an older heartbeat is of an earlier trainer.
    sleep
        Waits between two looks.
    """
    from redox_balancer.runs.progress import open_progress  # noqa: PLC0415 - loads torch

    sink = open_progress()
    started, rows, dead = False, -1.0, False
    try:
        sink.message(f"following run {run}; Ctrl-C detaches, and the run goes on")
        while True:
            seen = _look(session, run, sink.warning, sleep)
            beat = seen.beat if seen.beat and seen.beat.written_at >= since else None
            if beat is not None and beat.updated_at is not None:
                if not started:
                    sink.start(beat.step, beat.timesteps)
                    started = True
                sink.advance(beat.step)
                if seen.row.get("steps", -1.0) > rows:
                    rows = seen.row["steps"]
                    sink.row({"steps_per_s": beat.steps_per_s, **seen.row})
            if beat is not None and beat.ended and not seen.at_work:
                return beat
            if dead:
                raise _death(session, seen)
            # What it said last may have come between two glances of one look: only the next tells.
            dead = _is_dead(seen, beat, since)
            sleep(LOOK_S)
    except KeyboardInterrupt:
        return None
    finally:
        sink.close()


def _look(session: Session, run: str, warn: Callable[[str], Any], sleep: Callable[[float], Any]) -> TrainingState:
    for attempt in range(TRIES):
        try:
            return training.look(session, run)
        except RedoxError as error:
            if attempt == TRIES - 1:
                raise RedoxError(
                    f"{error.message}; the run goes on by itself", hint=f"make status RUN={run} looks again"
                ) from error
            warn(f"{error.message}; trying again, the run goes on meanwhile")
            session.hang_up()
            sleep(LOOK_S * 2**attempt)
    raise AssertionError


def _is_dead(seen: TrainingState, beat: Heartbeat | None, since: float) -> bool:
    """Whether the unit ended without a word of the trainer, or its container says nothing for too long."""
    late = beat is None and seen.now - since > START_TIMEOUT_S
    return late or (not seen.at_work and seen.now - since > LOOK_S)


def _death(session: Session, seen: TrainingState) -> RedoxError:
    """Return what is known of the end of a training."""
    last = last_lines(session)
    if seen.at_work:
        text = f"run {seen.run} wrote no heartbeat within {START_TIMEOUT_S:.0f} s: {last}"
    else:
        unit = seen.unit
        how = f"unit {unit.get('ActiveState')} ({unit.get('Result')}, exit code {unit.get('ExecMainStatus')})"
        text = f"the training of {seen.run} did not last: {how}: {last}"
    return RedoxError(text, hint="make logs shows all of it")


def last_lines(session: Session, lines: int = 3) -> str:
    """Return what the training said last, in one line."""
    try:
        said = session.on_host().run(
            f"sudo -n journalctl -u {training.UNIT} -n {lines} -o cat --no-pager", reads=True
        )
    except RedoxError:
        return "its log cannot be read"
    return " | ".join(said.strip().splitlines()) or "it said nothing"
