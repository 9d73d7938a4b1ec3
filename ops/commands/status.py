"""`make status`: the state of host and run."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from infra.settings import Settings
from ops.aws.cost import cost_of_seconds
from ops.health import HealthReport, check, idle_stop_at
from ops.remote.host import RemoteHost
from ops.remote.training import TrainingState
from ops.session import CommandResult, RunName, Session
from redox_balancer.bench.advice import enough_by_speed
from redox_balancer.terminal.tables import age_text, out, table

EXAMPLE = "Example: python -m ops status --run production --watch"


def status(
    session: Session,
    *,
    run: RunName = None,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, help="With --watch: seconds between two refreshes.")] = 5.0,
) -> CommandResult | None:
    """Show the host, its cost, and its run: step, time left, speed, ages, memory, and when an idle host stops."""
    name = session.run_name(run)
    with RemoteHost(session) as host:
        if not watch:
            data = as_data(check(host, name), session.settings)
            return CommandResult(data, _shown(data))
        from rich.live import Live  # noqa: PLC0415 - only --watch needs it

        console = out()
        try:
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    live.update(_shown(as_data(check(host, name), session.settings)), refresh=True)
                    time.sleep(every)
        except KeyboardInterrupt:
            return None


def as_data(report: HealthReport, settings: Settings) -> dict[str, Any]:
    """Return a report for JSON; ages and time left in seconds, memory and disks in bytes."""
    state = report.state
    data: dict[str, Any] = {
        "host": {**asdict(report.instance), "uptime_s": report.instance.uptime_s},
        "run": report.run,
        "problems": report.problems(settings),
    }
    if state is None:
        return data
    month = time.strftime("%Y-%m", time.gmtime(state.now))
    months = state.watch.months if state.watch else {}
    stop_at = idle_stop_at(state, settings.host.idle_minutes)
    return {
        **data,
        "month_usd": cost_of_seconds(settings, months.get(month, 0.0)),
        "start_usd": cost_of_seconds(settings, state.uptime_s),
        "idle_stop_at": stop_at,
        "idle_stop_in_s": None if stop_at is None else max(stop_at - state.now, 0.0),
        "unit": dict(state.unit),
        "image": state.image,
        "disks": {path: dict(disk) for path, disk in state.disks.items()},
        "training": _training_data(state),
    }


def _training_data(state: TrainingState) -> dict[str, Any] | None:
    beat = state.beat
    if beat is None:
        return None
    left = (beat.timesteps - beat.step) / beat.steps_per_s if beat.steps_per_s > 0 and not beat.ended else None
    return {
        **asdict(beat),
        "percent": 100 * beat.step / beat.timesteps if beat.timesteps else math.nan,
        "left_s": left,
        "speeds": dict(sorted(state.speeds.items())),
        "enough_actors": enough_by_speed(state.speeds),
        "return": state.row.get("return_mean"),
        "age_s": state.age_s(beat.written_at),
        "checkpoint_age_s": state.age_s(beat.checkpoint_at),
        "push_age_s": state.age_s(beat.pushed_at),
    }


def _shown(data: dict[str, Any]) -> Table:
    return table({"": "left", " ": "left"}, _rows(data))


def _rows(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    host = data["host"]
    up = f", up {age_text(host['uptime_s'])}" if host["uptime_s"] is not None else ""
    yield "host", f"{host['instance_id']} {host['state']}{up}"
    if "unit" in data:
        yield "cost", f"{data['start_usd']:,.2f} USD since its start, {data['month_usd']:,.2f} USD this month"
        yield "idle stop", _idle_stop(data)
        yield "disks", ", ".join(f"{path} {disk['free'] / 1e9:,.0f} GB free" for path, disk in data["disks"].items())
        yield "unit", f"{data['unit'].get('ActiveState')} ({data['unit'].get('Result')}), {data['image']}"
        yield from _training_rows(data)
    yield from (("problem", text) for text in data["problems"])


def _idle_stop(data: dict[str, Any]) -> str:
    if data["idle_stop_at"] is None:
        return "none: training, or disabled by the settings"
    clock = time.strftime("%H:%M", time.localtime(data["idle_stop_at"]))
    return f"in {age_text(data['idle_stop_in_s'])}, at {clock}, unless a run starts"


def _training_rows(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    found = data["training"]
    if found is None:
        yield "run", f"{data['run']}: no heartbeat"
        return
    status_text = f"{found['status']} {found['message']}".rstrip()
    left = "" if found["left_s"] is None else f", {age_text(found['left_s'])} left"
    memory = "-" if found["actor_bytes"] is None else f"{found['actor_bytes'] / 1e6:,.0f} MB"
    growth = 3_600 * found["growth_bytes_per_s"] / 1e6
    yield "run", f"{data['run']}: {status_text}, heartbeat {_ago(found['age_s'])}"
    yield "step", f"{found['step']:,} of {found['timesteps']:,}, {found['percent']:.1f} %{left}"
    yield "speed", f"{found['steps_per_s']:,.0f} steps/s"
    yield "return", "-" if found["return"] is None else f"{found['return']:.4g}"
    yield "checkpoint", f"step {_count(found['checkpoint_step'])}, {_ago(found['checkpoint_age_s'])}"
    yield "bucket", f"step {_count(found['pushed_step'])}, {_ago(found['push_age_s'])}"
    yield "actors", f"{_count(found['actors_alive'])} alive"
    if len(found["speeds"]) > 1:
        yield "speeds", _speeds(found["speeds"], found["enough_actors"])
    yield "memory", f"largest actor {memory}, all processes {growth:+,.1f} MB an hour"


def _speeds(speeds: dict[int, float], enough: int | None) -> str:
    listed = ", ".join(f"{speed:,.0f} steps/s with {actors}" for actors, speed in speeds.items())
    return f"{listed}: " + ("more were faster" if enough is None else f"more than {enough} give nothing")


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{age_text(seconds)} ago"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
