"""Every finding of cdk-nag and of CloudFormation's own rules that stays, where it stays, with the reason."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import Construct

from infra.names import WORKERS_GROUP
from infra.settings import Settings

MANAGED = "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{}]"
WILDCARD = "AwsSolutions::AwsSolutions-IAM5[Resource::{}]"
BUCKET = "RedoxStorage:ExportsOutputFnGetAttCheckpointBucketArnBB4F3EE8"
DISKS = "AwsSolutions::AwsSolutions-EC26"
ZONE, IMAGE = "CloudFormation-Validate::W3010", "CloudFormation-Validate::W9010"

SYSTEMS_MANAGER = "AWS keeps the rights of its own agent up to date; the policy has none on data"
LIFECYCLE = "AWS's role for its own lifecycle manager, which nobody else can take"
ANY = "The action knows no resource; a condition or its harmlessness narrows it"
PINNED = "Pinned on purpose: the volume lives in one zone, and another image is another host"
REGISTRY = "ecr:GetAuthorizationToken knows no resource"


def reasons(settings: Settings) -> dict[str, dict[str, str]]:
    """Return the reason of every finding, by the path of its construct and the finding's id."""
    region, storage = settings.aws.region, settings.storage
    return {
        "RedoxStorage/Bucket": {
            "AwsSolutions::AwsSolutions-S1": "One role writes, the team reads; logs would be a second bucket to pay"
        },
        "RedoxStorage/Data": {ZONE: PINNED},
        "RedoxTraining/Network/Vpc": {
            "AwsSolutions::AwsSolutions-VPC7": "No rule lets anything in; a flow log would hold only refused probes"
        },
        "RedoxTraining/Network/Vpc/PublicSubnet1": {ZONE: PINNED},
        "RedoxTraining/Host/Instance": {
            ZONE: PINNED,
            IMAGE: PINNED,
            DISKS: "It breaks on a device that is left out; a test holds the encryption",
            "AwsSolutions::AwsSolutions-EC29": "With spot = true only: AWS knows no termination protection there",
        },
        "RedoxTraining/Host/Role": {
            MANAGED.format("AmazonSSMManagedInstanceCore"): SYSTEMS_MANAGER,
            WILDCARD.format(f"{BUCKET}/{storage.runs}/*"): "The objects of all runs: list, get and put, no delete",
            WILDCARD.format(f"{BUCKET}/{storage.locks}/*"): "The locks of all runs: list, get and put, no delete",
            WILDCARD.format("*"): ANY,
            WILDCARD.format(
                f"arn:aws:autoscaling:{region}:<AWS::AccountId>:autoScalingGroup:*:autoScalingGroupName/{WORKERS_GROUP}"
            ): "The one group of workers; the part before its name is given by AWS when it is made",
        },
        "RedoxTraining/Backup/ImagesRole": {
            MANAGED.format("service-role/AWSDataLifecycleManagerServiceRoleForAMIManagement"): LIFECYCLE
        },
        "RedoxTraining/Backup/SnapshotsRole": {
            MANAGED.format("service-role/AWSDataLifecycleManagerServiceRole"): LIFECYCLE
        },
        "RedoxTraining/Workers/Group": {
            DISKS: "With spot = true only: it breaks on the host's template, which has no disks; a test holds them"
        },
        "RedoxTraining/Workers/Role": {
            MANAGED.format("AmazonSSMManagedInstanceCore"): SYSTEMS_MANAGER,
            WILDCARD.format("*"): REGISTRY,
        },
        "RedoxTraining/Guard/BudgetRole": {
            WILDCARD.format("*"): ANY,
            WILDCARD.format(f"arn:aws:ssm:{region}:*:automation-definition/AWS-StopEC2Instance:*"): (
                "AWS's own document in any version; it stops what ec2:StopInstances of the same role allows"
            ),
        },
    }


def acknowledge(app: Construct, settings: Settings) -> None:
    """Accept the findings that have a reason, each at its construct; any other ends the synthesis."""
    for path, at_path in reasons(settings).items():
        found = _find(app, path)
        if found is not None:  # workers are not always there
            accepted = (Acknowledgment(id=finding, reason=reason) for finding, reason in at_path.items())
            Validations.of(found).acknowledge(*accepted)


def _find(scope: Construct, path: str) -> Construct | None:
    found: Construct | None = scope
    for name in path.split("/"):
        found = found.node.try_find_child(name) if found is not None else None  # type: ignore[assignment]
    return found
