"""Every promise of the infrastructure, verified in the templates that CloudFormation gets."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import CfnResource, aws_ec2, aws_iam

from infra.acknowledgements import reasons
from infra.names import DATA_DEVICE
from infra.settings import SettingsError, load
from infra.stacks import RedoxTraining
from infra.storage import RedoxStorage
from templates import Templates, flat, synthesise

SETTINGS = load()


def ingress(found: Templates) -> Iterator[dict[str, Any]]:
    """Every ingress rule, inline or separate."""
    for group in found.of_type("AWS::EC2::SecurityGroup"):
        yield from group["Properties"].get("SecurityGroupIngress", [])
    for rule in found.of_type("AWS::EC2::SecurityGroupIngress"):
        yield rule["Properties"]


def nothing_comes_in(found: Templates) -> None:
    assert list(ingress(found)) == []


def nothing_is_unencrypted(found: Templates) -> None:
    assert all(volume["Properties"]["Encrypted"] is True for volume in found.of_type("AWS::EC2::Volume"))
    disks = [
        device["Ebs"]
        for kind in ("AWS::EC2::Instance", "AWS::EC2::LaunchTemplate")
        for resource in found.of_type(kind)
        for device in resource["Properties"]
        .get("LaunchTemplateData", resource["Properties"])
        .get("BlockDeviceMappings", [])
        if "Ebs" in device
    ]
    assert disks
    assert all(disk["Encrypted"] is True for disk in disks)
    rules = found.one("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules == [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]


def no_right_to_delete(found: Templates) -> None:
    for _, statement in found.statements():
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert statement["Effect"] == "Allow"
        for action in actions:
            assert "*" not in action, action
            assert not re.match(r"iam:|.*:.*(Delete|Terminate)", action), action
        of_s3 = [action for action in actions if action.startswith("s3:")]
        assert set(of_s3) <= {"s3:ListBucket", "s3:GetObject", "s3:PutObject"}
        if of_s3:
            assert "CheckpointBucket" in flat(statement["Resource"])
        if statement["Resource"] == "*":
            assert set(actions) <= {
                "cloudwatch:PutMetricData",
                "ec2:DescribeInstanceStatus",
                "ecr:GetAuthorizationToken",
            }


PROMISES: list[Callable[[Templates], None]] = [nothing_comes_in, nothing_is_unencrypted, no_right_to_delete]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("variant", ["default", "spot", "small"])
def test_promise(variants: dict[str, Templates], variant: str, promise: Callable[[Templates], None]) -> None:
    promise(variants[variant])


def open_to_the_world(_storage: RedoxStorage, training: RedoxTraining) -> None:
    group = training.node.find_child("Network").security_group  # type: ignore[attr-defined]
    group.add_ingress_rule(aws_ec2.Peer.any_ipv4(), aws_ec2.Port.tcp(22))


def all_rights_on_the_bucket(storage: RedoxStorage, training: RedoxTraining) -> None:
    role = training.node.find_child("Host").role  # type: ignore[attr-defined]
    role.add_to_policy(aws_iam.PolicyStatement(actions=["s3:*"], resources=[storage.bucket.bucket_arn]))


def volume_in_the_clear(storage: RedoxStorage, _training: RedoxTraining) -> None:
    resource = storage.volume.node.default_child
    assert isinstance(resource, CfnResource)
    resource.encrypted = False  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "promise", "finding"),
    [
        (open_to_the_world, nothing_comes_in, "AwsSolutions-EC23"),
        (all_rights_on_the_bucket, no_right_to_delete, "AwsSolutions-IAM5[Action::s3:*]"),
        (volume_in_the_clear, nothing_is_unencrypted, "AwsSolutions-EC26"),
    ],
)
def test_a_planted_fault_breaks_its_promise_and_ends_the_synthesis(
    tmp_path: Path, fault: Any, promise: Callable[[Templates], None], finding: str
) -> None:
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        synthesise(tmp_path, [], plant=fault)
    report = json.loads((tmp_path / "validation-report.json").read_text())
    found = [violation["ruleName"] for plugin in report["pluginReports"] for violation in plugin["violations"]]
    assert finding in found
    stacks = (json.loads((tmp_path / f"Redox{name}.template.json").read_text()) for name in ("Storage", "Training"))
    with pytest.raises(AssertionError):
        promise(Templates(*stacks, tmp_path))


def test_with_workers_the_nodes_reach_each_other_and_no_other_ingress_is_open(variants: dict[str, Templates]) -> None:
    found = variants["workers"]
    (rule,) = ingress(found)
    assert rule["SourceSecurityGroupId"] == rule["GroupId"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 0, 65535)
    nothing_is_unencrypted(found)
    no_right_to_delete(found)


def test_workers_start_with_the_host_and_fetch_the_image(variants: dict[str, Templates]) -> None:
    found = variants["workers"]
    group = found.one("AWS::AutoScaling::AutoScalingGroup")
    assert (group["MinSize"], group["MaxSize"]) == ("0", "2")
    assert "DesiredCapacity" not in group  # a deployment starts no workers for a stopped host
    data = found.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpPutResponseHopLimit": 2, "HttpTokens": "required"}
    text = flat(data["UserData"])
    assert "REDOX_KIND='worker'" in text
    assert re.search(r"REDOX_HEAD='TrainingHost\W*PrivateIp'", text)
    allowed = {
        name: flat(s["Resource"])
        for name, s in found.statements()
        if "autoscaling:SetDesiredCapacity" in flat(s["Action"])
    }
    assert all(resource.endswith(":autoScalingGroupName/redox-workers") for resource in allowed.values())
    # Workers end themselves when the host is gone.
    assert sorted(re.sub(r"[0-9A-F]+$", "", name) for name in allowed) == [
        "HostRoleDefaultPolicy",
        "WorkersRoleDefaultPolicy",
    ]
    assert "REDOX_GROUP='redox-workers'" in text
    # An image of a host contains a copy of its data volume, which no worker needs and nothing would delete.
    (copy,) = [each for each in data["BlockDeviceMappings"] if each["DeviceName"] == DATA_DEVICE]
    assert copy["NoDevice"] == ""
    assert not any("worker" in resource["Type"].lower() for _, resource in variants["default"].resources())
    assert not variants["default"].of_type("AWS::AutoScaling::AutoScalingGroup")


def test_the_host(default: Templates) -> None:
    host = default.one("AWS::EC2::Instance")
    assert host["InstanceType"] == "r7i.48xlarge"
    assert host["ImageId"] == SETTINGS.host.ami_id
    assert host["AvailabilityZone"] == SETTINGS.aws.zone
    assert host["MetadataOptions"] == {"HttpPutResponseHopLimit": 2, "HttpTokens": "required"}
    assert host["DisableApiTermination"] is True
    assert host["InstanceInitiatedShutdownBehavior"] == "stop"
    # An image of a host contains a copy of its data volume, which is excluded in favour of the volume itself.
    attached = default.one("AWS::EC2::VolumeAttachment")
    suppressed = [each["DeviceName"] for each in host["BlockDeviceMappings"] if each.get("NoDevice") == {}]
    assert suppressed == [attached["Device"]] == [DATA_DEVICE]
    (egress,) = [group["Properties"]["SecurityGroupEgress"] for group in default.of_type("AWS::EC2::SecurityGroup")]
    assert {rule["FromPort"] for rule in egress} == {80, 443}


def test_another_instance_type_and_the_spot_market(variants: dict[str, Templates]) -> None:
    assert variants["small"].one("AWS::EC2::Instance")["InstanceType"] == "c7i.2xlarge"
    spot = variants["spot"]
    host = spot.one("AWS::EC2::Instance")
    assert host["DisableApiTermination"] is False  # not supported for spot instances
    assert host["InstanceInitiatedShutdownBehavior"] == "terminate"
    market = spot.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["InstanceMarketOptions"]
    assert market == {
        "MarketType": "spot",
        "SpotOptions": {"InstanceInterruptionBehavior": "terminate", "SpotInstanceType": "one-time"},
    }
    assert not spot.of_type(
        "AWS::Budgets::BudgetsAction"
    )  # spot instances cannot be stopped; the host's own budget ends them


def test_the_host_waits_for_its_volume_and_its_bring_up(default: Templates) -> None:
    resources = default.training["Resources"]
    (wait,) = default.of_type("AWS::CloudFormation::WaitCondition")
    (attachment,) = [name for name, found in resources.items() if found["Type"] == "AWS::EC2::VolumeAttachment"]
    assert attachment in wait["DependsOn"]
    assert flat(wait["Properties"]["Handle"]) in flat(resources["TrainingHost"]["Properties"]["UserData"])


def test_everything_in_storage_is_retained_when_its_stack_is_deleted(default: Templates) -> None:
    for name, resource in default.storage["Resources"].items():
        assert resource["DeletionPolicy"] == "Retain", name
        assert resource["UpdateReplacePolicy"] == "Retain", name
    assert {resource["Type"] for resource in default.storage["Resources"].values()} == {
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::EC2::Volume",
        "AWS::ECR::Repository",
        "AWS::Logs::LogGroup",  # with the reason of a host's failure
    }
    manifest = json.loads((default.folder / "manifest.json").read_text())
    assert manifest["artifacts"]["RedoxStorage"]["properties"]["terminationProtection"] is True


def test_the_bucket(default: Templates) -> None:
    bucket = default.one("AWS::S3::Bucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": SETTINGS.storage.noncurrent_days}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": SETTINGS.storage.incomplete_upload_days}
    assert not any(key.startswith("Expiration") for key in rule)  # current versions never expire
    statements = default.one("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    denied = [s["Condition"] for s in statements if s["Effect"] == "Deny" and s["Principal"] == {"AWS": "*"}]
    assert {"Bool": {"aws:SecureTransport": "false"}} in denied
    assert all(s["Effect"] == "Deny" for s in statements)


def test_the_agent_is_installed_when_no_other_installation_runs(default: Templates) -> None:
    """Distributor's dpkg fails at once where another process holds its lock; the bring-up holds one of its own."""
    steps = {step["name"]: step for step in default.one("AWS::SSM::Document")["Content"]["mainSteps"]}
    assert list(steps) == ["wait", "install", "start"]
    bring_up, apt = steps["wait"]["inputs"]["runCommand"][1:]
    assert re.fullmatch(r"flock --timeout \d+ /etc/redox true", bring_up)
    assert re.fullmatch(r"apt-get -q -o DPkg::Lock::Timeout=\d+ check", apt)
    assert "exec 9</etc/redox && flock 9 " in flat(default.one("AWS::EC2::Instance")["UserData"])


def test_backups_run_on_schedule_and_end(default: Templates) -> None:
    found = [policy["Properties"]["PolicyDetails"] for policy in default.of_type("AWS::DLM::LifecyclePolicy")]
    kinds = {details["PolicyType"]: details for details in found}
    assert set(kinds) == {"IMAGE_MANAGEMENT", "EBS_SNAPSHOT_MANAGEMENT"}
    backup = SETTINGS.backup
    for kind, hours, kept in (
        ("IMAGE_MANAGEMENT", backup.image_hours, backup.images_kept),
        ("EBS_SNAPSHOT_MANAGEMENT", backup.snapshot_hours, backup.snapshots_kept),
    ):
        (schedule,) = kinds[kind]["Schedules"]
        assert schedule["CreateRule"] == {"Interval": hours, "IntervalUnit": "HOURS", "Times": [backup.start_utc]}
        assert schedule["RetainRule"] == {"Count": kept}
        assert schedule["CopyTags"] is True
    assert kinds["IMAGE_MANAGEMENT"]["Parameters"] == {"NoReboot": True}
    # Each selects its resources by a tag that they have.
    for kind, resource in (
        ("IMAGE_MANAGEMENT", "AWS::EC2::Instance"),
        ("EBS_SNAPSHOT_MANAGEMENT", "AWS::EC2::Volume"),
    ):
        (tag,) = kinds[kind]["TargetTags"]
        assert tag in default.one(resource)["Tags"]


def test_alarms_reach_the_address(default: Templates) -> None:
    alarms = {
        alarm["Properties"]["AlarmDescription"]: alarm["Properties"]
        for alarm in default.of_type("AWS::CloudWatch::Alarm")
    }
    by_metric = {alarm.get("MetricName", "stale"): alarm for alarm in alarms.values()}
    assert set(by_metric) == {
        "mem_used_percent",
        "CPUUtilization",
        "stale",
        "StatusCheckFailed_System",
        "StatusCheckFailed_Instance",
    }
    topic = default.of_type("AWS::SNS::Topic")
    assert len(topic) == 1
    assert all("GuardAlerts" in flat(alarm["AlarmActions"]) for alarm in alarms.values())
    assert by_metric["mem_used_percent"]["Threshold"] == SETTINGS.guard.memory_alarm_percent
    assert by_metric["CPUUtilization"]["ComparisonOperator"] == "LessThanThreshold"
    assert by_metric["stale"]["Threshold"] == SETTINGS.backup.stale_hours * 3_600
    assert "FILL(age" in flat(by_metric["stale"]["Metrics"])  # missing data of a running host counts as stale
    assert ":ec2:recover" in flat(by_metric["StatusCheckFailed_System"]["AlarmActions"])
    assert default.one("AWS::SNS::Subscription")["Endpoint"] == SETTINGS.guard.alert_email


def test_the_budget_warns_and_stops_the_host(default: Templates) -> None:
    budget = default.one("AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": SETTINGS.guard.monthly_budget_usd, "Unit": "USD"}
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    for notification in budget["NotificationsWithSubscribers"]:
        assert notification["Subscribers"] == [{"Address": SETTINGS.guard.alert_email, "SubscriptionType": "EMAIL"}]
    action = default.one("AWS::Budgets::BudgetsAction")
    assert action["ApprovalModel"] == "AUTOMATIC"
    assert action["ActionThreshold"] == {"Type": "PERCENTAGE", "Value": 100}
    stop = action["Definition"]["SsmActionDefinition"]
    assert stop["Subtype"] == "STOP_EC2_INSTANCES"
    assert stop["InstanceIds"] == [{"Ref": "TrainingHost"}]


def test_every_resource_that_can_be_tagged_has_the_tags(default: Templates) -> None:
    for _, resource in default.resources():
        tags = resource["Properties"].get("Tags") if "Properties" in resource else None
        if isinstance(tags, list):
            assert SETTINGS.tags.items() <= {tag["Key"]: tag["Value"] for tag in tags}.items()


def test_names_that_must_never_change(variants: dict[str, Templates]) -> None:
    """To CloudFormation a new logical id is a new, empty resource; the library must not choose these."""
    for variant, found in variants.items():
        ids = {name: resource["Type"] for name, resource in found.resources()}
        assert ids["CheckpointBucket"] == "AWS::S3::Bucket"
        assert ids["Another" if variant == "elsewhere" else "DataVolume"] == "AWS::EC2::Volume"
        assert ids["TrainingHost"] == "AWS::EC2::Instance"
        assert "2.275" not in json.dumps([found.storage, found.training])  # independent of the library's version


def test_a_host_restored_from_an_image_differs_in_the_image_alone(default: Templates, tmp_path: Path) -> None:
    restored = synthesise(tmp_path, [], context={"ami_id": "ami-0123456789abcdef0"})
    assert restored.storage == default.storage
    restored.training["Resources"]["TrainingHost"]["Properties"]["ImageId"] = SETTINGS.host.ami_id
    assert restored.training == default.training
    with pytest.raises(SettingsError, match="-c ami_id=newest is not an AMI id"):
        synthesise(tmp_path, [], context={"ami_id": "newest"})


def test_cfn_lint_finds_nothing(variants: dict[str, Templates]) -> None:
    files = [str(path) for found in variants.values() for path in found.folder.glob("*.template.json")]
    # W3010: the zone is pinned on purpose, the data volume is in it.
    command = [Path(sys.executable).with_name("cfn-lint"), "--ignore-checks", "W3010", "--", *files]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_every_acknowledgement_is_needed_and_has_a_reason(variants: dict[str, Templates]) -> None:
    used: set[tuple[str, str]] = set()
    for name, found in variants.items():
        report = json.loads((found.folder / "validation-report.json").read_text())
        for plugin in report["pluginReports"]:
            assert not plugin["violations"], plugin["pluginName"]
            used |= (
                set()
                if name == "elsewhere"
                else {(each["acknowledgedAt"], each["acknowledgedId"]) for each in plugin["suppressedViolations"]}
            )
    given = reasons(SETTINGS)
    written = {(path, finding) for path, at_path in given.items() for finding in at_path}
    assert written == used
    assert all(len(reason) > 20 for at_path in given.values() for reason in at_path.values())
