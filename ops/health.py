"""How host and run do: everything `status` shows and `health` judges."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from infra.machine.contract import ENDED, FRESH_S
from ops import cost as spending
from ops.remote import instance, training
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import age_text

if TYPE_CHECKING:
    from infra.settings import Settings
    from ops.remote.instance import Instance
    from ops.remote.training import TrainingState
    from ops.session import Session

UPDATE_S = 900.0  # without an update of the policy; as the image's health check
SAVES_MISSED = 3  # intervals without a checkpoint
ALARM_S = 3_600.0  # for which an alarm of the watchdog counts
DISK_SHARE = 0.9


@dataclass(frozen=True)
class HealthReport:
    """What is the case.

    Attributes
    ----------
    run
        The run.
    instance
        The host as AWS sees it.
    seen
        What there is to see on it, None where it cannot be reached.
    unreachable
        Why it cannot.
    """

    run: str
    instance: Instance
    seen: TrainingState | None
    unreachable: str = ""


def look(session: Session, run: str) -> HealthReport:
    """Look at AWS and at the host."""
    there = instance.look(session)
    if there.state != "running":
        return HealthReport(run, there, None)
    try:
        return HealthReport(run, there, training.look(session, run))
    except RedoxError as error:
        session.hang_up()
        return HealthReport(run, there, None, error.message)


def idle_stop_at(seen: TrainingState, idle_minutes: int) -> float | None:
    """Return the Unix time at which an idle host stops itself, None where it trains or is set never to.

    As `infra.machine.decisions` reckons, from the last heartbeat of any trainer, the start, or `touch
    /run/redox-awake`; the host looks once a minute.
    """
    if not idle_minutes:
        return None
    busy = [seen.now - seen.uptime_s, *([seen.awake_at] if seen.awake_at else [])]
    for beat in seen.beats.values():
        ended = beat.status in ENDED
        if not ended and seen.now - beat.written_at <= FRESH_S:
            return None
        busy.append(beat.written_at + (0.0 if ended else FRESH_S))
    return max(busy) + 60.0 * idle_minutes


def problems(found: HealthReport, settings: Settings) -> list[str]:
    """Return what is wrong, a line each; nothing where all is well."""
    if found.instance.state != "running":
        return [f"{found.instance.instance_id} is {found.instance.state}"]
    if found.seen is None:
        return [found.unreachable]
    return [*_of_run(found.seen, settings), *_of_host(found.seen)]


def _of_run(seen: TrainingState, settings: Settings) -> list[str]:
    beat = seen.beat
    if beat is None:
        return [f"run {seen.run} never trained on this host" if not seen.at_work else f"run {seen.run} is starting"]
    if beat.status in ("finished", "stopped"):
        return _of_push(seen)
    if beat.status == "failed":
        return [f"the training failed: {beat.message}"]
    said = []
    if not seen.at_work:
        said.append(f"the unit of the training is {seen.unit.get('ActiveState')} ({seen.unit.get('Result')})")
    age, update = seen.age_s(beat.written_at), seen.age_s(beat.updated_at)
    if age is not None and age > FRESH_S:
        said.append(f"the last heartbeat is {age_text(age)} old")
    if update is not None and update > UPDATE_S:
        said.append(f"the last update of the policy is {age_text(update)} old")
    saved = seen.age_s(beat.checkpoint_at)
    if saved is not None and saved > SAVES_MISSED * settings.training.save_interval_s:
        said.append(f"the newest checkpoint is {age_text(saved)} old")
    if beat.failed_saves:
        said.append(f"{beat.failed_saves} checkpoints could not be written")
    alarm = seen.age_s(beat.alarm_at)
    if alarm is not None and alarm <= ALARM_S:
        said.append(beat.alarm)
    return said + _of_push(seen)


def _of_push(seen: TrainingState) -> list[str]:
    beat = seen.beat
    behind = beat is not None and beat.failed_pushes and (beat.pushed_step or -1) < (beat.checkpoint_step or -1)
    return [f"step {beat.checkpoint_step:,} is not in the bucket"] if beat and behind else []


def _of_host(seen: TrainingState) -> list[str]:
    return [
        f"{path} is {1 - disk['free'] / disk['all']:.0%} full"
        for path, disk in seen.disks.items()
        if disk["all"] and disk["free"] < (1 - DISK_SHARE) * disk["all"]
    ]


def figures(found: HealthReport, settings: Settings) -> dict[str, Any]:
    """Return everything, ready for JSON; ages and left time in seconds, memory in bytes."""
    seen = found.seen
    data: dict[str, Any] = {
        "host": {**asdict(found.instance), "uptime_s": found.instance.uptime_s},
        "run": found.run,
        "problems": problems(found, settings),
    }
    if seen is None:
        return data
    month = time.strftime("%Y-%m", time.gmtime(seen.now))
    data |= {
        "month_usd": spending.of_seconds(settings, seen.seconds.get(month, 0.0)),
        "start_usd": spending.of_seconds(settings, seen.uptime_s),
        "idle_stop_at": idle_stop_at(seen, settings.host.idle_minutes),
        "idle_stop_in_s": None,
        "unit": dict(seen.unit),
        "image": seen.image,
        "disks": {path: dict(disk) for path, disk in seen.disks.items()},
        "training": None,
    }
    if data["idle_stop_at"] is not None:
        data["idle_stop_in_s"] = max(data["idle_stop_at"] - seen.now, 0.0)
    if beat := seen.beat:
        left = (beat.timesteps - beat.step) / beat.steps_per_s if beat.steps_per_s > 0 and not beat.ended else None
        data["training"] = {
            **asdict(beat),
            "percent": 100 * beat.step / beat.timesteps if beat.timesteps else math.nan,
            "left_s": left,
            "return": seen.row.get("return_mean"),
            "age_s": seen.age_s(beat.written_at),
            "checkpoint_age_s": seen.age_s(beat.checkpoint_at),
            "push_age_s": seen.age_s(beat.pushed_at),
        }
    return data


def rows(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what `figures` gave, for people."""
    host = data["host"]
    up = f", up {age_text(host['uptime_s'])}" if host["uptime_s"] is not None else ""
    shown = [("host", f"{host['instance_id']} {host['state']}{up}")]
    if "unit" in data:
        shown += [
            ("cost", f"{data['start_usd']:,.2f} USD since its start, {data['month_usd']:,.2f} USD this month"),
            ("idle stop", _deadline(data)),
            ("disks", ", ".join(f"{path} {disk['free'] / 1e9:,.0f} GB free" for path, disk in data["disks"].items())),
            ("unit", f"{data['unit'].get('ActiveState')} ({data['unit'].get('Result')}), {data['image']}"),
        ]
        shown += _rows_of_training(data)
    return [*shown, *(("problem", text) for text in data["problems"])]


def _deadline(data: dict[str, Any]) -> str:
    if data["idle_stop_at"] is None:
        return "none: it trains, or is set never to stop"
    clock = time.strftime("%H:%M", time.localtime(data["idle_stop_at"]))
    return f"in {age_text(data['idle_stop_in_s'])}, at {clock}, unless a run begins"


def _rows_of_training(data: dict[str, Any]) -> list[tuple[str, str]]:
    found = data["training"]
    if found is None:
        return [("run", f"{data['run']}: no heartbeat")]
    left = "" if found["left_s"] is None else f", {age_text(found['left_s'])} left"
    gained = "-" if found["return"] is None else f"{found['return']:.4g}"
    memory = "-" if found["actor_bytes"] is None else f"{found['actor_bytes'] / 1e6:,.0f} MB"
    slope = 3_600 * found["growth_bytes_per_s"] / 1e6
    return [
        ("run", f"{data['run']}: {found['status']} {found['message']}, heartbeat {_ago(found['age_s'])}"),
        ("step", f"{found['step']:,} of {found['timesteps']:,}, {found['percent']:.1f} %{left}"),
        ("speed", f"{found['steps_per_s']:,.0f} steps/s"),
        ("return", gained),
        ("checkpoint", f"step {_count(found['checkpoint_step'])}, {_ago(found['checkpoint_age_s'])}"),
        ("bucket", f"step {_count(found['pushed_step'])}, {_ago(found['push_age_s'])}"),
        ("actors", f"{_count(found['actors_alive'])} alive"),
        ("memory", f"largest actor {memory}, all together {slope:+,.1f} MB an hour"),
    ]


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{age_text(seconds)} ago"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
