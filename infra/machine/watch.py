"""The host's watch: counts what host time costs, carries out what `decisions` decides, and has jobs take their turn.

Runs as `python3 -m infra.machine.watch` under the host's own Python; only the standard library.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.machine import contract, log
from infra.machine.aws import Aws, instance_id, metadata
from infra.machine.contract import WatchState
from infra.machine.decisions import HostAction, HostState, StopDecision, StopRules, decide
from infra.machine.jobs import HostQueue
from infra.machine.outcome import end_host
from infra.machine.spending import SpendingLedger, Store
from infra.machine.sync import store_log, training

ROUND_S = 60.0
POLL_S = 5.0  # of the queue, and for a spot interruption notice, which leaves two minutes
LAST_SYNC_S = 30.0

COMMANDS = {
    HostAction.END_TRAINING: [
        ["systemctl", "stop", f"{contract.TRAINER}.service"],
        ["timeout", f"{LAST_SYNC_S:.0f}", "redox-sweep"],
    ],
    HostAction.RESTART_TRAINING: [["systemctl", "restart", f"{contract.TRAINER}.service"]],
}


class Watch:
    """One decision per round, from a state that survives a restart of the watch, in the file `state`.

    `uptime_s` are seconds since boot, `now` is Unix time.
    """

    def __init__(
        self, settings: Mapping[str, Any], store: Store, *, uptime_s: float, state: Path = contract.WATCH_STATE
    ) -> None:
        self._experiments = Path(settings["container.data"]) / settings["storage.runs"]
        self._rules = StopRules(
            idle_s=60.0 * settings["host.idle_minutes"], budget_usd=settings["guard.monthly_budget_usd"]
        )
        self._usd_per_s = settings["price.per_hour_usd"] / 3_600 * (1 + settings["host.workers"])
        recorded = WatchState.read(state)
        if recorded is None or recorded.counted_s > uptime_s:  # the first start since boot
            recorded = WatchState()
        self._path, self._state, self._ledger = state, recorded, SpendingLedger(store, recorded)

    def decide(self, seen: HostState, *, now: float, awake_at: float | None = None) -> StopDecision:
        """Count the time since the last round, decide, and record the state.

        Idle time and spending are added to what was seen of the host. `now` is Unix time, and `awake_at` when a
        person last asked to keep the host awake, None if nobody did.
        """
        state, uptime_s = self._state, seen.uptime_s
        # The first round counts from boot: that time costs as much as any other.
        seconds, state.counted_s = max(uptime_s - state.counted_s, 0.0), uptime_s
        month = time.strftime("%Y-%m", time.gmtime(now))
        spent_usd = self._ledger.add(seconds, month) * self._usd_per_s
        state.failed = seen.failed
        state.idle_since_s = contract.idle_since(
            state.idle_since_s,
            uptime_s=uptime_s,
            training=training(self._experiments, now),
            awake_s=None if awake_at is None else now - awake_at,
        )
        self._record()
        return decide(replace(seen, idle_since_s=state.idle_since_s, spent_usd=spent_usd), self._rules)

    def _record(self) -> None:
        """Record the state, and log alarms that came or went."""
        before, self._state.alarms = self._state.alarms, [self._ledger.alarm] if self._ledger.alarm else []
        try:
            self._state.write(self._path)
        except OSError as error:
            self._state.alarms.append(f"the state of the watch cannot be recorded: {error}")
        for alarm in self._state.alarms:
            if alarm not in before:
                log.say("watch", f"alarm: {alarm}")
        for alarm in before:
            if alarm not in self._state.alarms:
                log.say("watch", f"resolved: {alarm}")


def uptime() -> float:
    """Return the seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def spot_notice() -> bool:
    """Whether AWS has announced that it takes this spot instance back."""
    return metadata("spot/instance-action") is not None


def unhealthy() -> bool:
    """Whether the trainer's container is running and fails its health check."""
    status = "{{if .State.Health}}{{.State.Health.Status}}{{end}}"
    command = ["docker", "inspect", "--format", status, contract.TRAINER]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # the set-up failed before there was an engine
        return False
    return answer.returncode == 0 and answer.stdout.strip() == "unhealthy"


def awake_at() -> float | None:
    """Return the Unix time at which a person last asked to keep the host awake."""
    try:
        return contract.KEEP_AWAKE.stat().st_mtime
    except OSError:
        return None


def act(decision: StopDecision, aws: Aws, queue: HostQueue) -> bool:
    """Carry a decision out, and return whether this host ends; the next round tries again what failed."""
    if decision.action is HostAction.NOTHING:
        return False
    log.say("watch", f"{decision.action.value}: {decision.reason}")
    if decision.action is HostAction.WARN:
        subprocess.run(["wall", f"{decision.reason}; touch {contract.KEEP_AWAKE} keeps it up"], check=False)
    for command in COMMANDS.get(decision.action, []):
        subprocess.run(command, check=False)
    if decision.action is not HostAction.STOP_HOST or (decision.takes_jobs and not closed(queue)):
        return False
    try:
        end_host(aws, replace=False)
    except OSError as error:
        log.say("watch", f"this host cannot be ended: {error}")
        return False
    return True


def closed(queue: HostQueue) -> bool:
    """Close the queue; a bucket out of reach does not keep an idle host."""
    try:
        if queue.close(instance_id()):
            return True
    except OSError as error:
        log.say("watch", f"the queue cannot be closed: {error}")
        return True
    log.say("watch", "the queue has changed: this host stays for it")
    return False


def turn(queue: HostQueue) -> str:
    """Have the next job take its turn, and return what was in its way."""
    try:
        queue.turn()
    except OSError as error:
        return f"the queue is not worked off: {error}"
    return ""


def main() -> int:
    """Watch until the host stops."""
    settings = json.loads(contract.HOST_SETTINGS.read_text())
    spot, aws = settings["host.spot"], Aws.of_machine()
    watch = Watch(settings, aws, uptime_s=uptime())
    runs, ending, problem = settings["storage.runs"], False, ""
    queue = HostQueue(aws, Path(settings["container.data"]) / runs, lambda run: store_log(aws, runs, run))
    while True:
        notice = spot and spot_notice()
        seen = HostState(uptime_s=uptime(), unhealthy=unhealthy(), notice=notice, failed=queue.failed())
        decision = watch.decide(seen, now=time.time(), awake_at=awake_at())
        ending = act(decision, aws, queue) or ending
        wait_until = uptime() + ROUND_S
        while uptime() < wait_until and not (spot and not notice and spot_notice()):
            if decision.takes_jobs and not ending:
                before, problem = problem, turn(queue)
                if problem not in ("", before):
                    log.say("watch", problem)
            time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main())
