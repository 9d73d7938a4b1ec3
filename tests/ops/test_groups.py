"""Auto-scaling groups of simulated AWS: zones without capacity are passed over, lost and unhealthy hosts replaced."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.simulator.aws import StandIn, stand_in

NAME = "one"
TYPES = ("r7i.large", "m7i.large")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("groups")) as aws:
        yield aws
        assert aws.hidden_failures() == []


class Group:
    """A group of one over two zones and two types."""

    def __init__(self, aws: StandIn) -> None:
        self.aws, self.client, self.ec2 = aws, aws.client("autoscaling"), aws.client("ec2")

    def scale(self, hosts: int) -> None:
        self.client.set_desired_capacity(AutoScalingGroupName=NAME, DesiredCapacity=hosts)

    def members(self) -> list[str]:
        (found,) = self.client.describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])["AutoScalingGroups"]
        return [each["InstanceId"] for each in found["Instances"]]

    def instance(self, name: str) -> Any:
        return self.ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]

    def activity(self) -> Any:
        return self.client.describe_scaling_activities(AutoScalingGroupName=NAME, MaxRecords=1)["Activities"][0]


@pytest.fixture
def group(account: StandIn) -> Iterator[Group]:
    account.set_account()
    found = Group(account)
    subnets = found.ec2.describe_subnets()["Subnets"]
    zones = [next(s["SubnetId"] for s in subnets if s["AvailabilityZone"] == f"us-east-1{zone}") for zone in "ab"]
    data = {"ImageId": "ami-12c6146b", "InstanceType": TYPES[0]}
    template = found.ec2.create_launch_template(LaunchTemplateName="one-host", LaunchTemplateData=data)
    specification = {"LaunchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"], "Version": "$Latest"}
    found.client.create_auto_scaling_group(
        AutoScalingGroupName=NAME,
        MinSize=0,
        MaxSize=1,
        VPCZoneIdentifier=",".join(zones),
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": specification,
                "Overrides": [{"InstanceType": kind} for kind in TYPES],
            }
        },
        Tags=[{"Key": "redox:backup", "Value": "host", "PropagateAtLaunch": True}],
    )
    yield found
    found.client.delete_auto_scaling_group(AutoScalingGroupName=NAME, ForceDelete=True)
    found.ec2.delete_launch_template(LaunchTemplateName="one-host")


def test_a_zone_without_capacity_is_passed_over_and_no_zone_is_waited_for(group: Group) -> None:
    group.aws.set_account(refusals={"us-east-1a": "InsufficientInstanceCapacity"})
    group.scale(1)
    (host,) = group.members()
    found = group.instance(host)
    assert (found["Placement"]["AvailabilityZone"], found["InstanceType"]) == ("us-east-1b", TYPES[0])
    tags = {each["Key"]: each["Value"] for each in found["Tags"]}
    assert tags.items() >= {"redox:backup": "host", "aws:autoscaling:groupName": NAME}.items()
    nowhere = dict.fromkeys(("us-east-1a", "us-east-1b"), "InsufficientInstanceCapacity")
    group.aws.set_account(refusals=nowhere)
    group.ec2.terminate_instances(InstanceIds=[host])
    assert group.members() == []
    assert (group.activity()["StatusCode"], "sufficient" in group.activity()["StatusMessage"]) == ("Failed", True)
    group.aws.set_account()
    assert len(group.members()) == 1  # it has kept trying


def test_a_host_that_is_lost_stopped_or_unhealthy_is_replaced(group: Group) -> None:
    group.scale(1)
    (before,) = group.members()
    for lose in (
        lambda name: group.ec2.terminate_instances(InstanceIds=[name]),
        lambda name: group.ec2.stop_instances(InstanceIds=[name]),
        lambda name: group.client.set_instance_health(InstanceId=name, HealthStatus="Unhealthy"),
        lambda name: group.client.terminate_instance_in_auto_scaling_group(
            InstanceId=name, ShouldDecrementDesiredCapacity=False
        ),
    ):
        lose(before)
        (after,) = group.members()
        assert after != before
        assert group.instance(before)["State"]["Name"] == "terminated"
        before = after


def test_a_host_that_ends_itself_leaves_the_group_at_0_and_there_is_never_a_second(group: Group) -> None:
    group.scale(1)
    (host,) = group.members()
    group.client.terminate_instance_in_auto_scaling_group(InstanceId=host, ShouldDecrementDesiredCapacity=True)
    assert group.members() == []
    with pytest.raises(ClientError, match="above max value 1"):
        group.scale(2)
