"""Alarms that arrive, and a budget that may stop the host and counts this deployment, on simulated AWS over HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import stacks
from infra.settings import FILE, SettingsError, load
from infra.stacks import build
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in
from ops.simulator.policies import Request, allowing
from templates import CONTEXT, Templates, flat, synthesise

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
