"""Every promise of the infrastructure, verified in the templates that CloudFormation gets."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import aws_ec2, aws_iam

from infra.acknowledgements import reasons
from infra.settings import SettingsError, load
from infra.stacks import RedoxTraining
from infra.storage import RedoxStorage
from templates import Templates, flat, synthesise

SETTINGS = load()
OURS = {"StringEquals": {"aws:ResourceTag/redox:backup": "host"}}


def ingress(found: Templates) -> Iterator[dict[str, Any]]:
    """Every ingress rule, inline or separate."""
    for group in found.of_type("AWS::EC2::SecurityGroup"):
        yield from group["Properties"].get("SecurityGroupIngress", [])
    for rule in found.of_type("AWS::EC2::SecurityGroupIngress"):
        yield rule["Properties"]


def nothing_comes_in(found: Templates) -> None:
    assert list(ingress(found)) == []


def nothing_is_unencrypted(found: Templates) -> None:
    disks = [
        device["Ebs"]
        for resource in found.of_type("AWS::EC2::LaunchTemplate")
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
    for name, statement in found.statements():
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert statement["Effect"] == "Allow"
        for action in actions:
            assert "*" not in action, action
            if action == "autoscaling:TerminateInstanceInAutoScalingGroup":
                assert flat(statement["Resource"]).endswith(":autoScalingGroupName/redox-host")  # itself
                continue
            if action == "ec2:DeleteSnapshot":  # of an expired image
                assert (name[:5], statement["Condition"]) == ("Guard", OURS)
                continue
            assert not re.match(r"iam:|.*:.*(Delete|Terminate)", action), action
        of_s3 = [action for action in actions if action.startswith("s3:")]
        assert set(of_s3) <= {"s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"}
        if of_s3:
            assert "CheckpointBucket" in flat(statement["Resource"])
        if statement["Resource"] == "*":
            assert set(actions) <= {
                "cloudwatch:PutMetricData",
                "ecr:GetAuthorizationToken",
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeScalingActivities",
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplateVersions",
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


def disk_in_the_clear(_storage: RedoxStorage, training: RedoxTraining) -> None:
    resource = training.node.find_child("Host").template.node.default_child  # type: ignore[attr-defined]
    resource.add_property_override("LaunchTemplateData.BlockDeviceMappings.0.Ebs.Encrypted", value=False)


@pytest.mark.parametrize(
    ("fault", "promise", "finding"),
    [
        (open_to_the_world, nothing_comes_in, "AwsSolutions-EC23"),
        (all_rights_on_the_bucket, no_right_to_delete, "AwsSolutions-IAM5[Action::s3:*]"),
        (disk_in_the_clear, nothing_is_unencrypted, ""),
    ],
)
def test_a_planted_fault_breaks_its_promise_and_ends_the_synthesis(
    tmp_path: Path, fault: Any, promise: Callable[[Templates], None], finding: str
) -> None:
    ends = (
        pytest.raises(RuntimeError, match="ValidationFailed") if finding else nullcontext()
    )  # no rule knows templates
    with ends:
        synthesise(tmp_path, [], plant=fault)
    report = json.loads((tmp_path / "validation-report.json").read_text())
    found = [violation["ruleName"] for plugin in report["pluginReports"] for violation in plugin["violations"]]
    assert not finding or finding in found
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


def launch_data(found: Templates, owner: str) -> dict[str, Any]:
    """The data of the launch template of the host or of its workers."""
    (data,) = [
        resource["Properties"]["LaunchTemplateData"]
        for name, resource in found.resources()
        if resource["Type"] == "AWS::EC2::LaunchTemplate" and name.startswith(owner)
    ]
    return dict(data)


def group(found: Templates, owner: str) -> dict[str, Any]:
    (properties,) = [
        resource["Properties"]
        for name, resource in found.resources()
        if resource["Type"] == "AWS::AutoScaling::AutoScalingGroup" and name.startswith(owner)
    ]
    return dict(properties)


def test_workers_start_with_the_host_and_fetch_the_image(variants: dict[str, Templates]) -> None:
    found = variants["workers"]
    workers = group(found, "Workers")
    assert (workers["MinSize"], workers["MaxSize"]) == ("0", "2")
    assert "DesiredCapacity" not in workers  # a deployment starts no workers
    data = launch_data(found, "Workers")
    assert data["MetadataOptions"] == {"HttpPutResponseHopLimit": 2, "HttpTokens": "required"}
    assert flat(data["UserData"]).rstrip().endswith(', "worker")')
    allowed = {
        name: flat(statement["Resource"]).rpartition("/")[2]
        for name, statement in found.statements()
        if "autoscaling:SetDesiredCapacity" in flat(statement["Action"]) and not name.startswith("Guard")
    }
    assert {name[:4] for name in allowed} == {"Host", "Work"}  # the host, and workers whose host is gone
    assert set(allowed.values()) == {"redox-workers"}
    for variant in ("default", "small"):
        assert not any(name.startswith("Workers") for name, _ in variants[variant].resources())


def test_the_host_is_a_group_of_one_over_all_zones_and_types(default: Templates) -> None:
    host = group(default, "Host")
    assert (host["AutoScalingGroupName"], host["MinSize"], host["MaxSize"]) == ("redox-host", "0", "1")
    assert "DesiredCapacity" not in host  # a deployment neither starts a host nor ends one
    assert host["HealthCheckType"] == "EC2"
    subnets = {name: each["Properties"] for name, each in default.resources() if each["Type"] == "AWS::EC2::Subnet"}
    assert {each["AvailabilityZone"] for each in subnets.values()} == set(SETTINGS.aws.zones)
    assert {each["Ref"] for each in host["VPCZoneIdentifier"]} == set(subnets)
    template = host["MixedInstancesPolicy"]["LaunchTemplate"]
    assert [each["InstanceType"] for each in template["Overrides"]] == list(SETTINGS.host.instance_types)
    assert template["Overrides"][0] == {"InstanceType": "r7i.48xlarge"}
    # The newest version of the template: only a new host is made from it.
    assert template["LaunchTemplateSpecification"]["Version"]["Fn::GetAtt"][1] == "LatestVersionNumber"
    (policy,) = [each["UpdatePolicy"] for name, each in default.resources() if name.startswith("HostGroup")]
    assert set(policy) == {"AutoScalingScheduledAction"}  # neither rolling nor replacing
    bought = host["MixedInstancesPolicy"]["InstancesDistribution"]
    assert bought["OnDemandPercentageAboveBaseCapacity"] == 100
    assert bought["OnDemandAllocationStrategy"] == "prioritized"
    events = {event.rpartition("_")[2] for event in host["NotificationConfigurations"][0]["NotificationTypes"]}
    assert events == {"LAUNCH", "TERMINATE", "ERROR"}  # by mail


def test_a_host_keeps_nothing_when_it_ends(default: Templates) -> None:
    data = launch_data(default, "Host")
    assert data["ImageId"] == SETTINGS.host.ami_id
    assert data["MetadataOptions"] == {"HttpPutResponseHopLimit": 2, "HttpTokens": "required"}
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    (disk,) = data["BlockDeviceMappings"]
    assert disk["Ebs"] == {
        "DeleteOnTermination": True,
        "Encrypted": True,
        "VolumeSize": SETTINGS.host.disk_gib,
        "VolumeType": "gp3",
    }
    kinds = {resource["Type"] for _, resource in default.resources()}
    assert not {"AWS::EC2::Volume", "AWS::EC2::VolumeAttachment", "AWS::EC2::Instance"} & kinds
    (egress,) = [group["Properties"]["SecurityGroupEgress"] for group in default.of_type("AWS::EC2::SecurityGroup")]
    assert {rule["FromPort"] for rule in egress} == {80, 443}


def test_another_instance_type_and_the_spot_market(variants: dict[str, Templates]) -> None:
    small = group(variants["small"], "Host")["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert small == [{"InstanceType": "c7i.2xlarge"}]
    spot = group(variants["spot"], "Host")["MixedInstancesPolicy"]["InstancesDistribution"]
    assert spot["OnDemandPercentageAboveBaseCapacity"] == 0
    assert spot["SpotAllocationStrategy"] == "price-capacity-optimized"
    assert "InstanceMarketOptions" not in launch_data(variants["spot"], "Host")  # the group decides


def test_everything_in_storage_is_retained_when_its_stack_is_deleted(default: Templates) -> None:
    kept = set()
    for name, resource in default.storage["Resources"].items():
        if not name.startswith("Guard"):  # the function and what calls it: no data
            assert resource["DeletionPolicy"] == "Retain", name
            assert resource["UpdateReplacePolicy"] == "Retain", name
            kept.add(resource["Type"])
    assert kept == {"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::ECR::Repository", "AWS::Logs::LogGroup"}
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
    assert "fcntl.flock(turn, fcntl.LOCK_EX)" in flat(launch_data(default, "Host")["UserData"])


def test_the_function_can_tell_hosts_and_is_called_every_few_minutes(default: Templates) -> None:
    function = default.one("AWS::Lambda::Function")
    known = function["Environment"]["Variables"]
    (tag,) = [each for each in group(default, "Host")["Tags"] if each["Key"] == known["TAG"]]
    assert (tag["Value"], tag["PropagateAtLaunch"], known["GROUP"]) == ("host", True, "redox-host")
    rules = [each["Properties"] for each in default.of_type("AWS::Events::Rule")]
    assert {each.get("ScheduleExpression") for each in rules} == {"rate(10 minutes)", None}
    assert all(each["State"] == "ENABLED" for each in rules)
    assert len(function["Code"]["ZipFile"]) < 2**18  # bytes of a template


def test_alarms_reach_the_address(default: Templates) -> None:
    alarms = [alarm["Properties"] for alarm in default.of_type("AWS::CloudWatch::Alarm")]
    by_metric = {alarm.get("MetricName", "stale"): alarm for alarm in alarms if len(alarm["AlarmActions"]) == 1}
    assert set(by_metric) == {"mem_used_percent", "CPUUtilization", "stale"}
    assert len(alarms) == 4
    assert all("GuardAlerts" in flat(alarm["AlarmActions"]) for alarm in alarms)
    # By group: the host is another one every time.
    of_group = [{"Name": "AutoScalingGroupName", "Value": "redox-host"}]
    assert all(alarm["Dimensions"] == of_group for alarm in alarms if "Dimensions" in alarm)
    assert by_metric["mem_used_percent"]["Threshold"] == SETTINGS.guard.memory_alarm_percent
    assert by_metric["CPUUtilization"]["ComparisonOperator"] == "LessThanThreshold"
    assert by_metric["stale"]["Threshold"] == SETTINGS.backup.stale_hours * 3_600
    assert "FILL(age" in flat(by_metric["stale"]["Metrics"])  # missing data of a running host counts as stale
    mails = [each["Properties"] for each in default.of_type("AWS::SNS::Subscription")]
    assert [each["Endpoint"] for each in mails if each["Protocol"] == "email"] == [SETTINGS.guard.alert_email]


def test_the_budget_warns(default: Templates) -> None:
    budget = default.one("AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": SETTINGS.guard.monthly_budget_usd, "Unit": "USD"}
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    mail = {"Address": SETTINGS.guard.alert_email, "SubscriptionType": "EMAIL"}
    assert all(mail in notification["Subscribers"] for notification in budget["NotificationsWithSubscribers"])


def test_every_resource_that_can_be_tagged_has_the_tags(default: Templates) -> None:
    for _, resource in default.resources():
        tags = resource["Properties"].get("Tags") if "Properties" in resource else None
        if isinstance(tags, list):
            assert SETTINGS.tags.items() <= {tag["Key"]: tag["Value"] for tag in tags}.items()


def test_names_that_must_never_change(variants: dict[str, Templates]) -> None:
    """To CloudFormation a new logical id is a new, empty resource; the library must not choose these."""
    for found in variants.values():
        ids = {name: resource["Type"] for name, resource in found.resources()}
        assert ids["CheckpointBucket"] == "AWS::S3::Bucket"
        assert "2.275" not in json.dumps([found.storage, found.training])  # independent of the library's version


def test_a_host_restored_from_an_image_differs_in_the_image_alone(default: Templates, tmp_path: Path) -> None:
    restored = synthesise(tmp_path, [], context={"ami_id": "ami-0123456789abcdef0"})
    assert restored.storage == default.storage
    assert launch_data(restored, "Host")["ImageId"] == "ami-0123456789abcdef0"
    text = json.dumps(restored.training).replace("ami-0123456789abcdef0", SETTINGS.host.ami_id)
    assert json.loads(text) == default.training
    with pytest.raises(SettingsError, match="-c ami_id=newest is not an AMI id"):
        synthesise(tmp_path, [], context={"ami_id": "newest"})


def test_cfn_lint_finds_nothing(variants: dict[str, Templates]) -> None:
    files = [str(path) for found in variants.values() for path in found.folder.glob("*.template.json")]
    # W3010: zones are listed on purpose, a synthesis asks no account for them.
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
