"""Verifying a restore: the new host trains the right run, and the step at which it resumed."""

import time
from typing import TYPE_CHECKING

from infra.machine import contract
from infra.settings import Settings
from ops.aws import instance
from ops.remote import training
from ops.remote.connect import connect
from ops.remote.training import TrainingState
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

if TYPE_CHECKING:
    from ops.remote.host import RemoteHost

RESUME_TIMEOUT_S = 900.0  # the trainer may have to fetch its checkpoint first
POLL_S = 2.0


def wait_until_resumed(settings: Settings, run: str) -> int:
    """Start a run on the new host unless it trains it already, and return its step once it trains.

    The unit starts with its host and trains the run that was set when the image was taken, which may be another one.
    The trainer itself resumes the newest complete checkpoint of volume and bucket.
    """
    # A session of its own: the caller's has the old host.
    session = Session(settings)
    with connect(session) as host, notes().status(f"waiting until run {run} is training"):
        instance.wait_until_online(session)
        _set_run(host, training.inspect(host, run), run)
        deadline = time.monotonic() + RESUME_TIMEOUT_S
        while time.monotonic() < deadline:
            state = training.inspect(host, run)
            if (step := resumed_step(state)) is not None:
                return step
            if not state.unit_active:
                raise RedoxError(
                    f"run {run} is not training on {host.name}: {training.last_lines(host)}",
                    hint=f"make logs shows more; if there is no image yet: make train-remote RUN={run}",
                )
            time.sleep(POLL_S)
    raise RedoxError(f"run {run} is not training after {RESUME_TIMEOUT_S:.0f} s", hint="make logs shows its progress")


def _set_run(host: "RemoteHost", state: TrainingState, run: str) -> None:
    """Have the unit train this run, with the options that it was started with if the image has them."""
    if state.set_run == run:
        if not state.unit_active:
            host.run(f"sudo -n systemctl start --no-block {contract.TRAINER}")
        return
    host.session.note(f"the image was set to run {state.set_run}: {run} continues with the options of the settings")
    if state.unit_active:
        training.stop_unit(host)
    training.start(host, run, state.image, [])


def resumed_step(state: TrainingState) -> int | None:
    """Return the step of a run that the new host's trainer has resumed; None if it has not.

    A heartbeat from before the host's start is that of the old host's trainer: after a quick restore it is still
    fresh. Only the host's clock counts.
    """
    beat = state.beat
    if beat is None or state.now - beat.written_at >= state.uptime_s:
        return None
    training_now = beat.at_work(state.now) and beat.status != "starting"
    return beat.step if training_now or beat.status == "finished" else None
