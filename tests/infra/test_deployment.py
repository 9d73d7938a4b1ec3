"""A real deployment with the pinned CDK, against the AWS stand-in: from an empty account to another image."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import ran
from deployment import Cloud
from infra.bring_up import archive
from infra.deployed import Deployed
from infra.names import HOST_GROUP
from infra.settings import ROOT, load
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in

SETTINGS = load()
NEW_IMAGE = "ami-0123456789abcdef0"
# Reports of a synthesis: they contain times and names of temporary folders, and the first is optional.
REPORTS = {"performance-counters.json", "validation-report.json", "RedoxTraining.metadata.json"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, cdk: Path) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with stand_in(folder) as aws:
        yield Cloud(aws, cdk, folder)
        assert aws.hidden_failures() == []  # the CDK retries, which would hide failures


@pytest.fixture(scope="module")
def deployed(cloud: Cloud, assembly: Path) -> dict[str, dict[str, str]]:
    cloud.bootstrap(assembly)
    outputs = cloud.deploy(assembly)
    cloud.aws.client("s3").put_object(Bucket=outputs["RedoxStorage"]["BucketName"], Key="experiments/x", Body=b"1")
    return outputs


def test_the_same_commit_synthesises_to_the_same_bytes(cloud: Cloud, assembly: Path, tmp_path: Path) -> None:
    subprocess.run([cloud.cdk, "synth", "--quiet", "--output", tmp_path], cwd=ROOT, check=True, capture_output=True)
    names = {path.name for path in assembly.iterdir()} - REPORTS
    assert names == {path.name for path in tmp_path.iterdir()} - REPORTS
    assert {"RedoxStorage.template.json", "RedoxTraining.template.json"} <= names
    for name in names:
        assert (assembly / name).read_bytes() == (tmp_path / name).read_bytes(), name


def desired(cloud: Cloud, hosts: int) -> None:
    cloud.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=HOST_GROUP, DesiredCapacity=hosts)


def test_a_deployment_creates_bucket_and_an_empty_group(cloud: Cloud, deployed: dict[str, dict[str, str]]) -> None:
    assert deployed["RedoxStorage"]["BucketName"] == SETTINGS.storage.bucket(ACCOUNT, REGION)
    (group,) = cloud.aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert (group["AutoScalingGroupName"], group["DesiredCapacity"], group["Instances"]) == (HOST_GROUP, 0, [])
    desired(cloud, 1)
    host = cloud.instance(cloud.host())
    assert (host["InstanceType"], host["ImageId"]) == (SETTINGS.host.instance_types[0], SETTINGS.host.ami_id)


def test_a_diff_after_the_deployment_is_empty(
    cloud: Cloud, deployed: dict[str, dict[str, str]], assembly: Path
) -> None:
    assert deployed
    said = cloud.run("diff", "--method=template", app=assembly)
    assert "Number of stacks with differences: 0" in said.stdout + said.stderr


def test_apply_uploads_the_set_up_and_has_the_host_run_it(cloud: Cloud, deployed: dict[str, dict[str, str]]) -> None:
    desired(cloud, 1)
    before = cloud.aws.changes()
    dry = cloud.python("infra.apply", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert " /etc/systemd/system/redox-trainer.service\n" in dry.stdout
    assert cloud.aws.changes() == before
    answer = cloud.python("infra.apply")
    assert answer.returncode == 0, answer.stderr
    (sent,) = cloud.aws.client("ssm").list_commands()["Commands"]
    assert sent["InstanceIds"] == [cloud.host()]
    assert any("/usr/local/lib/redox/fetch apply" in line for line in sent["Parameters"]["commands"])
    s3 = cloud.aws.client("s3")
    packed = s3.get_object(Bucket=deployed["RedoxStorage"]["BucketName"], Key="machine/host.tar.gz")["Body"].read()
    there = Deployed(
        bucket=deployed["RedoxStorage"]["BucketName"], repository=deployed["RedoxStorage"]["RepositoryUri"]
    )
    assert packed == archive(SETTINGS, "host", there)


def test_a_deployment_leaves_a_host_and_the_next_is_made_from_the_new_image(
    cloud: Cloud, deployed: dict[str, dict[str, str]]
) -> None:
    assert deployed
    desired(cloud, 1)
    host, changed = cloud.host(), cloud.folder / "changed"
    cloud.run("synth", "--quiet", "--output", changed, "-c", f"ami_id={NEW_IMAGE}")
    cloud.deploy(changed)
    assert cloud.host() == host
    assert cloud.instance(host)["State"]["Name"] == "running"
    cloud.aws.client("ec2").terminate_instances(InstanceIds=[host])
    assert cloud.host() != host
    assert cloud.instance(cloud.host())["ImageId"] == NEW_IMAGE


def test_a_sample_address_is_not_deployed(cloud: Cloud) -> None:
    answer = cloud.python("infra.deploy")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: guard.alert_email is alerts@example.com, which reaches nobody")


def test_destroy_confirms_retains_the_data_and_reports_its_cost_and_a_deployment_finds_it(
    cloud: Cloud, deployed: dict[str, dict[str, str]], assembly: Path
) -> None:
    desired(cloud, 1)
    host, storage = cloud.host(), deployed["RedoxStorage"]
    refused = cloud.python("infra.destroy", typed="yes\n")
    assert refused.returncode == 2
    assert f"error: yes is not {host}: nothing was changed" in refused.stderr
    assert cloud.instance(host)["State"]["Name"] == "running"

    gone = cloud.python("infra.destroy", typed=f"{host}\n")
    assert gone.returncode == 0, gone.stderr
    assert cloud.instance(host)["State"]["Name"] == "terminated"
    assert f"bucket  s3://{storage['BucketName']}  0.0 GiB  0.00 USD a month" in gone.stderr
    assert f"repository  {storage['RepositoryUri']}  0.0 GiB  at most 0.00 USD a month\n" in gone.stderr
    without = cloud.python("infra.destroy", "--instance", host)
    assert (without.returncode, without.stderr) == (2, "error: there is no stack RedoxTraining\nhint: make deploy\n")

    assert cloud.deploy(assembly)["RedoxStorage"] == storage
    s3 = cloud.aws.client("s3")
    assert s3.get_object(Bucket=storage["BucketName"], Key="experiments/x")["Body"].read() == b"1"


def test_a_context_that_is_no_image_is_refused() -> None:
    answer = ran(
        [sys.executable, "-m", "infra"], cwd=ROOT, env=os.environ | {"CDK_CONTEXT_JSON": '{"ami_id": "newest"}'}
    )
    assert answer.returncode == 2
    assert "error: -c ami_id=newest is not an AMI id like ami-0123456789abcdef0\n" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_hidden_failures_are_detected(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        '127.0.0.1 - - [24/Nov/2026 07:54:43] "POST / HTTP/1.1" 200 -\n'
        '127.0.0.1 - - [24/Nov/2026 07:54:43] "POST / HTTP/1.1" 500 -\n'
        "No Moto CloudFormation support for AWS::S3::BucketPolicy\n"
        "No Moto CloudFormation support for AWS::EC2::Imaginary\n"
    )
    assert [line.split()[-1] for line in StandIn("", log).hidden_failures()] == ["-", "AWS::EC2::Imaginary"]


def test_the_lock_of_the_command_line_names_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert "://" not in lock
    assert json.loads(lock)["packages"]["node_modules/aws-cdk"]["version"] == "2.1148.1"
