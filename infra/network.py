"""The network: public subnets without inbound rules; access is through Systems Manager."""

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.settings import Settings

# Systems Manager, S3, the registry and packages of the distribution; DNS and time come from the VPC.
WAYS_OUT = {80: "packages", 443: "AWS and packages"}


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
