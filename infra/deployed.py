"""The deployed resources, from the two stacks in CloudFormation."""

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from infra.names import HOST_GROUP, STORAGE, TRAINING
from infra.settings import ROOT, Settings
from redox_balancer.errors import RedoxError

CDK = ROOT / "node_modules" / ".bin" / "cdk"
POLL_S = 2  # of commands on the host
# Lifecycle states of instances that leave their group.
ENDING = ("Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated")


@dataclass(frozen=True)
class Deployed:
    """Names of the deployed resources, of which bucket and repository outlive a host."""

    bucket: str
    repository: str
    instance_id: str | None = None  # the host, which its group may replace at any time
    wanted: int | None = None  # hosts that the group is to have; None if there is no group
    status: str = ""  # of the host's stack in CloudFormation, empty if there is none

    def host(self) -> str:
        """Return the host; an error if there is none."""
        if self.instance_id is not None:
            return self.instance_id
        if self.wanted is None:
            raise RedoxError(f"there is no host: no stack {TRAINING}", hint="make deploy")
        if self.wanted:
            hint = "its group is launching one: wait a minute; it tries all types and zones of deploy.toml"
            raise RedoxError("there is no host at the moment", hint=hint)
        raise RedoxError("there is no host: its group is at 0", hint="make train-remote starts one")


def client(settings: Settings, service: str, **options: Any) -> Any:
    """Return a client of an AWS service in the region of the deployment, with further options of boto3."""
    import boto3  # noqa: PLC0415 - takes a tenth of a second, and `python -m ops --help` does without

    return boto3.client(service, region_name=settings.aws.region, **options)


def describe_instance(ec2: Any, instance_id: str) -> dict[str, Any]:
    """Return an instance as EC2 describes it, empty if it ended long ago."""
    # A filter, because the id of an instance that ended an hour ago is an error in a query by id.
    found = ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance_id]}])["Reservations"]
    return dict(found[0]["Instances"][0]) if found else {}


def find(settings: Settings) -> Deployed | None:
    """Return the deployed resources, None if there are none; a RedoxError when AWS cannot be queried."""
    cloudformation = client(settings, "cloudformation")
    answer = _asked(cloudformation.describe_stacks, StackName=STORAGE)
    if answer is None:
        return None
    storage = {output["OutputKey"]: output["OutputValue"] for output in answer["Stacks"][0].get("Outputs", [])}
    if "BucketName" not in storage:  # being made, or could not be
        return None
    training = _asked(cloudformation.describe_stacks, StackName=TRAINING)
    deployed = Deployed(
        bucket=storage["BucketName"],
        repository=storage["RepositoryUri"],
        status=training["Stacks"][0]["StackStatus"] if training else "",
    )
    groups = client(settings, "autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[HOST_GROUP])
    for group in groups["AutoScalingGroups"]:
        members = [each["InstanceId"] for each in group["Instances"] if each["LifecycleState"] not in ENDING]
        return replace(deployed, wanted=group["DesiredCapacity"], instance_id=members[0] if members else None)
    return deployed


def failures(settings: Settings, since: datetime) -> list[str]:
    """Return why resources of the host's stack failed since a time, newest first."""
    answer = _asked(client(settings, "cloudformation").describe_stack_events, StackName=TRAINING)
    return [
        str(event.get("ResourceStatusReason", ""))
        for event in (answer or {}).get("StackEvents", ())
        if event["Timestamp"] >= since and event.get("ResourceStatus", "").endswith("_FAILED")
    ]


def _asked(call: Callable[..., Any], **what: str) -> Any:
    """Return CloudFormation's answer, None if there is no such stack."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    try:
        return call(**what)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":  # CloudFormation's answer for an unknown stack
            return None
        problem: Exception = error
    except BotoCoreError as error:
        problem = error
    raise RedoxError(
        f"AWS does not answer: {problem}", hint="aws sts get-caller-identity shows whether your credentials work"
    ) from problem


def run_on_host(ssm: Any, host: str, commands: Sequence[str], purpose: str, *, timeout_s: int) -> dict[str, Any]:
    """Have Systems Manager run commands on a host as root; return their invocation, ended or not within the time."""
    from botocore.exceptions import WaiterError  # noqa: PLC0415 - as above

    sent = ssm.send_command(
        InstanceIds=[host],
        DocumentName="AWS-RunShellScript",
        Comment=f"redox_balancer: {purpose}",
        Parameters={"commands": list(commands), "executionTimeout": [str(timeout_s)]},
    )["Command"]["CommandId"]
    invocation = {"CommandId": sent, "InstanceId": host}
    with suppress(WaiterError):  # which tells less than the answer
        config = {"Delay": POLL_S, "MaxAttempts": timeout_s // POLL_S}
        ssm.get_waiter("command_executed").wait(**invocation, WaiterConfig=config)
    answer: dict[str, Any] = ssm.get_command_invocation(**invocation)
    return answer


def cdk(arguments: Sequence[str]) -> int:
    """Run the pinned CDK command line and return its exit code."""
    return subprocess.run([str(CDK), *arguments], cwd=ROOT, check=False).returncode  # noqa: S603 - our own arguments
