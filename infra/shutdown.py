"""Ending a host before anything is detached from it: its shutdown saves a training and flushes the disks."""

from collections.abc import Callable
from typing import Any

from infra.deployed import describe_instance
from infra.settings import Settings
from redox_balancer.errors import RedoxError

POLL_S = 5
MARGIN_S = 300  # for the shutdown, beyond the time that a training may take to save
ENDED = ("", "stopped", "terminated")  # states in which nothing writes to a disk of the host any more


def shut_down(settings: Settings, ec2: Any, host: str, say: Callable[[str], Any]) -> None:
    """Stop a host, by force if it does not react, and return once it has stopped; a RedoxError if it does not.

    A spot instance is terminated instead: a one-time request cannot be stopped.
    """
    if describe_instance(ec2, host).get("State", {}).get("Name", "") in ENDED:
        return
    if settings.host.spot:
        ec2.terminate_instances(InstanceIds=[host])
        ended = _wait(settings, ec2, "instance_terminated", host)
    else:
        ec2.stop_instances(InstanceIds=[host])
        ended = _wait(settings, ec2, "instance_stopped", host)
        if not ended:
            say(f"{host} does not stop: forcing it")
            ec2.stop_instances(InstanceIds=[host], Force=True)
            ended = _wait(settings, ec2, "instance_stopped", host)
    if not ended:
        raise RedoxError(
            f"{host} has not stopped: nothing was detached from it",
            hint=f"aws ec2 describe-instance-status --instance-ids {host} --include-all-instances "
            f"--region {settings.aws.region} shows its state; then the same command again",
        )


def _wait(settings: Settings, ec2: Any, waiter: str, host: str) -> bool:
    """Wait for a state of the host; return False if the time runs out."""
    from botocore.exceptions import WaiterError  # noqa: PLC0415 - `python -m ops --help` does without

    attempts = (settings.limits.stop_timeout_s + MARGIN_S) // POLL_S
    try:
        ec2.get_waiter(waiter).wait(InstanceIds=[host], WaiterConfig={"Delay": POLL_S, "MaxAttempts": attempts})
    except WaiterError:
        return False
    return True
