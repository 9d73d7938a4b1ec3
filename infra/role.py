"""IAM roles of the machines: Systems Manager, metrics and log, and adding to the bucket; no deletion."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.names import METRICS
from infra.settings import Settings
from infra.storage import RedoxStorage


def machine_role(
    scope: Construct, storage: RedoxStorage, settings: Settings, statements: Sequence[iam.PolicyStatement] = ()
) -> iam.Role:
    """Return an EC2 role for Systems Manager with further permissions."""
    role = iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("AmazonSSMManagedInstanceCore")],
    )
    for statement in statements:
        role.add_to_policy(statement)
    if settings.container.image_delivery == "repository":
        storage.repository.grant_pull(role)
    return role


def host_role(scope: Construct, storage: RedoxStorage, settings: Settings) -> iam.Role:
    """Return the role of the host, with permissions on checkpoints, metrics and its log."""
    keys = [
        storage.bucket.arn_for_objects(f"{prefix}/*") for prefix in (settings.storage.runs, settings.storage.locks)
    ]
    return machine_role(
        scope,
        storage,
        settings,
        [
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=[storage.bucket.bucket_arn]),
            iam.PolicyStatement(actions=["s3:GetObject", "s3:PutObject"], resources=keys),
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],  # supports no resource; the condition narrows it
                conditions={"StringEquals": {"cloudwatch:namespace": METRICS}},
            ),
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                resources=[storage.log_group.log_group_arn],
            ),
        ],
    )
