"""The training on a restored host: the right run, at work, and the step at which it went on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ops.remote import attach as following
from ops.remote import instance, training
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

if TYPE_CHECKING:
    from infra.settings import Settings
    from ops.remote.training import TrainingState
    from ops.session import Session

ONLINE_TIMEOUT_S, WORK_TIMEOUT_S = 600.0, 900.0  # the trainer may fetch its checkpoint first
LOOK_S = 2.0
FRESH_S = 15.0  # a trainer writes its heartbeat every few seconds
AT_WORK = ("training", "saving", "finished")


def resume(settings: Settings, run: str) -> int:
    """Have the unit of a new host train a run, and return the step at which it is once it is at work.

    The unit starts with its host and trains the run that the image knows, which may be another one. The trainer
    itself takes the newest whole checkpoint of volume and bucket.
    """
    from ops.session import Session  # noqa: PLC0415 - the host is another one than that of the caller's session

    with Session(settings) as session, notes().status(f"waiting until run {run} is at work"):
        _wait_until_online(session)
        _set_run(session, training.look(session, run), run)
        deadline = time.monotonic() + WORK_TIMEOUT_S
        while time.monotonic() < deadline:
            seen = training.look(session, run)
            if (step := _step(seen)) is not None:
                return step
            if not seen.at_work:
                raise RedoxError(
                    f"run {run} is not at work on {session.host}: {following.last_lines(session)}",
                    hint=f"make logs shows more; where there is no image yet: make train-remote RUN={run}",
                )
            time.sleep(LOOK_S)
    raise RedoxError(f"run {run} is not at work after {WORK_TIMEOUT_S:.0f} s", hint="make logs shows what it does")


def _wait_until_online(session: Session) -> None:
    deadline = time.monotonic() + ONLINE_TIMEOUT_S
    while time.monotonic() < deadline and not instance.online(session):
        time.sleep(LOOK_S)
    instance.require_online(session)


def _set_run(session: Session, seen: TrainingState, run: str) -> None:
    """Have the unit train this run: with the options it was begun with where the image knows them."""
    unit, patience_s = training.UNIT, session.settings.limits.stop_timeout_s + 60.0
    if seen.set_run == run:
        if not seen.at_work:
            session.on_host().run(f"sudo -n systemctl start --no-block {unit}")
        return
    session.say(f"the image knows run {seen.set_run}: {run} goes on with the settings' options")
    if seen.at_work:
        session.on_host().run(f"sudo -n systemctl stop {unit}", timeout_s=patience_s)
    training.begin(session, run, seen.image, [])


def _step(seen: TrainingState) -> int | None:
    """Return the step of a trainer that is at work, None where none is; by the host's clock alone.

    A heartbeat from before the host's start is that of the trainer which the old host had: a quick restore finds it
    still fresh on the volume.
    """
    beat, age_s = seen.beat, seen.age_s(seen.beat.written_at if seen.beat else None)
    fresh = age_s is not None and age_s < min(FRESH_S, seen.uptime_s)
    return beat.step if beat is not None and fresh and beat.status in AT_WORK else None
