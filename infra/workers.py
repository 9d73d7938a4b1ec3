"""Additional machines for actors, which join the host's Ray cluster and start and stop with it."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.bring_up import MachineContext, image_of
from infra.host import TrainingHost, machine_options
from infra.names import WORKERS_GROUP
from infra.network import HostNetwork
from infra.role import machine_role
from infra.settings import Settings
from infra.storage import RedoxStorage


class Workers(Construct):
    """A launch template and an empty group, which the host scales when it starts and stops."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        network: HostNetwork,
        storage: RedoxStorage,
        host: TrainingHost,
        ami_id: str,
        topic: sns.Topic,
    ) -> None:
        super().__init__(scope, name)
        machine = MachineContext(
            kind="worker",
            region=settings.aws.region,
            image=image_of(settings, storage.repository.repository_uri),
            head=host.instance.instance_private_ip,
            group=WORKERS_GROUP,
        )
        role = machine_role(self, storage, settings)
        template = ec2.LaunchTemplate(
            self,
            "Template",
            **machine_options(settings, network, ami_id, machine),
            role=role,
            http_tokens=ec2.LaunchTemplateHttpTokens.REQUIRED,
            spot_options=ec2.LaunchTemplateSpotOptions() if settings.host.spot else None,
        )
        autoscaling.AutoScalingGroup(
            self,
            "Group",
            auto_scaling_group_name=WORKERS_GROUP,
            vpc=network.vpc,
            vpc_subnets=network.subnet,
            launch_template=template,
            min_capacity=0,
            max_capacity=settings.host.workers,  # and no desired one: a deployment starts no workers
            notifications=[autoscaling.NotificationConfiguration(topic=topic)],
        )
        group = Stack.of(self).format_arn(
            service="autoscaling",
            resource="autoScalingGroup",
            resource_name=f"*:autoScalingGroupName/{WORKERS_GROUP}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        scale = iam.PolicyStatement(actions=["autoscaling:SetDesiredCapacity"], resources=[group])
        for each in (host.role, role):  # workers end themselves when the host is gone
            each.add_to_policy(scale)
