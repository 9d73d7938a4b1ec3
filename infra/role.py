"""IAM roles of the machines: Systems Manager, metrics and log, adding to the bucket, ending the host; no deletion."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.function import group_arn
from infra.machine.contract import HEAD, MACHINE, STATE
from infra.names import HOST_GROUP, METRICS, WORKERS_GROUP
from infra.settings import Settings
from infra.storage import RedoxStorage


def machine_role(
    scope: Construct, storage: RedoxStorage, settings: Settings, statements: Sequence[iam.PolicyStatement] = ()
) -> iam.Role:
    """Return an EC2 role for Systems Manager and the machine's own setup, with further permissions."""
    role = iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("AmazonSSMManagedInstanceCore")],
    )
    setup = [storage.bucket.arn_for_objects(key) for key in (f"{MACHINE}/*", HEAD)]
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=setup))
    for statement in statements:
        role.add_to_policy(statement)
    if settings.host.workers:  # the host scales them, and they end themselves when it is gone
        scaling = group_arn(scope, WORKERS_GROUP)
        role.add_to_policy(iam.PolicyStatement(actions=["autoscaling:SetDesiredCapacity"], resources=[scaling]))
    if settings.container.image_delivery == "repository":
        storage.repository.grant_pull(role)
    return role


def host_role(scope: Construct, storage: RedoxStorage, settings: Settings) -> iam.Role:
    """Return the role of the host, with permissions on runs, metrics, its log and its own group."""
    prefixes = (settings.storage.runs, settings.storage.locks, STATE)
    keys = [storage.bucket.arn_for_objects(f"{prefix}/*") for prefix in prefixes]
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
            iam.PolicyStatement(
                actions=["autoscaling:TerminateInstanceInAutoScalingGroup"], resources=[group_arn(scope, HOST_GROUP)]
            ),
        ],
    )
