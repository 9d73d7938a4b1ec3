"""The function that looks after a deployment from outside its host, what calls it, and the topic of all mails."""

from pathlib import Path
from typing import cast

from aws_cdk import ArnFormat, Aws, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as functions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.machine.contract import OUTCOME
from infra.machine.outcome import ATTEMPTS
from infra.names import BACKUP_TAG, HOST_GROUP
from infra.settings import Settings

CODE = Path(__file__).with_name("handler.py")
EVERY_MINUTES, TIMEOUT_S, MEMORY_MIB = 10, 60, 256


class GuardFunction(Construct):
    """Outlives the host's stack: images expire, and a failure is mailed, without one.

    `alerts` is what people get by mail, `spent` what AWS publishes to when the bill reaches the budget.
    """

    def __init__(
        self, scope: Construct, name: str, *, settings: Settings, bucket: s3.Bucket, log_group: logs.ILogGroup
    ) -> None:
        super().__init__(scope, name)
        self.alerts, self.spent = (sns.Topic(self, name, enforce_ssl=True) for name in ("Alerts", "Spent"))
        self.alerts.add_subscription(subscriptions.EmailSubscription(settings.guard.alert_email))
        let_publish(self.alerts, "cloudwatch", f"{settings.aws.region}:{Aws.ACCOUNT_ID}:alarm:*")
        let_publish(self.spent, "budgets", f":{Aws.ACCOUNT_ID}:*")
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        for statement in _rights(self, settings, bucket):
            role.add_to_policy(statement)
        self.alerts.grant_publish(role)
        log_group.grant_write(role)
        function = functions.Function(
            self,
            "Function",
            runtime=functions.Runtime.PYTHON_3_14,
            handler="index.handler",
            code=functions.Code.from_inline(CODE.read_text()),
            role=role,
            log_group=log_group,
            timeout=Duration.seconds(TIMEOUT_S),
            memory_size=MEMORY_MIB,
            environment={
                "GROUP": HOST_GROUP,
                "TOPIC": self.alerts.topic_arn,
                "BUCKET": bucket.bucket_name,
                "OUTCOME": OUTCOME,
                "TAG": BACKUP_TAG,
                "ATTEMPTS": str(ATTEMPTS),
                "SPOT": "spot" if settings.host.spot else "",
                "LONGEST_DAYS": str(settings.guard.longest_days),
                "IMAGE_DAYS": str(settings.backup.image_days),
                "IMAGE_HOURS": str(settings.backup.image_hours),
            },
        )
        cast("functions.CfnFunction", function.node.default_child).add_deletion_override("DependsOn")  # implied
        self.spent.add_subscription(subscriptions.LambdaSubscription(function))
        call = targets.LambdaFunction(function)
        events.Rule(self, "Schedule", schedule=events.Schedule.rate(Duration.minutes(EVERY_MINUTES)), targets=[call])
        written = {"bucket": {"name": [bucket.bucket_name]}, "object": {"key": [OUTCOME]}}
        pattern = events.EventPattern(source=["aws.s3"], detail_type=["Object Created"], detail=written)
        events.Rule(self, "Outcome", event_pattern=pattern, targets=[call])


def _rights(scope: Construct, settings: Settings, bucket: s3.Bucket) -> list[iam.PolicyStatement]:
    """Return what the function may do: to the group, to images with our tag, and read one object."""
    spot = settings.host.spot
    look = ["autoscaling:DescribeAutoScalingGroups", *["autoscaling:DescribeScalingActivities"] * spot]
    look += [f"ec2:Describe{each}" for each in ("Images", "Instances", "LaunchTemplateVersions")]
    change = ["autoscaling:SetDesiredCapacity", *["autoscaling:UpdateAutoScalingGroup"] * spot]
    stored = [f"arn:{Aws.PARTITION}:ec2:{settings.aws.region}::{kind}/*" for kind in ("image", "snapshot")]
    hosts = [f"arn:{Aws.PARTITION}:ec2:{settings.aws.region}:{Aws.ACCOUNT_ID}:instance/*"]
    of_outcome = ["s3:GetObject", "s3:GetObjectVersion"]
    ours, asked = ({"StringEquals": {f"aws:{of}Tag/{BACKUP_TAG}": "host"}} for of in ("Resource", "Request"))
    return [
        iam.PolicyStatement(actions=look, resources=["*"]),  # they support no resource
        iam.PolicyStatement(actions=change, resources=[group_arn(scope, HOST_GROUP)]),
        iam.PolicyStatement(actions=of_outcome, resources=[bucket.arn_for_objects(OUTCOME)]),
        iam.PolicyStatement(actions=["ec2:CreateImage"], resources=hosts, conditions=ours),
        iam.PolicyStatement(actions=["ec2:CreateImage", "ec2:CreateTags"], resources=stored, conditions=asked),
        iam.PolicyStatement(actions=["ec2:DeleteSnapshot", "ec2:DeregisterImage"], resources=stored, conditions=ours),
    ]


def group_arn(scope: Construct, group: str) -> str:
    """Return the ARN of a group; AWS assigns the part before its name."""
    return Stack.of(scope).format_arn(
        service="autoscaling",
        resource="autoScalingGroup",
        resource_name=f"*:autoScalingGroupName/{group}",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def let_publish(topic: sns.Topic, service: str, source: str) -> None:
    """Let a service publish for this account: `enforce_ssl` replaces the policy that a topic has by default.

    A group needs no statement, it publishes with a role of this account.
    """
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions={
                "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                "ArnLike": {"aws:SourceArn": f"arn:{Aws.PARTITION}:{service}:{source}"},
            },
        )
    )
