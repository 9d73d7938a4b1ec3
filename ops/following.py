"""Following a run on the host: the trainer's own progress bar, fed from its heartbeat and metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ops import training
from redox_balancer.errors import RedoxError
from redox_balancer.learning.heartbeat import Heartbeat

if TYPE_CHECKING:
    from ops.session import Session
    from ops.training import Seen

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
    from redox_balancer.learning.progress import open_progress  # noqa: PLC0415 - loads torch

    sink = open_progress()
    started, rows = False, -1.0
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
            _refuse_dead(session, seen, beat, since)
            sleep(LOOK_S)
    except KeyboardInterrupt:
        return None
    finally:
        sink.close()


def _look(session: Session, run: str, warn: Callable[[str], Any], sleep: Callable[[float], Any]) -> Seen:
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


def _refuse_dead(session: Session, seen: Seen, beat: Heartbeat | None, since: float) -> None:
    """Raise an error where the unit ended without a word of the trainer."""
    state, result = seen.unit.get("ActiveState"), seen.unit.get("Result")
    late = beat is None and seen.now - since > START_TIMEOUT_S
    if not late and (seen.at_work or (seen.now - since < LOOK_S and beat is None)):
        return
    last = last_lines(session)
    if late and seen.at_work:
        text = f"run {seen.run} wrote no heartbeat within {START_TIMEOUT_S:.0f} s: {last}"
    else:
        code = seen.unit.get("ExecMainStatus")
        text = f"the training of {seen.run} did not last: unit {state} ({result}, exit code {code}): {last}"
    raise RedoxError(text, hint="make logs shows all of it")


def last_lines(session: Session, lines: int = 3) -> str:
    """Return what the training said last, in one line."""
    try:
        said = session.on_host().run(
            f"sudo -n journalctl -u {training.UNIT} -n {lines} -o cat --no-pager", reads=True
        )
    except RedoxError:
        return "its log cannot be read"
    return " | ".join(said.strip().splitlines()) or "it said nothing"
