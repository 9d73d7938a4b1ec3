"""The commands on a real deployment: nothing changes without confirmation, and a lost host is restored."""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployment import Cloud
from infra.names import BACKUP_TAG
from infra.settings import load
from ops.restore.plan import RestoreAction
from ops.session import Session

Ops = Callable[..., subprocess.CompletedProcess[str]]
ALL = [action.value for action in RestoreAction]
STORED = "redox-balancer-123456789012-us-east-1"


@pytest.fixture(scope="module")
def ops(cloud: Cloud, settings_file: Path) -> Ops:
    """Run a command as a user does."""

    def run(*arguments: object, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"REDOX_SETTINGS": str(settings_file), **environment}
        return cloud.python("ops", *arguments, typed=typed, environment=variables)

    return run


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    return cloud.aws.client("ec2")


@pytest.fixture
def _backed_up(cloud: Cloud, ec2: Any) -> None:
    """There is an image of the host, and two runs have been trained, `second` last."""
    tags = [{"ResourceType": "image", "Tags": [{"Key": BACKUP_TAG, "Value": "host"}]}]
    ec2.create_image(InstanceId=host_of(cloud), Name="by the lifecycle manager", TagSpecifications=tags)
    for run in ("first", "second"):
        cloud.aws.client("s3").put_object(Bucket=STORED, Key=f"locks/{run}.json", Body=b"{}")


def host_of(cloud: Cloud) -> str:
    """The host of the stack, not from the code under test."""
    client = cloud.aws.client("cloudformation")
    outputs = client.describe_stacks(StackName="RedoxTraining")["Stacks"][0]["Outputs"]
    return next(each["OutputValue"] for each in outputs if each["OutputKey"] == "InstanceId")


def volume_of(cloud: Cloud) -> dict[str, Any]:
    outputs = cloud.aws.client("cloudformation").describe_stacks(StackName="RedoxStorage")["Stacks"][0]["Outputs"]
    name = next(each["OutputValue"] for each in outputs if each["OutputKey"] == "VolumeId")
    volume: dict[str, Any] = cloud.aws.client("ec2").describe_volumes(VolumeIds=[name])["Volumes"][0]
    return volume


def test_without_an_image_a_restore_names_the_alternatives(cloud: Cloud, ops: Ops) -> None:
    before = cloud.aws.changes()
    answer = ops("restore")
    assert answer.returncode == 2
    assert "error: there is no image of a host: none has the tag redox:backup" in answer.stderr
    assert "hint:  --image names another" in answer.stderr
    assert cloud.aws.changes() == before


def test_a_backup_has_the_tags_of_the_lifecycle_manager_and_reboots_nothing(cloud: Cloud, ops: Ops, ec2: Any) -> None:
    host, volume = host_of(cloud), volume_of(cloud)["VolumeId"]
    before = cloud.aws.changes()
    dry = ops("snapshot", "--dry-run")
    assert dry.stderr == f"would take an image of {host} without a reboot, and a snapshot of {volume}\n"
    assert (dry.returncode, cloud.aws.changes()) == (0, before)

    answer = ops("snapshot", "--json")
    taken = json.loads(answer.stdout)
    assert cloud.aws.changes()[len(before) :] == ["ec2 CreateSnapshot", "ec2 CreateImage"]
    image = ec2.describe_images(ImageIds=[taken["image_id"]])["Images"][0]
    snapshot = ec2.describe_snapshots(SnapshotIds=[taken["snapshot_id"]])["Snapshots"][0]
    tags = {each["Key"]: each["Value"] for each in image["Tags"]}
    assert tags.items() >= {BACKUP_TAG: "host", **load().tags}.items()
    assert snapshot["VolumeId"] == volume
    assert {"Key": BACKUP_TAG, "Value": "data"} in snapshot["Tags"]


@pytest.mark.usefixtures("_backed_up")
def test_a_dry_run_changes_nothing_and_shows_the_plan(cloud: Cloud, ops: Ops) -> None:
    host, volume, before = host_of(cloud), volume_of(cloud), cloud.aws.changes()
    answer = ops("restore", "--dry-run", "--json")
    assert answer.returncode == 0, answer.stderr
    planned = json.loads(answer.stdout)
    assert planned["actions"] == [name for name in ALL if name != "attach"]
    assert planned["run"] == "second"  # whose lock was written last
    would = [line for line in answer.stderr.splitlines() if line.startswith("would ")]
    assert [line.split()[1] for line in would] == ["save", "stop", "detach", "destroy", "deploy", "resume"]
    for name in ("quota", "checkpoints", "cost", "orphans"):
        assert ops(name, "--dry-run").returncode == 0
    assert cloud.aws.changes() == before
    assert (host_of(cloud), volume_of(cloud)) == (host, volume)


def test_a_dry_run_refuses_changes_even_if_a_command_does_not_check(
    cloud: Cloud, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.aws.environment.items():
        monkeypatch.setenv(name, value)
    before = cloud.aws.changes()
    wanted = pytest.raises(RuntimeError, match="a dry run must not call StopInstances")
    session = Session(load(settings_file), dry_run=True)
    with wanted:
        session.client("ec2").stop_instances(InstanceIds=[host_of(cloud)])
    assert cloud.aws.changes() == before


@pytest.mark.usefixtures("_backed_up")
def test_the_id_of_another_host_changes_nothing(cloud: Cloud, ops: Ops) -> None:
    host, before = host_of(cloud), cloud.aws.changes()
    typed = ops("restore", typed="yes\n")
    given = ops("restore", "--instance", "i-0123456789abcdef0")
    for answer in (typed, given):
        assert answer.returncode == 2
        assert f"is not {host}: nothing was changed\n" in answer.stderr
        assert f"hint:  python -m ops restore --instance {host}\n" in answer.stderr
    assert cloud.aws.changes() == before


def test_a_quota_that_is_too_small_is_refused_before_an_instance_is_requested(
    cloud: Cloud, ops: Ops, settings_file: Path, tmp_path: Path
) -> None:
    larger = tmp_path / "deploy.toml"
    larger.write_text(settings_file.read_text().replace("workers = 0 ", "workers = 1 "))
    before, variables = cloud.aws.changes(), {"REDOX_SETTINGS": str(larger)}
    host = host_of(cloud)
    asked = ops("quota", "--json", **variables)
    data = json.loads(asked.stdout)
    assert (data["code"], data["need"], data["have"], data["enough"]) == ("L-1216C47A", 384, 256, False)
    refused = ops("restore", "--instance", host, **variables)
    for answer in (asked, refused):
        assert answer.returncode == 2
        error, hint = answer.stderr.splitlines()
        assert error == "error: quota L-1216C47A (on demand vCPUs) is 256, 2 times r7i.48xlarge needs 384"
        assert hint.endswith("--quota-code L-1216C47A --desired-value 384 --region us-east-1")
    assert cloud.aws.changes() == before
    assert ops("quota").stdout == "L-1216C47A (on demand vCPUs): need 192, have 256\n"


def test_settings_that_cannot_be_deployed_cost_no_host(cloud: Cloud, ops: Ops, tmp_path: Path) -> None:
    sample = tmp_path / "deploy.toml"
    sample.write_text((Path(__file__).parents[2] / "deploy.toml").read_text())
    before = cloud.aws.changes()
    answer = ops("restore", "--instance", host_of(cloud), REDOX_SETTINGS=str(sample))
    assert answer.returncode == 2
    assert "error: guard.alert_email is alerts@example.com" in answer.stderr
    assert cloud.aws.changes() == before


def test_an_interrupted_restore_continues_and_restores_host_and_volume(cloud: Cloud, ops: Ops, ec2: Any) -> None:
    """Interrupted after the host was ended, with no way to deploy: the worst moment."""
    host, volume = host_of(cloud), volume_of(cloud)["VolumeId"]
    image = json.loads(ops("snapshot", "--json").stdout)["image_id"]
    # The deployment fails, as it does without a permission: the address of one service is invalid.
    broken = ops("restore", "--instance", host, "--no-wait", AWS_ENDPOINT_URL_SSM="http://127.0.0.1:9")
    assert broken.returncode == 2, broken.stderr
    assert "error: python -m infra." in broken.stderr
    assert "continues where it stopped" in broken.stderr
    before = len(cloud.aws.calls())
    again = ops("restore", "--instance", host, "--no-wait", "--json")
    assert again.returncode == 0, again.stderr
    answer = json.loads(again.stdout)
    assert "stop" not in answer["actions"]
    assert "ec2 StopInstances" not in cloud.aws.calls()[before:]
    new = cloud.instance(answer["host"])
    assert answer["host"] == host_of(cloud) != host
    assert (new["ImageId"], new["State"]["Name"]) == (image, "running")
    assert cloud.instance(host)["State"]["Name"] == "terminated"
    assert volume_of(cloud)["VolumeId"] == volume
    assert [(each["InstanceId"], each["Device"]) for each in volume_of(cloud)["Attachments"]] == [
        (answer["host"], "/dev/sdf")
    ]

    done, changes = ops("restore", "--no-wait", "--json"), cloud.aws.changes()
    assert json.loads(done.stdout)["actions"] == ["resume"]
    assert f"{answer['host']} was made from {image}: keeping it; --anew replaces it" in done.stderr
    ec2.stop_instances(InstanceIds=[answer["host"]])
    ec2.detach_volume(VolumeId=volume, InstanceId=answer["host"])
    ec2.start_instances(InstanceIds=[answer["host"]])
    attached = ops("restore", "--no-wait", "--json")
    assert json.loads(attached.stdout)["actions"] == ["attach", "resume"]
    assert cloud.aws.changes()[len(changes) :] == [
        *("ec2 StopInstances", "ec2 DetachVolume", "ec2 StartInstances"),  # of this test
        "ec2 AttachVolume",
    ]
    assert volume_of(cloud)["Attachments"][0]["InstanceId"] == answer["host"]


def test_cost_counts_hours_and_retained_resources(cloud: Cloud, ops: Ops) -> None:
    volume = volume_of(cloud)["VolumeId"]
    metrics = b"steps,updates,seconds\n512,1,100\n1024,2,7200\n"
    s3 = cloud.aws.client("s3")
    s3.put_object(Bucket=STORED, Key="experiments/production/metrics.csv", Body=metrics)
    answer = json.loads(ops("cost", "--json").stdout)
    month, settings = answer["month"], load()
    assert (month["source"], month["month"]) == ("launch", f"{datetime.now(UTC):%Y-%m}")
    assert 0 < month["hours"] < 1
    assert month["usd"] == pytest.approx(month["hours"] * settings.price.per_hour_usd)
    left = settings.guard.monthly_budget_usd - month["usd"]
    assert month["hours_left"] == pytest.approx(left / settings.price.per_hour_usd)
    assert answer["run"]["usd"] == pytest.approx(2 * settings.price.per_hour_usd)
    assert answer["run"]["steps"] == 1024
    kept = {each["what"]: each for each in answer["stays"]}
    assert kept["volume"]["name"] == f"{volume} in us-east-1a"
    assert kept["volume"]["usd_month"] == pytest.approx(45.0)
    shown = ops("cost", "--run", "nobody").stdout
    assert "run nobody: no metrics in the bucket yet" in shown
    assert re.search(r"h left at 12\.70 USD an hour; since the last start of the host", shown)


def test_orphans_are_listed_with_cost_and_command_and_kept(cloud: Cloud, ops: Ops, ec2: Any) -> None:
    assert json.loads(ops("orphans", "--json").stdout)["orphans"] == []
    tags = [{"Key": key, "Value": value} for key, value in load().tags.items()]

    def tagged(kind: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": tags}]

    zone = "us-east-1a"
    volume = ec2.create_volume(AvailabilityZone=zone, Size=100, TagSpecifications=tagged("volume"))["VolumeId"]
    foreign = ec2.create_volume(AvailabilityZone=zone, Size=7)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged("snapshot"))["SnapshotId"]
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))["AllocationId"]
    image = load().host.ami_id
    (made,) = ec2.run_instances(
        ImageId=image, InstanceType="r7i.48xlarge", MinCount=1, MaxCount=1, TagSpecifications=tagged("instance")
    )["Instances"]
    before = cloud.aws.changes()
    answer = json.loads(ops("orphans", "--json").stdout)
    found = {each["name"]: each for each in answer["orphans"]}
    assert foreign not in found
    assert set(found) == {volume, snapshot, address, made["InstanceId"]}
    expected = {volume: 8.0, snapshot: 5.0, address: 3.65, made["InstanceId"]: 12.7008 * 730}
    assert {name: each["usd_month"] for name, each in found.items()} == pytest.approx(expected)
    assert answer["usd_month"] == pytest.approx(sum(expected.values()))
    assert found[volume]["remove"] == f"aws ec2 delete-volume --volume-id {volume} --region us-east-1"
    shown = ops("orphans").stdout
    assert f"aws ec2 terminate-instances --instance-ids {made['InstanceId']} --region us-east-1" in shown
    assert cloud.aws.changes() == before
