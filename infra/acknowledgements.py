"""Accepted findings of cdk-nag and of CloudFormation's own rules, by construct, each with its reason."""

from aws_cdk import Acknowledgment, Validations
from constructs import Construct

from infra.machine.contract import MACHINE, STATE
from infra.names import HOST_GROUP, STORAGE, TRAINING, WORKERS_GROUP
from infra.settings import Settings

MANAGED = "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{}]"
WILDCARD = "AwsSolutions::AwsSolutions-IAM5[Resource::{}]"
BUCKET = f"{STORAGE}:ExportsOutputFnGetAttCheckpointBucketArnBB4F3EE8"
DISKS = "AwsSolutions::AwsSolutions-EC26"
ZONE = "CloudFormation-Validate::W3010"

SYSTEMS_MANAGER = "AWS maintains the permissions of its own agent; the policy grants no access to data"
TAGGED = "Ids are not known in advance: a condition requires our tag"
ANY = "The action supports no resource; a condition narrows it, or it is harmless"
PINNED = "Listed on purpose: a synthesis asks no account for its zones"
SETUP = "The archives from which machines set themselves up: get alone"
GROUP = "One group; AWS assigns the part before its name"
OF_IMAGES = ("<AWS::AccountId>:instance", ":image", ":snapshot")
REGISTRY = "ecr:GetAuthorizationToken supports no resource"


def reasons(settings: Settings) -> dict[str, dict[str, str]]:
    """Return the reason of every accepted finding, by the path of its construct and its id."""
    region, storage = settings.aws.region, settings.storage
    group = f"arn:aws:autoscaling:{region}:<AWS::AccountId>:autoScalingGroup:*:autoScalingGroupName/{{}}"
    return {
        f"{STORAGE}/Bucket": {
            "AwsSolutions::AwsSolutions-S1": "One role writes, the team reads; access logs need a second bucket"
        },
        f"{TRAINING}/Network/Vpc": {
            "AwsSolutions::AwsSolutions-VPC7": "There is no inbound rule; a flow log would hold only refused probes"
        },
        **{
            f"{TRAINING}/Network/Vpc/PublicSubnet{number}": {ZONE: PINNED}
            for number in range(1, len(settings.aws.zones) + 1)
        },
        f"{TRAINING}/Host/Group": {
            DISKS: "The rule fails on a policy of several types; a test checks the encryption"
        },
        f"{TRAINING}/Host/Role": {
            MANAGED.format("AmazonSSMManagedInstanceCore"): SYSTEMS_MANAGER,
            WILDCARD.format(f"{BUCKET}/{storage.runs}/*"): "The objects of all runs: list, get and put, no delete",
            WILDCARD.format(f"{BUCKET}/{storage.locks}/*"): "The locks of all runs: list, get and put, no delete",
            WILDCARD.format("*"): ANY,
            WILDCARD.format(f"{BUCKET}/{STATE}/*"): "What hosts leave to each other: get and put, no delete",
            WILDCARD.format(f"{BUCKET}/{MACHINE}/*"): SETUP,
            WILDCARD.format(group.format(HOST_GROUP)): GROUP,
            WILDCARD.format(group.format(WORKERS_GROUP)): GROUP,
        },
        f"{TRAINING}/Workers/Role": {
            MANAGED.format("AmazonSSMManagedInstanceCore"): SYSTEMS_MANAGER,
            WILDCARD.format("*"): REGISTRY,
            WILDCARD.format(f"{BUCKET}/{MACHINE}/*"): SETUP,
            WILDCARD.format(group.format(WORKERS_GROUP)): GROUP,
        },
        f"{STORAGE}/ImageBuild": {
            "AwsSolutions::AwsSolutions-CB4": "It stores no artifacts; its source is encrypted by S3"
        },
        f"{STORAGE}/ImageBuildRole": {WILDCARD.format("*"): REGISTRY},
        f"{STORAGE}/Guard/Role": {
            WILDCARD.format("*"): ANY,
            WILDCARD.format(group.format(HOST_GROUP)): GROUP,
            **{WILDCARD.format(f"arn:<AWS::Partition>:ec2:{region}:{each}/*"): TAGGED for each in OF_IMAGES},
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
