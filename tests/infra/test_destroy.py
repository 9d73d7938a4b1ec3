"""`make destroy` on simulated AWS: the host saves and ends before its stack is deleted, or nothing is."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

import stacks
from infra import destroy, group
from infra.deployed import find
from infra.names import HOST_GROUP, STORAGE, TRAINING
from infra.settings import load
from ops.simulator.aws import StandIn, stand_in
from redox_balancer.errors import RedoxError
from templates import Templates, synthesise

SETTINGS = load()


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return synthesise(tmp_path_factory.mktemp("default"), [])


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("account")) as aws:
        stacks.create(aws, templates, [STORAGE])
        yield aws


@pytest.fixture
def deployed(account: StandIn, templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Both stacks, of which `cdk destroy` deletes the host's as CloudFormation does."""
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    stacks.create(account, templates, [TRAINING])
    monkeypatch.setattr(destroy, "cdk", lambda _: delete(account))
    yield account
    assert any(delete(account) == 0 for _ in range(destroy.ATTEMPTS))


def delete(aws: StandIn) -> int:
    """Delete the stack of the host; moto leaves a route table the first time, which is the exit code 1 of the CDK."""
    try:
        aws.client("cloudformation").delete_stack(StackName=TRAINING)
    except ClientError:
        return 1
    return 0


def test_the_host_saves_and_ends_before_its_stack_is_deleted(
    deployed: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.client("autoscaling").set_desired_capacity(AutoScalingGroupName=HOST_GROUP, DesiredCapacity=1)
    there = find(SETTINGS)
    assert there
    host = there.host()
    before = len(deployed.changes())
    assert destroy.destroy(SETTINGS, host) == 0
    assert deployed.changes()[before:] == [
        "ec2 CreateImage",
        f"s3 PUT /{there.bucket}/state/queue.json",  # no further host goes on with the run
        "autoscaling SetDesiredCapacity",
        *["cloudformation DeleteStack"] * destroy.ATTEMPTS,
    ]
    assert deployed.hidden_failures() == []
    said = capsys.readouterr().err
    (image,) = re.findall(rf"image (ami-\w+) of {host}: at most 15.00 USD a month, until ", said)
    day = f"{datetime.now(UTC) + timedelta(days=SETTINGS.backup.image_days):%Y-%m-%d}"
    assert re.search(rf"\n  image  {image}  [\d.]+ GiB  at most [\d.]+ USD a month, until {day}\n", said)
    assert (
        "\n  repository  123456789012.dkr.ecr.us-east-1.amazonaws.com/redox-balancer  0.0 GiB  at most 0.00 " in said
    )
    assert "AWS list prices of EBS, S3 and ECR" in said
    (found,) = deployed.client("ec2").describe_instances(InstanceIds=[host])["Reservations"]
    assert found["Instances"][0]["State"]["Name"] == "terminated"


def test_an_empty_group_needs_no_confirmation_and_a_host_its_id(deployed: StandIn) -> None:
    deployed.client("autoscaling").set_desired_capacity(AutoScalingGroupName=HOST_GROUP, DesiredCapacity=1)
    with pytest.raises(RedoxError, match="i-other is not i-"):
        destroy.destroy(SETTINGS, "i-other")
    deployed.client("autoscaling").set_desired_capacity(AutoScalingGroupName=HOST_GROUP, DesiredCapacity=0)
    before = deployed.calls()
    assert destroy.destroy(SETTINGS, "") == 0
    assert "ec2 CreateImage" not in deployed.calls()[len(before) :]


def test_nothing_is_deleted_where_the_host_does_not_end(deployed: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance of moto ends at once."""
    deployed.client("autoscaling").set_desired_capacity(AutoScalingGroupName=HOST_GROUP, DesiredCapacity=1)
    there = find(SETTINGS)
    assert there
    monkeypatch.setattr(group, "MARGIN_S", -SETTINGS.limits.stop_timeout_s - 1)
    monkeypatch.setattr(group, "describe_instance", lambda *_: {"State": {"Name": "shutting-down"}})
    monkeypatch.setattr(destroy, "cdk", lambda _: pytest.fail("it was deleted"))
    with pytest.raises(RedoxError, match=f"{there.host()} has not ended") as given_up:
        destroy.destroy(SETTINGS, there.host())
    assert "--region us-east-1" in given_up.value.hint
    monkeypatch.undo()
