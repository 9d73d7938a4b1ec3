"""A real deployment with the pinned CDK, against the AWS stand-in: from an empty account to a restored host."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import ran
from deployment import Cloud
from infra import deploy
from infra.bring_up import MachineContext, script
from infra.deployed import find
from infra.settings import FILE, ROOT, load, parse
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in
from redox_balancer.errors import RedoxError

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


def test_a_deployment_creates_host_bucket_and_volume(cloud: Cloud, deployed: dict[str, dict[str, str]]) -> None:
    storage, training = deployed["RedoxStorage"], deployed["RedoxTraining"]
    assert storage["BucketName"] == SETTINGS.storage.bucket(ACCOUNT, REGION)
    host = cloud.instance(training["InstanceId"])
    assert (host["InstanceType"], host["ImageId"]) == (SETTINGS.host.instance_type, SETTINGS.host.ami_id)
    volume = cloud.aws.client("ec2").describe_volumes(VolumeIds=[storage["VolumeId"]])["Volumes"][0]
    (attached,) = volume["Attachments"]
    assert (attached["InstanceId"], attached["Device"]) == (training["InstanceId"], "/dev/sdf")


def test_a_diff_after_the_deployment_is_empty(
    cloud: Cloud, deployed: dict[str, dict[str, str]], assembly: Path
) -> None:
    assert deployed
    said = cloud.run("diff", "--method=template", app=assembly)
    assert "Number of stacks with differences: 0" in said.stdout + said.stderr


def test_apply_sends_the_set_up_of_the_host(
    cloud: Cloud, deployed: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.aws.environment.items():
        monkeypatch.setenv(name, value)
    there = find(SETTINGS)
    assert there
    machine = MachineContext.of_host(
        SETTINGS, repository=there.repository, bucket=there.bucket, volume=there.volume_id
    )
    dry = cloud.python("infra.apply", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout == script(SETTINGS, machine)
    assert f"REDOX_VOLUME='{deployed['RedoxStorage']['VolumeId']}'" in dry.stdout
    assert cloud.aws.client("ssm").list_commands()["Commands"] == []
    answer = cloud.python("infra.apply")
    assert answer.returncode == 0, answer.stderr
    (sent,) = cloud.aws.client("ssm").list_commands()["Commands"]
    assert sent["InstanceIds"] == [deployed["RedoxTraining"]["InstanceId"]]


def test_a_deployment_never_replaces_a_host_implicitly(
    cloud: Cloud, deployed: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.aws.environment.items():
        monkeypatch.setenv(name, value)
    settings = parse(FILE.read_text().replace("alerts@example.com", "lab@cell.bio"))
    with pytest.raises(RedoxError, match="would replace it") as refused:
        deploy.deploy(settings, NEW_IMAGE, [])
    assert SETTINGS.host.ami_id in refused.value.hint
    assert cloud.instance(deployed["RedoxTraining"]["InstanceId"])["State"]["Name"] == "running"


def test_a_sample_address_is_not_deployed(cloud: Cloud) -> None:
    answer = cloud.python("infra.deploy")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: guard.alert_email is alerts@example.com, which reaches nobody")


def test_destroy_confirms_retains_the_data_and_reports_its_cost_and_restore_finds_it(
    cloud: Cloud, deployed: dict[str, dict[str, str]]
) -> None:
    host, storage = deployed["RedoxTraining"]["InstanceId"], deployed["RedoxStorage"]
    refused = cloud.python("infra.destroy", typed="yes\n")
    assert refused.returncode == 2
    assert f"error: yes is not {host}: nothing was changed" in refused.stderr
    assert cloud.instance(host)["State"]["Name"] == "running"

    gone = cloud.python("infra.destroy", typed=f"{host}\n")
    assert gone.returncode == 0, gone.stderr
    assert cloud.instance(host)["State"]["Name"] == "terminated"
    said = gone.stderr
    assert f"bucket  s3://{storage['BucketName']}  0.0 GiB  0.00 USD a month" in said
    # 500 GiB at 0.08, and 125 MiB/s above those that are included at 0.04.
    assert f"volume  {storage['VolumeId']} in us-east-1a  500 GiB  45.00 USD a month" in said
    assert re.search(r"total 45\.00 USD a month plus the backups", said)
    without = cloud.python("infra.destroy", "--instance", host)
    assert (without.returncode, without.stderr) == (
        2,
        "error: there is no host: no stack RedoxTraining\nhint: make deploy\n",
    )

    restored = cloud.folder / "restored"
    cloud.run("synth", "--quiet", "--output", restored, "-c", f"ami_id={NEW_IMAGE}")
    outputs = cloud.deploy(restored)
    assert outputs["RedoxStorage"] == storage
    new = cloud.instance(outputs["RedoxTraining"]["InstanceId"])
    assert (new["ImageId"], new["InstanceId"] != host) == (NEW_IMAGE, True)
    ec2, s3 = cloud.aws.client("ec2"), cloud.aws.client("s3")
    volumes = ec2.describe_volumes(VolumeIds=[storage["VolumeId"]])["Volumes"]
    assert [attached["InstanceId"] for attached in volumes[0]["Attachments"]] == [new["InstanceId"]]
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
