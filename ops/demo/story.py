"""The story: deploy, queue runs, lose the host between two checkpoints, be replaced unattended, fetch the results.

Each step is the command that a user would type, run in a process of its own. Firing an alarm, and waiting for the
training by its heartbeat, are done here. The stage, simulated AWS or a real account, loses a host.
"""

import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union

from infra.bucket import OperatorBucket
from infra.machine.contract import QUEUE
from infra.machine.jobs import Queue
from infra.names import HOST_GROUP, STORAGE, TRAINING
from ops.demo.settings import RUN, TRAIN_OPTIONS
from ops.demo.terminal import Terminal
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat
from redox_balancer.runs.signals import stop_signals

if TYPE_CHECKING:
    from ops.demo.account import AccountStage
    from ops.demo.stand_in import StandInStage

Stage = Union["StandInStage", "AccountStage"]  # once entered, it is left whatever happens, and nothing runs any more

EPISODES = 100  # of each mean in the report
RESUMING = re.compile(r"resuming \S+ at step ([\d,]+)")
SAVED = re.compile(r"newest checkpoint of run \S+ step ([\d,]+)")
SECOND = "second"  # a run that waits behind the first one
STEPS = 2_000  # of a run that shall finish
MIDDLE = 0.4  # of a save interval: when the host is lost; a heartbeat may be seconds old by then
FIRED = "MemoryHigh"  # the alarm that is fired: it only sends mail
Found = TypeVar("Found")


def tell(stage: Stage, folder: Path, show: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """Tell the story on a stage, and return its results, and a line of them; signals end it as Ctrl-C does."""
    for number in stop_signals():
        signal.signal(number, signal.default_int_handler)
    with stage:
        results = Story(stage, folder, show).tell()
    lost, replaced = results["killed"], results["replaced"]
    return results, (
        f"\nlost at step {lost['step']:,}, replaced and resumed at step {replaced['step']:,}, fetched step "
        f"{results['pulled'][RUN]:,}: {replaced['lost_steps']:,} steps lost, "
        f"{lost['since_checkpoint_s']:.1f} s of at most {results['save_interval_s']} s; "
        f"{results['seconds']:.0f} s in total"
    )


class Story:
    """One telling on a stage, which is entered, with all its files in a folder; `show` prints a line."""

    def __init__(self, stage: Stage, folder: Path, show: Callable[[str], None]) -> None:
        self.stage, self.folder, self.show = stage, folder, show
        self.terminal = Terminal(folder, show, stage.environment)
        self._interval_s = stage.settings.training.save_interval_s

    def tell(self) -> dict[str, Any]:
        """Go through all steps, and return their results."""
        started = time.monotonic()
        self.show("\n1. Deploy: two stacks, with the CDK; an alarm may send mail")
        self.stage.deploy(self.terminal)
        alarm = self._alarm()
        host = self._train()
        lost = self._lose(host)
        replaced = self._replaced(lost)
        finished = self._work_off(replaced["host"])
        self._idle(replaced["host"])
        pulled = {run: self._fetch(run) for run in finished}
        local = self.folder / "experiments" / RUN
        redox = Path(sys.executable).with_name("redox")
        self.terminal.run(redox, "report", local, "--episodes", EPISODES, "--no-designs")
        return {
            "alarm": alarm,
            "save_interval_s": self._interval_s,
            "killed": lost,
            "replaced": replaced,
            "finished": finished,
            "pulled": pulled,
            "steps": [asdict(step) for step in self.terminal.steps],
            "seconds": time.monotonic() - started,
            **self.stage.results(),
        }

    def _alarm(self) -> str:
        """Fire an alarm, and return what its history says of its action."""
        cloudwatch = self.stage.client("cloudwatch")
        alarms = cloudwatch.describe_alarms(AlarmNamePrefix=f"{TRAINING}-")["MetricAlarms"]
        (name,) = (each["AlarmName"] for each in alarms if FIRED in each["AlarmName"])
        cloudwatch.set_alarm_state(
            AlarmName=name, StateValue="ALARM", StateReason="fired to see whether mail is sent"
        )
        asked = {"AlarmName": name, "HistoryItemType": "Action"}
        items = self._until(
            lambda: cloudwatch.describe_alarm_history(**asked)["AlarmHistoryItems"], f"action of {name}"
        )
        said = str(items[0]["HistorySummary"])
        self.show(f"  {name}: {said}")
        if not said.startswith("Successfully"):
            raise RedoxError(f"the alarm {name} does not reach its topic: {said}", hint="see the topic's policy")
        return said

    def _train(self) -> str:
        self.show("\n2. Queue two runs: the image is in the repository, the group launches a host; monitor it")
        self._image = self.stage.image(self.terminal)
        self._queue_run(RUN)
        self._queue_run(SECOND, "--timesteps", STEPS)
        host = self._until(self._member, "host")
        self._beat(host, lambda beat: (beat.pushed_step or 0) > 0, "checkpoint in the bucket")
        self.terminal.python("ops", "queue")
        self.terminal.python("ops", "logs", "--of", "host", "--lines", 20)
        self.terminal.python("ops", "status", "--run", RUN)
        self.terminal.python("ops", "snapshot")
        return host

    def _queue_run(self, run: str, *options: object) -> None:
        words = ("--run", run, *options, *self._image, "--detach", "--", *TRAIN_OPTIONS)
        self.terminal.python("ops", "train-remote", *words)

    def _lose(self, host: str) -> dict[str, Any]:
        self.show(f"\n3. Lose {host} between two checkpoints")
        zone, known = self._zone(host), self._beat(host, lambda _: True, "heartbeat").checkpoint_step or 0
        last = self._beat(host, lambda beat: self._between_checkpoints(beat, known), "middle of a save interval")
        now = time.time()
        how, age = self.stage.lose(host), now - (last.checkpoint_at or 0.0)
        self.show(f"{how}: at step {last.step:,}, {age:.1f} s after the checkpoint of step {last.checkpoint_step:,}")
        return {
            "host": host,
            "zone": zone,
            "at": now,
            "step": last.step,
            "checkpoint_step": last.checkpoint_step,
            "since_checkpoint_s": age,
        }

    def _replaced(self, lost: dict[str, Any]) -> dict[str, Any]:
        self.show("\n4. Nobody does anything: the group replaces the host, which goes on with the run")
        before, goal = lost["host"], lost["step"]
        host = self._until(lambda: (found := self._member()) != before and found, "host that replaces it")
        self._beat(host, lambda beat: beat.status == "training", "training on the new host")
        back_s, zone = time.time() - lost["at"], self._zone(host)
        resumed = int(RESUMING.findall(self.terminal.python("ops", "logs", "--lines", 20))[-1].replace(",", ""))
        self._beat(host, lambda beat: (beat.pushed_step or 0) > goal, f"checkpoint beyond step {goal:,}")
        self.terminal.python("ops", "status", "--run", RUN)
        self.show(f"{before} in {lost['zone']} was replaced by {host} in {zone}, training after {back_s:.0f} s")
        return {"host": host, "zone": zone, "step": resumed, "lost_steps": max(goal - resumed, 0), "back_s": back_s}

    def _work_off(self, host: str) -> dict[str, int]:
        """Have the first run finish soon, behind the second one, and return the steps at which they do."""
        self.show("\n5. Queue the first run again, to an end that is near: the host works off what waits")
        said = self.terminal.python("ops", "stop", "--keep-host", "--instance", host)
        end = int(SAVED.findall(said.replace(":", ""))[-1].replace(",", "")) + STEPS
        self._queue_run(RUN, "--timesteps", end)
        stack = self.stage.client("cloudformation").describe_stacks(StackName=STORAGE)["Stacks"][0]
        (name,) = (each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "BucketName")
        bucket = OperatorBucket(self.stage.client("s3"), name)

        def left() -> list[str]:
            now = Queue.of(bucket.get(QUEUE))
            return [job.run for job in (now.active, *now.waiting) if job]

        self._until(lambda: SECOND not in left(), "end of the second run")
        self._until(lambda: RUN not in left(), "end of the first run")
        if failed := Queue.of(bucket.get(QUEUE)).failed:
            raise RedoxError(f"run {failed[0].run} failed: {failed[0].outcome}", hint=f"see {self.terminal.log}")
        self.terminal.python("ops", "queue")
        return {RUN: end, SECOND: STEPS}

    def _idle(self, host: str) -> None:
        minutes = self.stage.settings.host.idle_minutes
        self.show(f"\n6. After {minutes} idle minutes the host ends itself: the group is at 0")
        self.stage.idle(host)
        self._until(lambda: self._group()["DesiredCapacity"] == 0 and not self._member(), "group at 0")
        self.terminal.python("ops", "health", "--run", RUN, expected=1)
        self.terminal.python("ops", "cost", "--run", RUN)

    def _fetch(self, run: str) -> int:
        """Fetch the newest checkpoint of a run, and return its step."""
        self.show(f"\n7. Fetch the result of run {run}")
        local = self.folder / "experiments" / run
        self.terminal.python("ops", "checkpoints", "--run", run)
        self.terminal.python("ops", "pull-checkpoints", "--run", run, "--to", local)
        return max(int(path.name.removeprefix("step_")) for path in local.glob("step_*"))

    def _group(self) -> dict[str, Any]:
        asked = {"AutoScalingGroupNames": [HOST_GROUP]}
        found = self.stage.client("autoscaling").describe_auto_scaling_groups(**asked)["AutoScalingGroups"]
        return dict(found[0])

    def _member(self) -> str | None:
        """Return the instance of the host's group; None if it has none."""
        members = [each["InstanceId"] for each in self._group()["Instances"]]
        return str(members[0]) if members else None

    def _zone(self, host: str) -> str:
        found = self.stage.client("ec2").describe_instances(InstanceIds=[host])["Reservations"][0]["Instances"][0]
        return str(found["Placement"]["AvailabilityZone"])

    def _between_checkpoints(self, beat: Heartbeat, known: int) -> bool:
        """Whether a training is between two checkpoints, and has written one after that of step `known`."""
        return (
            beat.checkpoint_at is not None
            and (beat.checkpoint_step or 0) > known
            and beat.step > (beat.checkpoint_step or 0)
            and time.time() - beat.checkpoint_at >= MIDDLE * self._interval_s
        )

    def _beat(self, host: str, condition: Callable[[Heartbeat], bool], what: str) -> Heartbeat:
        """Return the heartbeat of the run once it meets a condition."""

        def met() -> Heartbeat | None:
            beat = self.stage.heartbeat(host)
            return beat if beat and condition(beat) else None

        return self._until(met, what)

    def _until(self, find: Callable[[], Found | Literal[False] | None], what: str) -> Found:
        """Return what is found, once it is; a RedoxError if it takes too long."""
        self.show(f"... waiting for the {what}")
        deadline = time.monotonic() + self.stage.timeout_s
        while not (found := find()):
            if time.monotonic() > deadline:
                raise RedoxError(
                    f"waited {self.stage.timeout_s:.0f} s for the {what}", hint=f"see {self.terminal.log}"
                )
            time.sleep(self.stage.poll_s)
        return found
