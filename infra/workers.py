"""Additional machines for actors, which join the host's Ray cluster and start and stop with it."""

from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.host import launch_template
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
        ami_id: str,
        topic: sns.Topic,
    ) -> None:
        super().__init__(scope, name)
        spot = ec2.LaunchTemplateSpotOptions() if settings.host.spot else None
        role = machine_role(self, storage, settings)
        template = launch_template(
            self, settings, network, storage, ami_id=ami_id, kind="worker", role=role, spot_options=spot
        )
        autoscaling.AutoScalingGroup(
            self,
            "Group",
            auto_scaling_group_name=WORKERS_GROUP,
            vpc=network.vpc,
            vpc_subnets=network.subnets,
            launch_template=template,
            min_capacity=0,
            max_capacity=settings.host.workers,  # and no desired one: a deployment starts no workers
            notifications=[autoscaling.NotificationConfiguration(topic=topic)],
        )
