"""The rights of operator and host: evaluated as AWS does, sufficient for every call, and none beyond.

The demo's test replays the calls of a whole deployment; here are the evaluator, and what no program of the demo does.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import stacks
from infra.settings import load
from ops.simulator.aws import ACCOUNT, StandIn, stand_in
from ops.simulator.permissions import HOST, IN_EC2, OPERATOR, OPERATOR_POLICY, requests
from ops.simulator.policies import Request, allowing
from rights import OF_OTHERS
from templates import synthesise

SETTINGS = load()
STATEMENTS = json.loads(OPERATOR_POLICY.read_text())["Statement"]
VOLUME = "arn:aws:ec2:us-east-1:123456789012:volume/vol-1"


def allow(action: Any, resource: Any, effect: str = "Allow", **condition: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, "Condition": condition}


@pytest.mark.parametrize(
    ("statements", "request_", "allowed"),
    [
        ([allow("ec2:*Volume", "*")], Request("ec2:AttachVolume", VOLUME), True),
        ([allow("EC2:attachvolum?", "*")], Request("ec2:AttachVolume", VOLUME), True),
        ([allow(["ec2:DetachVolume"], "*")], Request("ec2:AttachVolume", VOLUME), False),
        ([allow("*", "arn:aws:ec2:*:*:volume/*")], Request("ec2:AttachVolume", VOLUME), True),
        ([allow("*", "arn:aws:ec2:*:volume/*")], Request("ec2:AttachVolume", VOLUME), False),  # * ends at a colon
        ([allow("*", "arn:aws:ec2:*:*:instance/*")], Request("ec2:AttachVolume", VOLUME), False),
        ([allow("*", VOLUME)], Request("ec2:DescribeVolumes", "*"), False),
        ([allow("*", "*"), allow("ec2:*", VOLUME, "Deny")], Request("ec2:AttachVolume", VOLUME), False),
        ([allow("*", "*", StringEquals={"AWS:a": ["x", "y"]})], Request("a:B", "*", {"aws:A": "y"}), True),
        ([allow("*", "*", StringEquals={"aws:a": "x*"})], Request("a:B", "*", {"aws:a": "xy"}), False),
        ([allow("*", "*", StringLike={"aws:a": "x*"})], Request("a:B", "*", {"aws:a": "xy"}), True),
        ([allow("*", "*", StringEquals={"aws:a": "x"})], Request("a:B", "*"), False),
        ([allow("*", "*", StringEqualsIfExists={"aws:a": "x"})], Request("a:B", "*"), True),
        ([allow("*", "*", StringNotEquals={"aws:a": ["x", "y"]})], Request("a:B", "*", {"aws:a": "y"}), False),
        ([allow("*", "*", StringNotEquals={"aws:a": "x"})], Request("a:B", "*"), True),
        ([allow("*", "*", Null={"aws:a": "true"})], Request("a:B", "*", {"aws:a": "y"}), False),
        ([allow("*", "*", Null={"aws:a": "false"})], Request("a:B", "*", {"aws:a": "y"}), True),
        ([allow("*", "*", Bool={"aws:a": True})], Request("a:B", "*", {"aws:a": "true"}), True),
        (
            [allow("*", "*", **{"ForAllValues:StringEquals": {"k": ["a", "b"]}})],
            Request("a:B", "*", {"k": ["a"]}),
            True,
        ),
        (
            [allow("*", "*", **{"ForAllValues:StringEquals": {"k": ["a"]}})],
            Request("a:B", "*", {"k": ["a", "b"]}),
            False,
        ),
        (
            [allow("*", "*", **{"ForAnyValue:StringEquals": {"k": ["a"]}})],
            Request("a:B", "*", {"k": ["a", "b"]}),
            True,
        ),
        (
            [
                allow(
                    "iam:PassRole",
                    "arn:aws:iam::1:role/host",
                    StringEquals={"iam:PassedToService": "ec2.amazonaws.com"},
                )
            ],
            Request("iam:PassRole", "arn:aws:iam::1:role/other", {"iam:PassedToService": "ec2.amazonaws.com"}),
            False,
        ),
    ],
)
def test_a_request_is_evaluated_as_the_documentation_says(
    statements: list[dict[str, Any]], request_: Request, *, allowed: bool
) -> None:
    assert bool(allowing(statements, request_)) is allowed


def test_a_condition_that_is_not_known_is_an_error_and_no_permission() -> None:
    with pytest.raises(ValueError, match="no rule for the condition DateLessThan"):
        allowing([allow("*", "*", DateLessThan={"aws:CurrentTime": "2030-01-01"})], Request("a:B", "*"))


def test_a_call_that_passes_a_role_needs_the_right_to_pass_it() -> None:
    role = "arn:aws:iam::123456789012:role/admin"
    asked = list(requests("cloudformation", "CreateStack", {"StackName": "a", "RoleARN": role}))
    assert Request("iam:PassRole", role, {"iam:PassedToService": "cloudformation.amazonaws.com"}) in asked


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """The statements of the host's role in a deployment with the settings as they are."""
    with stand_in(tmp_path_factory.mktemp("aws")) as aws:
        stacks.create(aws, synthesise(tmp_path_factory.mktemp("default"), []))
        yield [statement for document in policies(aws) for statement in document["Statement"]]


def policies(aws: StandIn) -> Iterator[dict[str, Any]]:
    iam = aws.client("iam")
    for role in iam.list_roles()["Roles"]:
        if "HostRole" in role["RoleName"]:
            for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                yield iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]


def test_what_other_programs_of_the_host_do_is_allowed(host: list[dict[str, Any]]) -> None:
    for request in OF_OTHERS[HOST]:
        assert allowing(host, request), request
    bucket = SETTINGS.storage.bucket(ACCOUNT, SETTINGS.aws.region)
    for refused in (
        Request("s3:DeleteObject", f"arn:aws:s3:::{bucket}/{SETTINGS.storage.runs}/mine/metrics.csv"),
        Request("s3:PutObject", f"arn:aws:s3:::{bucket}/elsewhere"),
        Request("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/EC2"}),
    ):
        assert not allowing(host, refused), refused


def test_the_operator_may_push_images_and_touch_nothing_without_our_tag() -> None:
    for request in OF_OTHERS[OPERATOR]:
        assert allowing(STATEMENTS, request), request
    instance, tag = "arn:aws:ec2:us-east-1:123456789012:instance/i-1", "aws:ResourceTag/project"
    assert allowing(STATEMENTS, Request("ec2:CreateImage", instance, {tag: SETTINGS.tags["project"]}))
    for other in ({}, {tag: "other"}):
        assert not allowing(STATEMENTS, Request("ec2:CreateImage", instance, other))
        assert not allowing(STATEMENTS, Request("ssm:StartSession", instance, other))
    for action in ("iam:CreateRole", "ec2:RunInstances", "s3:DeleteObject", "s3:PutObject"):
        assert not allowing(STATEMENTS, Request(action, "*"))


def test_the_operators_policy_is_one_that_iam_accepts() -> None:
    assert len("".join(OPERATOR_POLICY.read_text().split())) <= 6_144  # characters of a managed policy
    assert len({each["Sid"] for each in STATEMENTS}) == len(STATEMENTS)
    session = boto3.Session(region_name="us-east-1")
    ours = {"servicequotas": "service-quotas", "s3": ""}  # names in boto3; those of S3's actions are others
    for statement in STATEMENTS:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert actions == sorted(actions)
        for action in actions:
            service, operation = action.split(":")
            if name := ours.get(service, service):
                assert operation in session.client(name).meta.service_model.operation_names, action


def test_a_call_that_its_principal_may_not_make_is_a_broken_rule(tmp_path: Path) -> None:
    with stand_in(tmp_path) as aws:
        made = aws.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
        name = made["Instances"][0]["InstanceId"]
        keys = {"aws_access_key_id": OPERATOR, "aws_secret_access_key": "x", "region_name": "us-east-1"}
        ec2 = boto3.client("ec2", endpoint_url=aws.address, **keys)
        ec2.describe_instances()
        assert aws.hidden_failures() == []
        ec2.get_console_output(InstanceId=name)  # without our tag
        (broken,) = aws.hidden_failures()
    assert (
        f"operator is not authorized to perform: ec2:GetConsoleOutput on resource: {IN_EC2}:instance/{name}" in broken
    )
