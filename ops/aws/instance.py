"""The EC2 instance of the training host: its state, whether Systems Manager reaches it, and starting it."""

import json
import time
from dataclasses import dataclass
from typing import Any

from infra import group
from infra.deployed import describe_instance
from infra.machine import contract, jobs
from infra.quota import hint as _refusal
from ops.session import Session
from redox_balancer.errors import RedoxError

SET_UP_TIMEOUT_S = 1_800.0
POLL_S = 2.0


@dataclass(frozen=True)
class Instance:
    """An instance: its id, its state as EC2 names it, and the Unix time of its last start."""

    instance_id: str
    state: str
    started_at: float

    @property
    def uptime_s(self) -> float | None:
        """Seconds since the last start; None if the instance is not running."""
        return time.time() - self.started_at if self.state == "running" else None


def describe(session: Session) -> Instance:
    """Return the instance of the host; a RedoxError if there is none."""
    host = session.instance_id
    found = describe_instance(session.client("ec2"), host)
    if not found:
        raise RedoxError(f"{host} has ended", hint="its group replaces it: try again in a minute")
    return Instance(host, found["State"]["Name"], found["LaunchTime"].timestamp())


def is_online(session: Session) -> bool:
    """Whether Systems Manager reaches the host; a session to a host that is not online hangs."""
    filters: list[dict[str, Any]] = [{"Key": "InstanceIds", "Values": [session.instance_id]}]
    found = session.client("ssm").describe_instance_information(Filters=filters)["InstanceInformationList"]
    return any(each["PingStatus"] == "Online" for each in found)


def require_online(session: Session) -> Instance:
    """Return the instance of the host; a RedoxError if it is not running or not reachable."""
    instance = describe(session)
    host = instance.instance_id
    if instance.state != "running":
        raise RedoxError(f"{host} is {instance.state}", hint="python -m ops train-remote starts it, and a run on it")
    if not is_online(session):
        raise RedoxError(
            f"{host} is running, but Systems Manager does not reach it",
            hint="normal in the first minutes after its start: try again; later its agent has died: "
            f"aws ec2 reboot-instances --instance-ids {host}",
        )
    return instance


def wait_until_set_up(session: Session) -> None:
    """Wait until the group has a host that is set up and can be reached, whichever; a RedoxError if it gets none.

    A host whose bring-up fails is replaced, so the id may change meanwhile.
    """
    deadline = time.monotonic() + SET_UP_TIMEOUT_S
    autoscaling, told = session.client("autoscaling"), ""
    while time.monotonic() < deadline:
        session.forget_deployed()
        deployed = session.deployed
        found = session.bucket.get(contract.OUTCOME)
        outcome: dict[str, Any] = json.loads(found.content) if found else {}  # of the last bring-up
        done = deployed.instance_id and outcome.get("instance") == deployed.instance_id and not outcome["failures"]
        if done and is_online(session):
            return
        failure = "" if deployed.instance_id else group.last_failure(autoscaling)
        if not deployed.instance_id and outcome.get("failures") and not deployed.wanted:
            last = " | ".join(outcome["log"].strip().splitlines()[-3:])
            raise RedoxError(
                f"no host could be set up, the last one failed in step {outcome['step']}: {last}",
                hint=f"the log is s3://{deployed.bucket}/{contract.STATE}/failed/{outcome['instance']}.log",
            )
        if failure and failure != told:
            session.note(f"no host yet: {failure}")
            told = failure
        time.sleep(POLL_S)
    hint = _refusal(session.settings, told) if told else ""
    raise RedoxError(
        f"there is no host after {SET_UP_TIMEOUT_S / 60:.0f} minutes: {told or 'its set-up has not ended'}",
        hint=hint or "the group keeps trying: the same command again waits for it, make stop ends that",
    )


def ensure(session: Session) -> None:
    """Have the group launch a host unless it has one that takes jobs; one that ends is waited for."""
    deadline, told = time.monotonic() + SET_UP_TIMEOUT_S, False
    while time.monotonic() < deadline:
        session.forget_deployed()
        deployed = session.deployed
        if not deployed.wanted:
            group.start(session.client, deployed.bucket)
            return
        if session.queue().closed not in (jobs.STOPPED, deployed.instance_id):
            return
        if not told:
            session.note(f"waiting until {deployed.instance_id} has ended")
            told = True
        time.sleep(POLL_S)
    raise RedoxError("the host is set to end, and does not", hint="make stop ends it; the job waits in the queue")
