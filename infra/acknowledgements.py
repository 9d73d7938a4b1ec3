"""Accepted findings of cdk-nag and of CloudFormation's own rules, by construct, each with its reason."""

from aws_cdk import Acknowledgment, Validations
from constructs import Construct

from infra.guard import AUTOMATION
from infra.names import STORAGE, TRAINING, WORKERS_GROUP
from infra.settings import Settings

MANAGED = "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{}]"
WILDCARD = "AwsSolutions::AwsSolutions-IAM5[Resource::{}]"
BUCKET = f"{STORAGE}:ExportsOutputFnGetAttCheckpointBucketArnBB4F3EE8"
DISKS = "AwsSolutions::AwsSolutions-EC26"
ZONE, IMAGE = "CloudFormation-Validate::W3010", "CloudFormation-Validate::W9010"

SYSTEMS_MANAGER = "AWS maintains the permissions of its own agent; the policy grants no access to data"
LIFECYCLE = "AWS's role for Data Lifecycle Manager, which no other service can assume"
ANY = "The action supports no resource; a condition narrows it, or it is harmless"
PINNED = "Pinned on purpose: the volume is in one zone, and another image replaces the host"
REGISTRY = "ecr:GetAuthorizationToken supports no resource"


def reasons(settings: Settings) -> dict[str, dict[str, str]]:
    """Return the reason of every accepted finding, by the path of its construct and its id."""
    region, storage = settings.aws.region, settings.storage
    workers = {
        WILDCARD.format(
            f"arn:aws:autoscaling:{region}:<AWS::AccountId>:autoScalingGroup:*:autoScalingGroupName/{WORKERS_GROUP}"
        ): "The one group of workers; AWS assigns the part before its name"
    }
    return {
        f"{STORAGE}/Bucket": {
            "AwsSolutions::AwsSolutions-S1": "One role writes, the team reads; access logs need a second bucket"
        },
        f"{STORAGE}/Data": {ZONE: PINNED},
        f"{TRAINING}/Network/Vpc": {
            "AwsSolutions::AwsSolutions-VPC7": "There is no inbound rule; a flow log would hold only refused probes"
        },
        f"{TRAINING}/Network/Vpc/PublicSubnet1": {ZONE: PINNED},
        f"{TRAINING}/Host/Instance": {
            ZONE: PINNED,
            IMAGE: PINNED,
            DISKS: "The rule fails on a suppressed device; a test checks the encryption",
            "AwsSolutions::AwsSolutions-EC29": "With spot = true only: spot instances have no termination protection",
        },
        f"{TRAINING}/Host/Role": {
            MANAGED.format("AmazonSSMManagedInstanceCore"): SYSTEMS_MANAGER,
            WILDCARD.format(f"{BUCKET}/{storage.runs}/*"): "The objects of all runs: list, get and put, no delete",
            WILDCARD.format(f"{BUCKET}/{storage.locks}/*"): "The locks of all runs: list, get and put, no delete",
            WILDCARD.format("*"): ANY,
            **workers,
        },
        f"{TRAINING}/Backup/ImagesRole": {
            MANAGED.format("service-role/AWSDataLifecycleManagerServiceRoleForAMIManagement"): LIFECYCLE
        },
        f"{TRAINING}/Backup/SnapshotsRole": {
            MANAGED.format("service-role/AWSDataLifecycleManagerServiceRole"): LIFECYCLE
        },
        f"{TRAINING}/Workers/Group": {
            DISKS: "With spot = true only: it fails on the host's template, which has no disks; a test checks them"
        },
        f"{TRAINING}/Workers/Role": {
            MANAGED.format("AmazonSSMManagedInstanceCore"): SYSTEMS_MANAGER,
            WILDCARD.format("*"): REGISTRY,
            **workers,
        },
        f"{TRAINING}/Guard/BudgetRole": {
            WILDCARD.format("*"): ANY,
            **{
                WILDCARD.format(f"arn:aws:ssm:{region}:*:{what}"): (
                    "AWS's own document and its runs; they can stop only what ec2:StopInstances of this role allows"
                )
                for what in AUTOMATION
            },
        },
    }


def acknowledge(app: Construct, settings: Settings) -> None:
    """Accept the findings that have a reason, each at its construct; any other fails the synthesis."""
    for path, at_path in reasons(settings).items():
        found = _find(app, path)
        if found is not None:  # workers are optional
            accepted = (Acknowledgment(id=finding, reason=reason) for finding, reason in at_path.items())
            Validations.of(found).acknowledge(*accepted)


def _find(scope: Construct, path: str) -> Construct | None:
    found: Construct | None = scope
    for name in path.split("/"):
        found = found.node.try_find_child(name) if found is not None else None  # type: ignore[assignment]
    return found
