"""What is deployed: outputs of the two stacks, asked from CloudFormation."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.names import STORAGE, TRAINING
from infra.settings import ROOT, Settings
from redox_balancer.errors import RedoxError

CDK = ROOT / "node_modules" / ".bin" / "cdk"


@dataclass(frozen=True)
class Deployed:
    """Names that AWS gave.

    Attributes
    ----------
    bucket, volume_id, repository
        What outlives a host.
    instance_id
        The host; None where there is none.
    """

    bucket: str
    volume_id: str
    repository: str
    instance_id: str | None

    def host(self) -> str:
        """Return the host, or refuse where there is none."""
        if self.instance_id is None:
            raise RedoxError(f"there is no host: no stack {TRAINING}", hint="make deploy")
        return self.instance_id


def client(settings: Settings, service: str) -> Any:
    """Return a client of an AWS service in the region of the deployment."""
    return boto3.client(service, region_name=settings.aws.region)


def find(settings: Settings) -> Deployed | None:
    """Return what is deployed, None where nothing is.

    Raises
    ------
    RedoxError
        When AWS cannot be asked.
    """
    cloudformation = client(settings, "cloudformation")
    storage, training = _outputs(cloudformation, STORAGE), _outputs(cloudformation, TRAINING)
    if storage is None:
        return None
    return Deployed(
        bucket=storage["BucketName"],
        volume_id=storage["VolumeId"],
        repository=storage["RepositoryUri"],
        instance_id=(training or {}).get("InstanceId"),
    )


def _outputs(cloudformation: Any, stack: str) -> dict[str, str] | None:
    try:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":  # that is how it says that there is none
            return None
        raise _unreachable(error) from error
    except BotoCoreError as error:
        raise _unreachable(error) from error
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def _unreachable(error: Exception) -> RedoxError:
    return RedoxError(
        f"AWS does not answer: {error}", hint="aws sts get-caller-identity says whether your login works"
    )


def cdk(arguments: Sequence[str]) -> int:
    """Run the pinned command line of the CDK and return its exit code."""
    return subprocess.run([CDK, *arguments], cwd=ROOT, check=False).returncode  # noqa: S603 - our own arguments
