"""The host's auto-scaling group while it runs: how many hosts it is to have, which it has, and why it has none."""

import time
from collections.abc import Callable
from typing import Any

from infra.bucket import OperatorBucket
from infra.deployed import Deployed, describe_instance
from infra.machine import contract, jobs
from infra.machine.jobs import Queue
from infra.names import HOST_GROUP
from infra.settings import Settings
from redox_balancer.errors import RedoxError

POLL_S = 5
MARGIN_S = 600  # for the shutdown, beyond the time that a training may take to save
FAILED = ("Failed", "Cancelled")


def close_queue(client: Callable[[str], Any], bucket: str, closed: str = jobs.STOPPED, **more: Any) -> None:
    """Have a host start no further job, and set more of the queue; an empty `closed` opens it again."""
    jobs.change(OperatorBucket(client("s3"), bucket), lambda queue: queue.__dict__.update(more, closed=closed))


def start(client: Callable[[str], Any], bucket: str) -> None:
    """Have the group launch a host, which works off the queue, and count failures of its bring-up from 0."""
    client("s3").put_object(Bucket=bucket, Key=contract.OUTCOME, Body=b'{"instance": "", "failures": 0}')
    close_queue(client, bucket, "")
    _set_hosts(client, 1)


def stop(client: Callable[[str], Any], bucket: str) -> None:
    """Have the group end its host; its run is over, and the jobs behind it wait until a person starts a host."""
    close_queue(client, bucket, active=None)
    _set_hosts(client, 0)


def forget(client: Callable[[str], Any], bucket: str, seen: Queue) -> None:
    """Have no further host go on with the run that was active in a queue, unless another one is by now."""

    def edit(queue: Queue) -> None:
        queue.active = None if queue.active == seen.active else queue.active

    jobs.change(OperatorBucket(client("s3"), bucket), edit)


def _set_hosts(client: Callable[[str], Any], hosts: int) -> None:
    group = client("autoscaling")
    group.set_desired_capacity(AutoScalingGroupName=HOST_GROUP, DesiredCapacity=hosts, HonorCooldown=False)


def end(settings: Settings, client: Callable[[str], Any], deployed: Deployed) -> None:
    """Set the group to 0 and return once the host has saved and ended; a RedoxError if it does not."""
    stop(client, deployed.bucket)
    host = deployed.instance_id
    deadline = time.monotonic() + settings.limits.stop_timeout_s + MARGIN_S
    while host and describe_instance(client("ec2"), host).get("State", {}).get("Name", "terminated") != "terminated":
        if time.monotonic() > deadline:
            raise RedoxError(
                f"{host} has not ended",
                hint=f"aws ec2 describe-instance-status --instance-ids {host} --include-all-instances "
                f"--region {settings.aws.region} shows its state; then the same command again",
            )
        time.sleep(POLL_S)


def last_failure(autoscaling: Any) -> str:
    """Return why the group's last attempt to launch a host failed; empty if it did not fail."""
    found = autoscaling.describe_scaling_activities(AutoScalingGroupName=HOST_GROUP, MaxRecords=1)["Activities"]
    if found and found[0]["StatusCode"] in FAILED:
        return str(found[0].get("StatusMessage", found[0]["StatusCode"]))
    return ""
