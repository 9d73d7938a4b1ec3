"""The training on the host: inspecting it, its environment, stopping a run, and other writers of the run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.machine import contract
from infra.machine.contract import WatchState
from ops.remote.host import RemoteHost
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat, from_record

STOP_MARGIN_S = 60.0  # beyond the time that a training may take to save


@dataclass(frozen=True)
class TrainingState:
    """State of the host, from `ops/remote_scripts/state.py`."""

    now: float  # Unix time of the host
    uptime_s: float
    watch: WatchState | None  # that the host's watch recorded; None before its first record
    awake_at: float | None  # Unix time of the last request to keep the host awake
    run: str  # the inspected one
    set_run: str  # the run that the unit is set to
    image: str  # the image that the unit is set to
    beats: Mapping[str, Heartbeat]  # of all runs
    row: Mapping[str, float]  # the last of the run's metrics
    speeds: Mapping[int, float]  # steps per second that the run had with numbers of actors
    writer: str | None  # name of a trainer on this folder in the run's lock; None if the folder does not exist
    unit: Mapping[str, str]  # properties of the trainer's systemd unit
    disks: Mapping[str, Mapping[str, int]]  # total and free bytes of the file systems, by path

    @property
    def beat(self) -> Heartbeat | None:
        """The heartbeat of the inspected run."""
        return self.beats.get(self.run)

    @property
    def unit_active(self) -> bool:
        """Whether the unit of the trainer is active."""
        return self.unit.get("ActiveState") in contract.UNIT_ACTIVE

    @property
    def trains(self) -> bool:
        """Whether the unit is active with the inspected run."""
        return self.unit_active and self.set_run == self.run

    @property
    def unit_text(self) -> str:
        """State and result of the unit of the trainer."""
        return f"{self.unit.get('ActiveState')} ({self.unit.get('Result')})"

    def age_s(self, at: float | None) -> float | None:
        """Seconds since a Unix time, by the host's clock."""
        return None if at is None else max(self.now - at, 0.0)


def inspect(host: RemoteHost, run: str = "") -> TrainingState:
    """Inspect the host; an empty name stands for the run that the unit is set to."""
    settings = host.session.settings
    request = {
        "data": settings.container.data,
        "runs": settings.storage.runs,
        "run": run,
        "unit": contract.TRAINER,
        "environment": list(map(str, contract.ENVIRONMENT_FILES)),
        "watch_state": str(contract.WATCH_STATE),
        "keep_awake": str(contract.KEEP_AWAKE),
    }
    answer: dict[str, Any] = host.script("state", request, reads=True)
    beats, watch, speeds = answer.pop("beats"), answer.pop("watch"), answer.pop("speeds")
    return TrainingState(
        beats={name: from_record(Heartbeat, beat) for name, beat in beats.items()},
        speeds={int(actors): speed for actors, speed in speeds.items()},
        watch=None if watch is None else from_record(WatchState, watch),
        **answer,
    )


def run_environment(run: str, image: str, options: Sequence[str]) -> str:
    """Return the unit's environment file for a run.

    systemd unquotes twice, by rules of its own (systemd.exec(5), systemd.service(5)): when it reads the file, and
    when it splits `$REDOX_MORE` of the command line into words.
    """
    values = {"REDOX_RUN": run, "REDOX_IMAGE": image, "REDOX_MORE": " ".join(map(_quoted_word, options))}
    for value in values.values():
        if any(character in value for character in "\n\r\0"):
            raise RedoxError(f"{value!r} contains a line break", hint="options of a training are single lines")
    escaped = {name: re.sub(r'(["\\`$])', r"\\\1", value) for name, value in values.items()}
    return "".join(f'{name}="{value}"\n' for name, value in escaped.items())


def _quoted_word(word: str) -> str:
    """Quote a word of a list that systemd splits; unlike a shell, it unescapes within single quotes, too."""
    if re.fullmatch(r"[\w@%+=:,./-]+", word, flags=re.ASCII):
        return word
    escaped = re.sub(r'(["\\])', r"\\\1", word)
    return f'"{escaped}"'


def end_training(session: Session) -> int | None:
    """Stop the training, which saves first, and return the step of its newest checkpoint.

    None if it has no checkpoint or the host cannot be reached: a training also saves when its host shuts down.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - not needed for `--help`

    try:
        with RemoteHost(session) as host:
            state = inspect(host)
            if state.unit_active and session.announce(f"end the training of run {state.set_run}, which saves first"):
                stop_unit(host)
                state = inspect(host)
    except (RedoxError, ClientError, BotoCoreError) as error:
        session.note(f"{error}; a training also saves when its host shuts down")
        return None
    step = state.beat.checkpoint_step if state.beat else None
    session.note(f"newest checkpoint of run {state.run}: " + ("none" if step is None else f"step {step:,}"))
    return step


def stop_unit(host: RemoteHost) -> None:
    """Stop the unit of the trainer and wait until the training has saved and ended."""
    timeout_s = host.session.settings.limits.stop_timeout_s + STOP_MARGIN_S
    host.run(f"sudo -n systemctl stop {contract.TRAINER}", timeout_s=timeout_s)


def last_lines(host: RemoteHost) -> str:
    """Return the last lines of the training's log, as one line."""
    try:
        output = host.run(f"sudo -n journalctl -u {contract.TRAINER} -n 3 -o cat --no-pager", reads=True)
    except RedoxError:
        return "its log cannot be read"
    return " | ".join(output.strip().splitlines()) or "its log is empty"


def refuse_other_writer(session: Session, run: str, writer: str | None) -> None:
    """Raise a RedoxError if a live trainer elsewhere holds the run's lock; `writer` is as in `TrainingState`.

    The lock of a killed trainer is valid for up to two more minutes. A trainer on this host is known to be dead when
    its unit is; for any other, this waits for a renewal of the lock, as the trainer itself does.
    """
    from redox_balancer.runs.remote.lock import LockState, await_expiry, read_lock  # noqa: PLC0415 - loads NumPy
    from redox_balancer.runs.remote.run import RemoteRun  # noqa: PLC0415

    remote = RemoteRun(session.run_url(run))

    def other() -> LockState | None:
        lock = read_lock(remote.bucket, remote.address)
        return lock if lock is not None and lock.bars(writer) else None

    if await_expiry(other, remote.address, session.note):
        session.note("its lock has expired: taking over the run")
