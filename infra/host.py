"""The training host and its workers: their network, roles, and auto-scaling groups over several zones."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Tags
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.bring_up import Kind, user_data
from infra.function import group_arn
from infra.machine.contract import HEAD, MACHINE, STATE
from infra.names import BACKUP_TAG, HOST_GROUP, METRICS, ROOT_DEVICE, WORKERS_GROUP
from infra.settings import Settings
from infra.storage import RedoxStorage

# Systems Manager, S3, the registry and packages of the distribution; DNS and time come from the VPC.
WAYS_OUT = {80: "packages", 443: "AWS and packages"}
GRACE_S = 300  # of a new host, in which failed status checks do not count


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


class HostNetwork(Construct):
    """A subnet in every zone, with public addresses instead of a paid NAT gateway."""

    def __init__(self, scope: Construct, name: str, *, settings: Settings) -> None:
        super().__init__(scope, name)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            availability_zones=list(settings.aws.zones),
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                )
            ],
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
            restrict_default_security_group=False,  # unused, and restricting it takes a Lambda function
        )
        self.subnets = ec2.SubnetSelection(subnets=self.vpc.public_subnets)
        self.security_group = ec2.SecurityGroup(
            self, "Closed", vpc=self.vpc, description="redox_balancer: no way in", allow_all_outbound=False
        )
        for port, purpose in WAYS_OUT.items():
            self.security_group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(port), purpose)
        if settings.host.workers:
            talk = (self.security_group, ec2.Port.all_tcp(), "the nodes of the Ray cluster among themselves")
            self.security_group.add_ingress_rule(*talk)
            self.security_group.add_egress_rule(*talk)


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
        settings.host.disk_gib, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3, delete_on_termination=True
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
