"""The synthesised stacks, made and deleted on simulated AWS without the command line of the CDK."""

import json
from collections.abc import Sequence
from typing import Any

from infra.names import STORAGE, TRAINING
from ops.simulator.aws import StandIn
from templates import Templates

BOOTSTRAPPED = "/cdk-bootstrap/hnb659fds/version"  # parameter that every template of the CDK reads


def create(aws: StandIn, found: Templates, names: Sequence[str] = (STORAGE, TRAINING), *, prefix: str = "") -> None:
    """Create stacks from their templates."""
    aws.client("ssm").put_parameter(Name=BOOTSTRAPPED, Value="30", Type="String", Overwrite=True)
    templates = {STORAGE: found.storage, TRAINING: found.training}
    for name in names:
        body = json.dumps(templates[name])
        aws.client("cloudformation").create_stack(
            StackName=prefix + name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"]
        )


def physical(aws: StandIn, stack: str, kind: str) -> str:
    """Return the name in AWS of the only resource of a type in a stack."""
    found: list[dict[str, Any]] = aws.client("cloudformation").describe_stack_resources(StackName=stack)[
        "StackResources"
    ]
    (name,) = [each["PhysicalResourceId"] for each in found if each.get("ResourceType") == kind]
    return str(name)
