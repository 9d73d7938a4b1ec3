"""Attaching to a run on the host: the trainer's progress bar, fed from its heartbeat and metrics."""

import time
from collections.abc import Callable
from typing import Any

from ops.remote import training
from ops.remote.host import RemoteHost
from ops.remote.training import TrainingState
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat

POLL_S = 2.0
ATTEMPTS = 5  # to reach the host again, with increasing pauses
START_TIMEOUT_S = 300.0  # until the container writes its first heartbeat


def attach(host: RemoteHost, run: str, since: float) -> Heartbeat | None:
    """Show the progress of a run until it ends; None if the user detaches with Ctrl-C, which leaves the run going.

    A lost connection is opened again. A heartbeat older than `since`, the Unix time of the start by the host's clock,
    is of an earlier trainer. A RedoxError if the training dies without a report, or the host stays out of reach.
    """
    from redox_balancer.runs.progress import open_progress  # noqa: PLC0415 - loads torch

    sink = open_progress()
    started, last_step, dead = False, -1.0, False
    try:
        sink.message(f"attached to run {run}; Ctrl-C detaches, the run continues")
        while True:
            state = _inspect(host, run, sink.warning)
            beat = state.beat if state.beat and state.beat.written_at >= since else None
            if beat is not None and beat.updated_at is not None:
                if not started:
                    sink.start(beat.step, beat.timesteps)
                    started = True
                sink.advance(beat.step)
                if state.row.get("steps", -1.0) > last_step:
                    last_step = state.row["steps"]
                    sink.row({"steps_per_s": beat.steps_per_s, **state.row})
            if beat is not None and beat.ended and not state.trains:
                return beat
            if dead:
                raise _death(host, state)
            # Heartbeat and unit are read one after the other; the last heartbeat may come in between. So the training
            # counts as dead only if the next poll agrees.
            dead = _seems_dead(host, state, beat, since)
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        return None
    finally:
        sink.close()


def _inspect(host: RemoteHost, run: str, warn: Callable[[str], Any]) -> TrainingState:
    for attempt in range(ATTEMPTS):
        try:
            return training.inspect(host, run)
        except RedoxError as error:
            if attempt == ATTEMPTS - 1:
                raise RedoxError(
                    f"{error.message}; the run continues by itself", hint=f"make status RUN={run} shows it"
                ) from error
            warn(f"{error.message}; trying again, the run continues meanwhile")
            host.close()
            time.sleep(POLL_S * 2**attempt)
    raise AssertionError


def _seems_dead(host: RemoteHost, state: TrainingState, beat: Heartbeat | None, since: float) -> bool:
    """Whether the unit has ended without a last heartbeat, or its container is late with the first one."""
    late = beat is None and state.now - since > START_TIMEOUT_S
    if state.trains or late:
        return late
    queue = host.session.queue()  # as long as it has the run, the unit is about to start, or has just ended
    return state.run not in [job.run for job in (queue.active, *queue.waiting) if job]


def _death(host: RemoteHost, state: TrainingState) -> RedoxError:
    """Return an error with what is known of the end of a training."""
    last = training.last_lines(host)
    if state.trains:
        text = f"run {state.run} wrote no heartbeat within {START_TIMEOUT_S:.0f} s: {last}"
    else:
        unit = state.unit
        how = f"unit {unit.get('ActiveState')} ({unit.get('Result')}, exit code {unit.get('ExecMainStatus')})"
        text = f"the training of {state.run} has died: {how}: {last}"
    return RedoxError(text, hint="make logs shows its log")
