"""The training host and its workers: auto-scaling groups over several zones, empty when idle."""

from typing import Any

from aws_cdk import Duration, Tags
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.bring_up import Kind, user_data
from infra.names import BACKUP_TAG, HOST_GROUP, ROOT_DEVICE, WORKERS_GROUP
from infra.network import HostNetwork
from infra.role import host_role, machine_role
from infra.settings import Settings
from infra.storage import RedoxStorage

GRACE_S = 300  # of a new host, in which failed status checks do not count


class TrainingHost(Construct):
    """A group of one, its launch template and role; what has to outlive a host is in the bucket."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        network: HostNetwork,
        storage: RedoxStorage,
        ami_id: str,
    ) -> None:
        super().__init__(scope, name)
        host = settings.host
        self.role = host_role(self, storage, settings)
        self.template = launch_template(self, settings, network, storage, ami_id=ami_id, kind="host", role=self.role)
        distribution = autoscaling.InstancesDistribution(
            on_demand_percentage_above_base_capacity=0 if host.spot else 100,
            on_demand_allocation_strategy=autoscaling.OnDemandAllocationStrategy.PRIORITIZED,
            spot_allocation_strategy=autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
        )
        self.group = autoscaling.AutoScalingGroup(
            self,
            "Group",
            auto_scaling_group_name=HOST_GROUP,
            vpc=network.vpc,
            vpc_subnets=network.subnets,
            mixed_instances_policy=autoscaling.MixedInstancesPolicy(
                launch_template=self.template,
                launch_template_overrides=[
                    autoscaling.LaunchTemplateOverrides(instance_type=ec2.InstanceType(each))
                    for each in host.instance_types
                ],
                instances_distribution=distribution,
            ),
            min_capacity=0,
            max_capacity=1,  # and no desired one: a deployment neither starts nor ends a host
            health_checks=autoscaling.HealthChecks.ec2(grace_period=Duration.seconds(GRACE_S)),
        )
        Tags.of(self.group).add(BACKUP_TAG, "host")


class Workers(Construct):
    """Further machines for actors: a group that the host scales when it starts and stops, and its launch template."""

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


def launch_template(
    scope: Construct,
    settings: Settings,
    network: HostNetwork,
    storage: RedoxStorage,
    *,
    ami_id: str,
    kind: Kind,
    role: iam.Role,
    **options: Any,
) -> ec2.LaunchTemplate:
    """Return the launch template of the host or of its workers."""
    root = ec2.BlockDeviceVolume.ebs(
        settings.host.disk_gib,
        encrypted=True,
        volume_type=ec2.EbsDeviceVolumeType.GP3,
        delete_on_termination=True,
    )
    return ec2.LaunchTemplate(
        scope,
        "Template",
        instance_type=ec2.InstanceType(settings.host.instance_types[0]),
        machine_image=ec2.MachineImage.generic_linux({settings.aws.region: ami_id}),
        associate_public_ip_address=True,
        security_group=network.security_group,
        role=role,
        http_tokens=ec2.LaunchTemplateHttpTokens.REQUIRED,
        http_put_response_hop_limit=2,  # one more for the container
        instance_initiated_shutdown_behavior=ec2.InstanceInitiatedShutdownBehavior.TERMINATE,
        detailed_monitoring=True,
        block_devices=[ec2.BlockDevice(device_name=ROOT_DEVICE, volume=root)],
        user_data=ec2.UserData.custom(user_data(settings.aws.region, storage.bucket.bucket_name, kind)),
        **options,
    )
