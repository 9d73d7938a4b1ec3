"""The training on the host: looking at it, beginning a run, and who else may be writing it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat

if TYPE_CHECKING:
    from ops.session import Session

UNIT = "redox-trainer"
RUN_FILE = "/etc/redox/run.env"
AT_WORK = frozenset(("active", "activating", "reloading", "deactivating"))
LOOK_S = 1.0


@dataclass(frozen=True)
class TrainingState:
    """What `ops/remote_scripts/look.py` saw on the host.

    Attributes
    ----------
    now, uptime_s
        Unix time of the host and seconds since its start.
    awake_at
        Unix time at which a person last asked to keep it awake, None if nobody did.
    run
        The run that was looked at.
    set_run, image
        The run and the image of the unit.
    beats
        Heartbeats of all runs.
    row
        Newest row of the run's metrics.
    writer
        What the run's lock calls a trainer on this folder, None where there is no such folder.
    unit
        What systemd says of the trainer's unit.
    seconds
        Seconds that the host ran, by month.
    disks
        Bytes of its file systems, all and free, by path.
    """

    now: float
    uptime_s: float
    awake_at: float | None
    run: str
    set_run: str
    image: str
    beats: Mapping[str, Heartbeat]
    row: Mapping[str, float]
    writer: str | None
    unit: Mapping[str, str]
    seconds: Mapping[str, float]
    disks: Mapping[str, Mapping[str, int]]

    @property
    def beat(self) -> Heartbeat | None:
        """The heartbeat of the run."""
        return self.beats.get(self.run)

    @property
    def at_work(self) -> bool:
        """Whether the unit of the trainer is at work."""
        return self.unit.get("ActiveState") in AT_WORK

    def age_s(self, at: float | None) -> float | None:
        """Seconds since a Unix time by the host's own clock."""
        return None if at is None else max(self.now - at, 0.0)


def look(session: Session, run: str) -> TrainingState:
    """Look at the host; an empty run is the one that the unit is set to."""
    settings = session.settings
    asked = {"data": settings.container.data, "runs": settings.storage.runs, "run": run}
    told: dict[str, Any] = session.on_host().python("look", asked, reads=True)
    known = Heartbeat.__dataclass_fields__
    beats = {
        name: Heartbeat(**{key: value for key, value in beat.items() if key in known})
        for name, beat in told.pop("beats").items()
    }
    return TrainingState(beats=beats, **told)


def begin(session: Session, run: str, image: str, options: Sequence[str]) -> None:
    """Have the unit train a run from now on: `--resume auto`, with the settings' options and then these.

    Safe to do again: it is written as a whole under a lock of the host, and a unit that is at work stays as it is.

    Raises
    ------
    RedoxError
        Where the unit is already at work.
    """
    lines = {"REDOX_RUN": run, "REDOX_IMAGE": image, "REDOX_MORE": shlex.join(options)}
    text = "".join(f'{name}="{value}"\n' for name, value in lines.items())
    answer = session.on_host().python("start", {"path": RUN_FILE, "text": text, "unit": UNIT})
    if answer["busy"]:
        refuse_busy(session, look(session, ""))


def refuse_busy(session: Session, seen: TrainingState) -> None:
    """Raise an error where the host is training: the message names who it is."""
    if not seen.at_work:
        return
    beat = seen.beats.get(seen.set_run)
    who = f"process {beat.pid} on {beat.host}, step {beat.step:,}" if beat else "its trainer is starting"
    raise RedoxError(
        f"{session.host} is training run {seen.set_run}: {who}",
        hint=f"make status RUN={seen.set_run} shows it; python -m ops stop --keep-host ends it",
    )


def refuse_other_writer(
    session: Session, run: str, seen: TrainingState, sleep: Callable[[float], Any] = time.sleep
) -> None:
    """Raise an error where another trainer holds the run's lock and lives.

    A lock outlives a trainer that was killed by up to two minutes. One of a trainer on this very host is known to be
    dead when its unit is; of any other a sign of life is waited for, as the trainer itself does.
    """
    from redox_balancer.runs.remote.lock import read_lock  # noqa: PLC0415 - loads NumPy
    from redox_balancer.runs.remote.run import RemoteRun  # noqa: PLC0415

    remote = RemoteRun(session.run_url(run))
    first = read_lock(remote.bucket, remote.address)
    found, told = first, False
    while found is not None and not found.free and found.holder.writer != seen.writer:
        assert first is not None  # noqa: S101 - it was found before
        if found.etag != first.etag:
            raise RedoxError(
                f"run {run} is written by {found.holder.name}",
                hint=f"stop it first; its lock ends {found.holder.ttl_s:.0f} s after it is dead",
            )
        if not told:
            session.say(
                f"run {run} is written by {found.holder.name}; waiting up to {found.left_s:.0f} s for a sign of life"
            )
            told = True
        sleep(LOOK_S)
        found = read_lock(remote.bucket, remote.address)
    if told:
        session.say("its lock has ended: taking the run over")
