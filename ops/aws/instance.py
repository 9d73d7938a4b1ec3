"""The EC2 instance of the training host: its state, whether Systems Manager reaches it, and starting it."""

import time
from dataclasses import dataclass
from typing import Any

from infra.deployed import describe_instance
from infra.refusals import require_there
from ops.session import Session
from redox_balancer.errors import RedoxError

ONLINE_TIMEOUT_S = 600.0
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
    """Return the instance of the host; a RedoxError if it was terminated."""
    host = session.instance_id
    found = require_there(describe_instance(session.client("ec2"), host), host)
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


def wait_until_online(session: Session) -> bool:
    """Wait until the host is running and Systems Manager reaches it; return False if the time runs out."""
    deadline = time.monotonic() + ONLINE_TIMEOUT_S
    while not (describe(session).state == "running" and is_online(session)):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def start(session: Session, instance: Instance) -> None:
    """Start a stopped host and wait until it can be reached."""
    ec2, host = session.client("ec2"), instance.instance_id
    if instance.state == "stopping":
        session.note(f"waiting until {host} has stopped")
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[host])
    if instance.state != "pending":
        ec2.start_instances(InstanceIds=[host])
    session.note(f"waiting until {host} can be reached")
    if not wait_until_online(session):
        raise RedoxError(
            f"{host} was not online within {ONLINE_TIMEOUT_S:.0f} s of its start",
            hint=f"aws ec2 get-console-output --latest --instance-id {host} shows why",
        )
