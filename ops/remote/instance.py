"""The instance of the host, as AWS sees it: its state, whether it can be reached, and starting it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from ops.session import Session

ONLINE_TIMEOUT_S = 600.0
LOOK_S = 2.0


@dataclass(frozen=True)
class Instance:
    """An instance: its id, its state in AWS's words, and the Unix time of its last start."""

    instance_id: str
    state: str
    started_at: float

    @property
    def uptime_s(self) -> float | None:
        """Seconds since its last start, None while it does not run."""
        return time.time() - self.started_at if self.state == "running" else None


def look(session: Session) -> Instance:
    """Ask for the host's instance; an error where it is gone."""
    found = session.client("ec2").describe_instances(InstanceIds=[session.host])["Reservations"]
    if not found or found[0]["Instances"][0]["State"]["Name"] in ("terminated", "shutting-down"):
        raise RedoxError(f"{session.host} is gone", hint="make restore brings the host back")
    (instance,) = found[0]["Instances"]
    return Instance(session.host, instance["State"]["Name"], instance["LaunchTime"].timestamp())


def online(session: Session) -> bool:
    """Whether Systems Manager can reach the host: a session to one that is not online only hangs."""
    wanted: list[dict[str, Any]] = [{"Key": "InstanceIds", "Values": [session.host]}]
    found = session.client("ssm").describe_instance_information(Filters=wanted)["InstanceInformationList"]
    return any(each["PingStatus"] == "Online" for each in found)


def require_online(session: Session) -> Instance:
    """Return the host's instance; an error where it does not run or cannot be reached."""
    instance = look(session)
    if instance.state != "running":
        raise RedoxError(
            f"{session.host} is {instance.state}", hint="python -m ops train-remote starts it, and a run on it"
        )
    if not online(session):
        raise RedoxError(
            f"{session.host} runs, but Systems Manager does not reach it",
            hint="within minutes of its start that is normal: try again; later its agent is dead: "
            f"aws ec2 reboot-instances --instance-ids {session.host}",
        )
    return instance


def start(session: Session, instance: Instance) -> None:
    """Start a stopped host and wait until it can be reached."""
    ec2 = session.client("ec2")
    if instance.state == "stopping":
        session.say(f"waiting until {session.host} has stopped")
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[session.host])
    if instance.state != "pending":
        ec2.start_instances(InstanceIds=[session.host])
    session.say(f"waiting until {session.host} can be reached")
    deadline = time.monotonic() + ONLINE_TIMEOUT_S
    while not (look(session).state == "running" and online(session)):
        if time.monotonic() > deadline:
            raise RedoxError(
                f"{session.host} was not online within {ONLINE_TIMEOUT_S:.0f} s of its start",
                hint=f"aws ec2 get-console-output --latest --instance-id {session.host} shows why",
            )
        time.sleep(LOOK_S)
