"""Alarms that arrive, and a budget that may stop the host and counts this deployment, on simulated AWS over HTTP."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import stacks
from infra.machine.contract import OUTCOME
from infra.names import BACKUP_TAG, HOST_GROUP
from infra.settings import FILE, SettingsError, load
from infra.stacks import build
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in
from ops.simulator.permissions import FUNCTION, GROUPS, IN_EC2
from ops.simulator.policies import Request, allowing
from templates import CONTEXT, Templates, flat, synthesise
from waiting import wait_until

SETTINGS = load()


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return synthesise(tmp_path_factory.mktemp("default"), [])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, default: Templates) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("aws")) as aws:
        stacks.create(aws, default)
        yield aws


def alerts(aws: StandIn) -> str:
    """Return the topic of the alarms."""
    topics = [each["TopicArn"] for each in aws.client("sns").list_topics()["Topics"]]
    (found,) = [each for each in topics if "Alerts" in each]
    return str(found)


def fire(aws: StandIn, topic: str) -> list[str]:
    """Fire every alarm, and return the names of those whose message arrives."""
    sqs, cloudwatch = aws.client("sqs"), aws.client("cloudwatch")
    queue = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:mailbox"
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    for alarm in cloudwatch.describe_alarms()["MetricAlarms"]:
        for state in ("OK", "ALARM"):
            cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason="a test")
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(json.loads(each["Body"])["Message"])["AlarmName"] for each in received]


class Guarded:
    """A deployment, and what its function does to it."""

    def __init__(self, aws: StandIn) -> None:
        self.aws = aws
        self.ec2, self.sns, self.s3 = (aws.client(name) for name in ("ec2", "sns", "s3"))
        self.bucket = SETTINGS.storage.bucket(ACCOUNT, REGION)
        self._autoscaling, self._sqs = aws.client("autoscaling"), aws.client("sqs")
        self._queue = self._sqs.create_queue(QueueName="mails")["QueueUrl"]
        self.sns.subscribe(TopicArn=alerts(aws), Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:mails")

    def tick(self, **later: int) -> None:
        self.aws.tick(datetime.now(UTC) + timedelta(**later))

    def scale(self, hosts: int) -> None:
        self._autoscaling.set_desired_capacity(AutoScalingGroupName=HOST_GROUP, DesiredCapacity=hosts)

    def group(self) -> dict[str, Any]:
        (found,) = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[HOST_GROUP])[
            "AutoScalingGroups"
        ]
        return dict(found)

    def percent_on_demand(self) -> int:
        bought = self.group()["MixedInstancesPolicy"]["InstancesDistribution"]
        return int(bought["OnDemandPercentageAboveBaseCapacity"])

    def reported(self, failures: int) -> None:
        outcome = {"instance": "i-1", "step": "packages", "failures": failures, "log": "E: no space left"}
        self.s3.put_object(Bucket=self.bucket, Key=OUTCOME, Body=json.dumps(outcome).encode())

    def mails(self) -> list[str]:
        """Return the mails since the last call."""
        received = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
        for each in received:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        return [json.loads(each["Body"])["Message"] for each in received]

    def next_mail(self) -> str:
        """Return the next mail, once it has arrived."""
        found = list[str]()

        def arrived() -> bool:
            found.extend(self.mails())
            return bool(found)

        wait_until(arrived)
        (mail,) = found
        return mail

    def images(self) -> dict[str, Any]:
        tagged = [{"Name": "tag-key", "Values": [BACKUP_TAG]}]
        found = self.ec2.describe_images(Owners=["self"], Filters=tagged)["Images"]
        return {each["ImageId"]: each for each in found}

    def take_image(self) -> str:
        (host,) = self.group()["Instances"]
        tags = [{"Key": BACKUP_TAG, "Value": "host"}]
        made = self.ec2.create_image(
            InstanceId=host["InstanceId"],
            Name="by hand",
            TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")],
        )
        return str(made["ImageId"])

    def make_hosts_from(self, image: str) -> None:
        policy = self.group()["MixedInstancesPolicy"]
        wanted = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
        made = self.ec2.create_launch_template_version(
            LaunchTemplateId=wanted["LaunchTemplateId"], LaunchTemplateData={"ImageId": image}
        )
        wanted["Version"] = str(made["LaunchTemplateVersion"]["VersionNumber"])
        wanted.pop("LaunchTemplateName", None)
        self._autoscaling.update_auto_scaling_group(AutoScalingGroupName=HOST_GROUP, MixedInstancesPolicy=policy)

    def delete_the_hosts_stack(self) -> None:
        self._autoscaling.delete_auto_scaling_group(AutoScalingGroupName=HOST_GROUP, ForceDelete=True)

    def rights(self) -> list[Any]:
        iam = self.aws.client("iam")
        (role,) = [each["RoleName"] for each in iam.list_roles()["Roles"] if "GuardRole" in each["RoleName"]]
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return list(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, default: Templates) -> Iterator[Guarded]:
    with stand_in(tmp_path_factory.mktemp("guarded")) as aws:
        stacks.create(aws, default)
        yield Guarded(aws)


@pytest.fixture(scope="module")
def on_spot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with stand_in(tmp_path_factory.mktemp("spot")) as aws:
        stacks.create(aws, synthesise(tmp_path_factory.mktemp("template"), [("spot = false", "spot = true")]))
        yield Guarded(aws)


def test_every_alarm_reaches_the_topic(deployed: StandIn) -> None:
    arrived = fire(deployed, alerts(deployed))
    assert len(arrived) == 4
    assert deployed.hidden_failures() == []


def test_a_topic_with_a_denial_alone_lets_no_alarm_publish(deployed: StandIn) -> None:
    """The rule of the stand-in itself: such a policy replaces the one that a topic has by default."""
    topic = deployed.client("sns").create_topic(Name="silent")["TopicArn"]
    cloudwatch = deployed.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="lonely",
        AlarmActions=[topic],
        MetricName="m",
        Namespace="n",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Average",
    )
    cloudwatch.set_alarm_state(AlarmName="lonely", StateValue="ALARM", StateReason="the default policy")
    assert deployed.hidden_failures() == []
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    denial = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic, "Condition": insecure}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denial]})
    deployed.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    cloudwatch.set_alarm_state(AlarmName="lonely", StateValue="OK", StateReason="again")
    cloudwatch.set_alarm_state(AlarmName="lonely", StateValue="ALARM", StateReason="again")
    (broken,) = deployed.hidden_failures()
    assert f"alarm:lonely is not authorized to perform: SNS:Publish on resource: {topic}" in broken


@pytest.mark.parametrize(
    ("service", "source", "account", "allowed"),
    [
        ("cloudwatch", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:any", ACCOUNT, True),
        ("cloudwatch", f"arn:aws:cloudwatch:{REGION}:999999999999:alarm:any", "999999999999", False),
        ("budgets", "arn:aws:budgets::999999999999:budget/other", "999999999999", False),
        ("events", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/any", ACCOUNT, False),
    ],
)
def test_the_topic_admits_alarms_of_this_account_alone(
    deployed: StandIn, service: str, source: str, account: str, *, allowed: bool
) -> None:
    topic = alerts(deployed)
    policy = json.loads(deployed.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    context = {"aws:SourceArn": source, "aws:SourceAccount": account, "aws:SecureTransport": "true"}
    for connection in ("true", "false"):
        asked = Request("sns:Publish", topic, {**context, "aws:SecureTransport": connection})
        found = allowing(policy["Statement"], asked, service=f"{service}.amazonaws.com")
        assert bool(found) is (allowed and connection == "true")


def spent_topic(found: Templates) -> str:
    """Return the topic that AWS publishes to when the bill has reached the budget, and at no other time."""
    budget = found.one("AWS::Budgets::Budget")
    stopping = [
        each
        for each in budget["NotificationsWithSubscribers"]
        if "SNS" in {subscriber["SubscriptionType"] for subscriber in each["Subscribers"]}
    ]
    (notice,) = [each["Notification"] for each in stopping]
    assert (notice["NotificationType"], notice["Threshold"]) == ("ACTUAL", 100)
    topic = next(each for each in stopping[0]["Subscribers"] if each["SubscriptionType"] == "SNS")
    return flat(topic["Address"])


def test_a_spent_budget_sets_the_group_to_0_with_a_mail(default: Templates, guarded: Guarded) -> None:
    assert "GuardSpent" in spent_topic(default)
    guarded.scale(1)
    (topic,) = [each["TopicArn"] for each in guarded.sns.list_topics()["Topics"] if "GuardSpent" in each["TopicArn"]]
    guarded.sns.publish(TopicArn=topic, Message="ACTUAL > 100 %")
    assert guarded.group()["DesiredCapacity"] == 0
    (mail,) = guarded.mails()
    assert mail == "redox-host: AWS's bill has reached the budget of the month; the group of hosts is at 0"


def test_a_host_that_is_too_old_is_ended_without_a_replacement(guarded: Guarded) -> None:
    guarded.scale(1)
    guarded.tick(days=SETTINGS.guard.longest_days, hours=-1)
    assert guarded.mails() == []
    (host,) = guarded.group()["Instances"]
    guarded.tick(days=SETTINGS.guard.longest_days, hours=1)
    assert (guarded.group()["DesiredCapacity"], guarded.group()["Instances"]) == (0, [])
    (mail,) = guarded.mails()
    assert f"{host['InstanceId']} is {SETTINGS.guard.longest_days} days old, the longest that a host may run" in mail


def test_a_failed_set_up_is_mailed_and_the_third_leaves_the_group_at_0(guarded: Guarded) -> None:
    """Whoever wrote the outcome, and whether or not its host lives on to end itself."""
    guarded.scale(1)
    guarded.reported(failures=0)
    guarded.reported(failures=1)
    assert guarded.next_mail().startswith(
        "redox-host: the set-up of i-1 failed in step packages: 1 in a row of 3 at most\n\nE: no space left"
    )
    assert guarded.group()["DesiredCapacity"] == 1
    guarded.reported(failures=3)
    assert "failed in step packages: 3 in a row; the group of hosts is at 0\n\nE: no space" in guarded.next_mail()
    assert guarded.group()["DesiredCapacity"] == 0
    # No other object of the bucket calls the function.
    guarded.s3.put_object(Bucket=guarded.bucket, Key="state/run.env", Body=b"")
    guarded.reported(failures=1)
    guarded.next_mail()
    assert guarded.mails() == []


def test_images_are_taken_on_schedule_and_all_of_ours_expire_without_a_host(guarded: Guarded) -> None:
    hours, days = SETTINGS.backup.image_hours, SETTINGS.backup.image_days
    foreign = guarded.ec2.register_image(Name="not ours")["ImageId"]
    guarded.scale(1)
    guarded.tick(hours=hours, minutes=-5)
    assert guarded.images() == {}
    guarded.tick(hours=hours, minutes=5)
    ((name, image),) = guarded.images().items()
    guarded.tick(hours=hours, minutes=15)  # of its creation, which is now for moto
    made_by_hand = guarded.take_image()
    tags = {each["Key"]: each["Value"] for each in image["Tags"]}
    assert tags.items() >= {"redox:backup": "host", **SETTINGS.tags}.items()
    assert not any(key.startswith("aws:") for key in tags)
    guarded.scale(0)
    guarded.tick(days=days, hours=-1)
    assert set(guarded.images()) >= {name, made_by_hand}
    guarded.make_hosts_from(made_by_hand)
    guarded.tick(days=days, hours=1)
    assert set(guarded.images()) == {made_by_hand}  # it cannot expire before hosts are made from another
    guarded.delete_the_hosts_stack()
    guarded.tick(days=days, hours=1)
    assert guarded.images() == {}
    assert guarded.ec2.describe_images(ImageIds=[foreign])["Images"]
    ours = [{"Name": "tag-key", "Values": [BACKUP_TAG]}]
    owned = guarded.ec2.describe_snapshots(OwnerIds=["self"], Filters=ours)
    assert owned["Snapshots"] == []


def test_spot_without_capacity_falls_back_to_on_demand_until_the_group_is_at_0(on_spot: Guarded) -> None:
    refusal = "There is no Spot capacity available that matches your request."
    on_spot.aws.set_account(no_spot=refusal)
    on_spot.scale(1)
    on_spot.tick(minutes=5)
    assert (on_spot.percent_on_demand(), on_spot.group()["Instances"]) == (0, [])
    on_spot.tick(minutes=20)
    assert on_spot.percent_on_demand() == 100
    assert len(on_spot.group()["Instances"]) == 1
    (mail,) = on_spot.mails()
    assert mail.startswith("redox-host: no spot instance: the next host is on demand, until the group is at 0")
    assert refusal in mail
    on_spot.tick(minutes=30)
    assert on_spot.percent_on_demand() == 100  # while its host runs
    on_spot.scale(0)
    on_spot.tick(minutes=40)
    assert (on_spot.percent_on_demand(), on_spot.mails()) == (0, [])
    bought = on_spot.group()["MixedInstancesPolicy"]
    assert bought["InstancesDistribution"]["SpotAllocationStrategy"] == "price-capacity-optimized"
    assert len(bought["LaunchTemplate"]["Overrides"]) == len(SETTINGS.host.instance_types)


def test_the_function_has_no_right_that_it_does_not_use(guarded: Guarded, on_spot: Guarded) -> None:
    """After the tests above, which have it do everything."""
    for each in (guarded, on_spot):
        assert each.aws.hidden_failures() == []
    unused = [json.loads(line.partition(" ")[2])["Action"] for line in guarded.aws.unused_statements(FUNCTION)]
    assert unused == [["logs:CreateLogStream", "logs:PutLogEvents"]]  # calls of Lambda itself
    for refused in (
        Request("ec2:DeregisterImage", f"arn:aws:ec2:{REGION}::image/ami-1"),
        Request("ec2:CreateImage", f"{IN_EC2}:instance/i-1", {"aws:ResourceTag/redox:backup": "other"}),
        Request("s3:GetObject", f"arn:aws:s3:::{guarded.bucket}/experiments/mine/metrics.csv"),
        Request("autoscaling:UpdateAutoScalingGroup", f"{GROUPS}/redox-host"),
    ):
        assert not allowing(guarded.rights(), refused), refused


def test_a_host_that_does_nothing_for_hours_is_ended_by_its_alarm(default: Templates, tmp_path: Any) -> None:
    def unused(found: Templates) -> list[Any]:
        alarms = [each["Properties"] for each in found.of_type("AWS::CloudWatch::Alarm")]
        return [
            each for each in alarms if "ScalingPolicy" in flat(each["AlarmActions"]) or len(each["AlarmActions"]) > 1
        ]

    (alarm,) = unused(default)
    policy = default.one("AWS::AutoScaling::ScalingPolicy")
    assert (policy["AdjustmentType"], policy["AutoScalingGroupName"]) == (
        "ExactCapacity",
        {"Ref": "HostGroupASG"},
    ) or (policy["AdjustmentType"] == "ExactCapacity")
    assert [each["ScalingAdjustment"] for each in policy["StepAdjustments"]] == [0]
    # Less than half a core, for longer than the watch waits; eight actors on 192 cores are more.
    assert alarm["Threshold"] == pytest.approx(100 * 0.5 / 192)
    assert alarm["EvaluationPeriods"] * alarm["Period"] > 60 * SETTINGS.host.idle_minutes
    assert alarm["Dimensions"] == [{"Name": "AutoScalingGroupName", "Value": "redox-host"}]
    never = synthesise(tmp_path, [("idle_minutes = 60", "idle_minutes = 0")])
    assert unused(never) == []


def test_the_budget_counts_the_tag_of_the_deployment(default: Templates, tmp_path: Any) -> None:
    assert "CostFilters" not in default.one("AWS::Budgets::Budget")["Budget"]  # an inactive tag would count nothing
    tagged = synthesise(tmp_path, [], context={"budget_tag": "project"})
    filters = tagged.one("AWS::Budgets::Budget")["Budget"]["CostFilters"]
    assert filters == {"TagKeyValue": [f"user:project${SETTINGS.tags['project']}"]}
    from aws_cdk import App  # noqa: PLC0415 - loads the CDK

    with pytest.raises(SettingsError, match=f"budget_tag=colour is none of the tags of {FILE.name}"):
        build(App(context={**CONTEXT, "budget_tag": "colour"}), SETTINGS)
