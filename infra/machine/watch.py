"""Looks after the host: counts what its hours cost, and does what `decisions` says.

Runs as `python3 -m infra.machine.watch` with the machine's own Python; only the standard library.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.machine import metadata
from infra.machine.decisions import Action, Beat, Decision, Rules, Seen, decide

SETTINGS = Path("/etc/redox/settings.json")
AWAKE = Path("/run/redox-awake")  # `touch` it, and the idle time starts anew
UNIT, CONTAINER = "redox-trainer.service", "redox-trainer"
LOOK_S = 60.0
NOTICE_LOOK_S = 5.0  # of the two minutes that the spot market gives
LAST_SWEEP_S = 30.0

COMMANDS = {
    Action.END_TRAINING: [["systemctl", "stop", UNIT], ["timeout", f"{LAST_SWEEP_S:.0f}", "redox-sweep"]],
    Action.RESTART_TRAINING: [["systemctl", "restart", UNIT]],
    Action.STOP_HOST: [["shutdown", "--poweroff", "now"]],
}


@dataclass
class Ledger:
    """Seconds that hosts ran in each month; lies on the data volume, so that it outlives them."""

    path: Path

    def add(self, seconds: float, month: str) -> float:
        """Add seconds to a month and return its sum; a ledger that cannot be kept counts from what is known."""
        try:
            months: dict[str, float] = json.loads(self.path.read_text())
        except (OSError, ValueError):
            months = {}
        months[month] = months.get(month, 0.0) + seconds
        temporary = self.path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(months))
            temporary.replace(self.path)
        except OSError as error:
            say(f"the ledger of hours cannot be written: {error}")
        return months[month]


def say(text: str) -> None:
    """Write a line to the log of the host."""
    print(f"{time.strftime('%FT%TZ', time.gmtime())} watch: {text}", flush=True)


def read_beats(experiments: Path, run: str = "*") -> list[Beat]:
    """Return the heartbeats that can be read, of all runs or of one."""
    beats = []
    for path in sorted(experiments.glob(f"{run}/heartbeat.json")):
        try:
            written = json.loads(path.read_text())
            beats.append(Beat(float(written["written_at"]), str(written["status"])))
        except (OSError, ValueError, TypeError, KeyError):
            continue  # is being replaced, or of another version: its next look is soon
    return beats


def uptime_s() -> float:
    """Return the seconds since the machine started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def spot_notice() -> bool:
    """Whether the spot market has said that it takes this machine back."""
    return metadata.get("spot/instance-action") is not None


def unhealthy() -> bool:
    """Whether the container of the training runs and fails its health check."""
    command = ["docker", "inspect", "--format", "{{if .State.Health}}{{.State.Health.Status}}{{end}}", CONTAINER]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == "unhealthy"


def look(settings: dict[str, Any], spent_usd: float, *, notice: bool) -> Seen:
    """Look at the machine."""
    now = time.time()
    return Seen(
        now=now,
        uptime_s=uptime_s(),
        beats=read_beats(Path(settings["container.data"]) / settings["storage.runs"]),
        spent_usd=spent_usd,
        unhealthy=unhealthy(),
        notice=notice,
        awake_s=now - AWAKE.stat().st_mtime if AWAKE.exists() else None,
    )


def act(decision: Decision) -> None:
    """Do what was decided."""
    if decision.action is Action.NOTHING:
        return
    say(f"{decision.action.value}: {decision.reason}")
    if decision.action is Action.WARN:
        subprocess.run(["wall", f"{decision.reason}; touch {AWAKE} keeps it"], check=False)
    for command in COMMANDS.get(decision.action, []):
        subprocess.run(command, check=False)


def main() -> int:
    """Watch until the machine stops."""
    settings = json.loads(SETTINGS.read_text())
    rules = Rules(idle_s=60.0 * settings["host.idle_minutes"], budget_usd=settings["guard.monthly_budget_usd"])
    per_second = settings["price.per_hour_usd"] / 3_600 * (1 + settings["host.workers"])
    ledger = Ledger(Path(settings["container.data"]) / "host-seconds.json")
    counted, busy_at_s = uptime_s(), 0.0
    while True:
        before, counted = counted, uptime_s()
        spent = ledger.add(counted - before, time.strftime("%Y-%m", time.gmtime())) * per_second
        notice = settings["host.spot"] and spot_notice()
        decision = decide(look(settings, spent, notice=notice), rules, busy_at_s)
        busy_at_s = decision.busy_at_s
        act(decision)
        wait_until = uptime_s() + LOOK_S
        while uptime_s() < wait_until and not (settings["host.spot"] and not notice and spot_notice()):
            time.sleep(NOTICE_LOOK_S if settings["host.spot"] else LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
