"""Requests that a machine signs itself: as botocore signs them, and understood by simulated AWS."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.machine import contract
from infra.machine.aws import sign
from infra.settings import ROOT
from machines import Metadata, metadata_service
from ops.simulator.aws import StandIn

NOW = dt.datetime(2026, 11, 28, 1, 2, 3, tzinfo=dt.UTC)
INSTANCE, BUCKET = "i-0123456789abcdef0", "of-a-machine"
ROLE = {"AccessKeyId": "AKIA", "SecretAccessKey": "se/cr+et", "Token": "to/ken=="}


@pytest.mark.parametrize(
    ("what", "body", "headers"),
    [
        (("GET", "s3", "/bucket/machine/host.tar.gz"), b"", {}),
        (("PUT", "s3", "/bucket/state/seconds.json"), b"{}", {"if-match": '"abc"', "content-type": "a/b"}),
        (("POST", "autoscaling", "/"), b"Action=Set&x=a+b", {"content-type": "application/x; charset=u"}),
        (("POST", "monitoring", "/"), b"Action=PutMetricData", {}),
    ],
)
def test_the_signature_is_that_of_botocore(
    monkeypatch: pytest.MonkeyPatch, what: tuple[str, str, str], body: bytes, headers: dict[str, str]
) -> None:
    method, service, path = what
    url = f"https://{service}.us-east-1.amazonaws.com{path}"
    ours = sign(method, url, body, headers, credentials=ROLE, scope=f"us-east-1/{service}", now=NOW)
    digest = {"x-amz-content-sha256": ours["x-amz-content-sha256"]}
    request = AWSRequest(method=method, url=url, data=body, headers={**headers, **digest})
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: NOW.replace(tzinfo=None))
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    kind(Credentials("AKIA", "se/cr+et", "to/ken=="), service, "us-east-1").add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with metadata_service(INSTANCE) as running:
        yield running


@pytest.fixture
def bucket(aws: StandIn) -> Any:
    s3 = aws.client("s3")
    if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    return s3


def on_a_machine(aws: StandIn, metadata: Metadata, *words: object) -> str:
    """Run Python as on a machine: with a role and an address, without any of our packages."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "AWS_ENDPOINT_URL": aws.address,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.address,
        "REDOX_REGION": "us-east-1",
        "REDOX_BUCKET": BUCKET,
    }
    command = [sys.executable, "-S", *map(str, words)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


PROGRAM = """
from infra.machine.aws import Aws, instance_id
aws = Aws.of_machine()
assert aws.get("state/x") is None
aws.put("state/x", b"one", replaces=None)
first = aws.get("state/x")
aws.put("state/x", b"two", replaces=first)
for condition in (None, first):
    try:
        aws.put("state/x", b"three", replaces=condition)
    except OSError as error:
        assert "412" in str(error), error
    else:
        raise AssertionError(condition)
aws.write("state/y", bytes(range(256)))
print(aws.get("state/x").content.decode(), instance_id())
"""


def test_objects_are_written_only_over_the_version_that_was_read(
    aws: StandIn, metadata: Metadata, bucket: Any
) -> None:
    assert on_a_machine(aws, metadata, "-c", PROGRAM) == f"two {INSTANCE}\n"
    assert bucket.get_object(Bucket=BUCKET, Key="state/y")["Body"].read() == bytes(range(256))


def test_a_failed_host_is_replaced_and_the_third_in_a_row_is_the_last(
    aws: StandIn, metadata: Metadata, bucket: Any, tmp_path: Path
) -> None:
    ec2, autoscaling = aws.client("ec2"), aws.client("autoscaling")
    template = ec2.create_launch_template(
        LaunchTemplateName="t", LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "c7i.large"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="redox-host",
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
        AvailabilityZones=["us-east-1a"],
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
    )
    log = tmp_path / "log"
    log.write_text("no network")
    program = (
        "import sys; from infra.machine.outcome import main\n"
        "from pathlib import Path; main(*sys.argv[1:3], Path(sys.argv[3]))"
    )

    def group() -> Any:
        return autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["redox-host"])["AutoScalingGroups"][0]

    def report(outcome: str) -> str:
        (member,) = group()["Instances"]
        metadata.answers["instance-id"] = member["InstanceId"]
        on_a_machine(aws, metadata, "-c", program, outcome, "packages", log)
        return str(member["InstanceId"])

    first = report("failed")
    second = report("failed")
    assert first != second
    assert report("success") not in (first, second)  # counts from 0 again
    hosts = [report("failed") for _ in range(3)]
    assert len(set(hosts)) == 3
    assert (group()["DesiredCapacity"], group()["Instances"]) == (0, [])
    record = json.loads(bucket.get_object(Bucket=BUCKET, Key=contract.OUTCOME)["Body"].read())
    assert record == {"instance": hosts[-1], "step": "packages", "failures": 3, "log": "no network"}
    kept = bucket.get_object(Bucket=BUCKET, Key=f"{contract.STATE}/failed/{hosts[0]}.log")["Body"].read()
    assert kept == b"no network"
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName="redox-host", ForceDelete=True)
