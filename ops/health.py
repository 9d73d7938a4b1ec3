"""Health of the host and its run: the state of both, what is wrong with them, and when an idle host stops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.machine import contract
from infra.settings import Settings
from ops.aws import instance
from ops.aws.instance import Instance
from ops.remote import training
from ops.remote.host import RemoteHost
from ops.remote.training import TrainingState
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat
from redox_balancer.terminal.tables import age_text

MISSED_SAVES = 3  # save intervals without a checkpoint
ALARM_S = 3_600.0  # for which an alarm of the watchdog counts
FULL_DISK = 0.9  # share of its bytes


@dataclass(frozen=True)
class HealthReport:
    """State of host and run."""

    run: str
    instance: Instance
    state: TrainingState | None  # None if the host cannot be reached
    unreachable: str = ""  # why
    set_aside: Sequence[str] = ()  # jobs that failed, a line each

    def problems(self, settings: Settings) -> list[str]:
        """Return what is wrong, one line each; empty if all is well."""
        if self.instance.state != "running":
            return [f"{self.instance.instance_id} is {self.instance.state}", *self.set_aside]
        if self.state is None:
            return [self.unreachable, *self.set_aside]
        return [*_problems_of_run(self.state, settings), *_problems_of_host(self.state), *self.set_aside]


def check(host: RemoteHost, run: str) -> HealthReport:
    """Query AWS and inspect the host."""
    deployed, set_aside = host.session.deployed, list(_set_aside(host.session))
    if deployed.instance_id is None:
        there = Instance("the host", "launched at the moment" if deployed.wanted else "ended", 0.0)
        return HealthReport(run, there, None, set_aside=set_aside)
    found = instance.describe(host.session)
    if found.state != "running":
        return HealthReport(run, found, None, set_aside=set_aside)
    try:
        return HealthReport(run, found, training.inspect(host, run), set_aside=set_aside)
    except RedoxError as error:
        host.close()  # the next check connects again
        return HealthReport(run, found, None, error.message, set_aside)


def _set_aside(session: Session) -> Iterator[str]:
    try:
        for job in session.queue().failed:
            yield f"run {job.run} is set aside: {session.reason(job)}"
    except RedoxError as error:
        yield error.message


def idle_stop_at(state: TrainingState, idle_minutes: float) -> float | None:
    """Return the Unix time from which the watch stops an idle host; None if it trains or never stops.

    The rule and the recorded start of the idle time are those of the watch (`infra.machine`), which checks once a
    minute.
    """
    if not idle_minutes:
        return None
    watch = state.watch or contract.WatchState()
    since_s = contract.idle_since(
        watch.idle_since_s,
        uptime_s=state.uptime_s,
        training=any(beat.at_work(state.now) for beat in state.beats.values()),
        awake_s=None if state.awake_at is None else state.now - state.awake_at,
    )
    limit_s = contract.idle_limit_s(60.0 * idle_minutes, failed=watch.failed)
    return None if since_s is None else state.now - state.uptime_s + since_s + limit_s


def _problems_of_run(state: TrainingState, settings: Settings) -> Iterator[str]:
    beat = state.beat
    if beat is None:
        yield f"run {state.run} is starting" if state.unit_active else f"run {state.run} never trained on this host"
        return
    if beat.status == "failed":
        yield f"the training failed: {beat.message}"
        return
    if beat.status not in contract.ENDED:
        yield from _problems_of_training(state, beat, settings)
    if beat.failed_pushes and (beat.pushed_step or -1) < (beat.checkpoint_step or -1):
        yield f"step {beat.checkpoint_step:,} is not in the bucket"


def _problems_of_training(state: TrainingState, beat: Heartbeat, settings: Settings) -> Iterator[str]:
    if not state.unit_active:
        yield f"the unit of the training is {state.unit_text}"
    age, update, saved = map(state.age_s, (beat.written_at, beat.updated_at, beat.checkpoint_at))
    if age is not None and not beat.at_work(state.now):
        yield f"the last heartbeat is {age_text(age)} old"
    if update is not None and update > contract.UPDATE_S:
        yield f"the last policy update is {age_text(update)} old"
    if saved is not None and saved > MISSED_SAVES * settings.training.save_interval_s:
        yield f"the newest checkpoint is {age_text(saved)} old"
    if beat.failed_saves:
        yield f"{beat.failed_saves} checkpoints could not be written"
    alarm = state.age_s(beat.alarm_at)
    if alarm is not None and alarm <= ALARM_S:
        yield beat.alarm


def _problems_of_host(state: TrainingState) -> Iterator[str]:
    yield from state.watch.alarms if state.watch else ()
    for path, disk in state.disks.items():
        if disk["all"] and disk["free"] < (1 - FULL_DISK) * disk["all"]:
            yield f"{path} is {1 - disk['free'] / disk['all']:.0%} full"
