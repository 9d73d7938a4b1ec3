"""Rules of AWS that moto skips, each as AWS documents it.

A broken rule is logged, and `StandIn.hidden_failures` returns it; refusals that a client has to handle are answered.
"""

import json
import os
import sys
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

from ops.simulator.policies import Request, allowing
from ops.simulator.records import HOSTS

BROKEN = "rule: "  # prefix of the log lines of broken rules
ACCOUNT_FILE = "account.json"  # state of the account that a test sets: `StandIn.set_account`
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html. AWS answers some of them with 500,
# which clients would retry for half a minute.
REFUSALS = {
    "InsufficientInstanceCapacity": "We currently do not have sufficient {type} capacity in the Availability Zone "
    "you requested ({zone}).",
    "InstanceLimitExceeded": "You have requested more instances (1) than your current instance limit of 0 allows for "
    "the specified instance type.",
    "VcpuLimitExceeded": "You have requested more vCPU capacity than your current vCPU limit of 5 allows for the "
    "instance bucket that the specified instance type belongs to.",
    "UnsupportedOperation": "Your requested instance type ({type}) is not supported in your requested Availability "
    "Zone ({zone}).",
}


def add_rules() -> None:
    """Add all rules to moto."""
    _alarms_publish_where_the_topic_allows_it()
    _instances_need_capacity()
    _stacks_have_policies_and_alarms()
    _mail_waits_for_its_reader()
    _cost_allocation_tags_are_active_when_set()


def replace(kind: Any, **methods: Any) -> None:
    """Replace methods of a class of moto, or add them."""
    for name, method in methods.items():
        setattr(kind, name, method)


def account() -> Mapping[str, Any]:
    """Return the state of the account: what `StandIn.set_account` was given."""
    path = Path(os.environ[HOSTS]).with_name(ACCOUNT_FILE)
    return dict(json.loads(path.read_text())) if path.exists() else {}


def broken(text: str) -> None:
    """Log a broken rule."""
    write_log(f"{BROKEN}{text}")


def write_log(line: str) -> None:
    """Write a line of the server's log, whole: `print` would let another request's thread in before its end."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _alarms_publish_where_the_topic_allows_it() -> None:
    """Actions run when an alarm changes its state, and publish as the topic's policy allows.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-actions.html
    https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger, which has the texts of the history
    """
    from moto.cloudwatch.models import CloudWatchBackend  # noqa: PLC0415
    from moto.cloudwatch.responses import CloudWatchResponse  # noqa: PLC0415
    from moto.core.responses import ActionResult  # noqa: PLC0415
    from moto.sns.models import sns_backends  # noqa: PLC0415

    original = CloudWatchBackend.set_alarm_state

    def as_aws_does(self: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        before = self.alarms[alarm_name].state_value if alarm_name in self.alarms else ""
        original(self, alarm_name, reason, reason_data, state_value)
        alarm = self.alarms[alarm_name]
        actions = alarm.alarm_actions if state_value == "ALARM" else alarm.ok_actions
        for topic in [each for each in actions if ":sns:" in each and before != state_value]:
            sns, source = sns_backends[self.account_id][self.region_name], {"aws:SourceArn": alarm.alarm_arn}
            source |= {"aws:SourceAccount": self.account_id, "aws:SourceOwner": self.account_id}
            source |= {"aws:SecureTransport": "true"}
            policy = json.loads(sns.get_topic(topic).policy)
            asked = Request("sns:Publish", topic, source)
            if allowing(policy["Statement"], asked, service="cloudwatch.amazonaws.com"):
                sns.publish(json.dumps({"AlarmName": alarm_name, "NewStateValue": state_value}), topic)
                said = f"Successfully executed action {topic}"
            else:
                refused = f"{alarm.alarm_arn} is not authorized to perform: SNS:Publish on resource: {topic}"
                broken(refused)
                said = f'Failed to execute action {topic}. Received error: "{refused}"'
            alarm.__dict__.setdefault("told", []).insert(0, said)

    def history(self: Any) -> Any:
        name, kind = self._get_param("AlarmName"), self._get_param("HistoryItemType")
        told = getattr(self.cloudwatch_backend.alarms[name], "told", [])
        items = [{"AlarmName": name, "HistoryItemType": kind, "HistorySummary": said} for said in told]
        return ActionResult({"AlarmHistoryItems": items})

    replace(CloudWatchBackend, set_alarm_state=as_aws_does)
    replace(CloudWatchResponse, describe_alarm_history=history)


def _instances_need_capacity() -> None:
    """Both a new instance and a stopped one need capacity, quota and a zone that offers the type.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
    """
    from moto.ec2.exceptions import EC2ClientError  # noqa: PLC0415
    from moto.ec2.models.instances import InstanceBackend  # noqa: PLC0415

    run, start = InstanceBackend.run_instances, InstanceBackend.start_instances

    def refuse(kind: str, zone: str) -> None:
        if code := account().get("refusals", {}).get(zone):
            raise EC2ClientError(code, REFUSALS[code].format(type=kind, zone=zone))

    def run_as_aws_does(self: Any, image_id: str, count: int, *given: Any, **more: Any) -> Any:
        subnet, placement = more.get("subnet_id"), more.get("placement")
        zone = self.get_subnet(subnet).availability_zone if subnet else placement or f"{self.region_name}a"
        refuse(more.get("instance_type") or "", zone)
        return run(self, image_id, count, *given, **more)

    def start_as_aws_does(self: Any, instance_ids: list[str]) -> Any:
        for each in self.get_multi_instances_by_id(instance_ids):
            refuse(each.instance_type, each.placement.zone)
        return start(self, instance_ids)

    replace(InstanceBackend, run_instances=run_as_aws_does, start_instances=start_as_aws_does)


def _stacks_have_policies_and_alarms() -> None:
    """A stack makes alarms and policies of topics."""
    from moto.cloudformation.models import Stack  # noqa: PLC0415
    from moto.cloudformation.parsing import clean_json  # noqa: PLC0415
    from moto.cloudwatch.models import cloudwatch_backends  # noqa: PLC0415
    from moto.sns.models import sns_backends  # noqa: PLC0415

    original = Stack.create_resources

    def as_aws_does(self: Any) -> None:
        original(self)
        for name, resource in self.template_dict["Resources"].items():
            where = {"account": self.account_id, "region": self.region_name}
            if resource["Type"] == "AWS::SNS::TopicPolicy":
                properties = clean_json(resource["Properties"], self.resource_map)
                for topic in properties["Topics"]:
                    sns = sns_backends[where["account"]][where["region"]]
                    sns.get_topic(topic).policy = json.dumps(properties["PolicyDocument"])
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                _alarm(cloudwatch_backends[where["account"]][where["region"]], f"{self.name}-{name}",
                       clean_json(resource["Properties"], self.resource_map))  # fmt: skip

    replace(Stack, create_resources=as_aws_does)


def _alarm(cloudwatch: Any, name: str, properties: Mapping[str, Any]) -> None:
    """Make an alarm: its name and actions; a test sets its state."""
    cloudwatch.put_metric_alarm(
        name=name,
        namespace=properties.get("Namespace", ""),
        metric_name=properties.get("MetricName", ""),
        metric_data_queries=None,
        comparison_operator=properties["ComparisonOperator"],
        evaluation_periods=properties["EvaluationPeriods"],
        datapoints_to_alarm=None,
        period=properties.get("Period", 0),
        threshold=properties["Threshold"],
        statistic=properties.get("Statistic", ""),
        description=properties.get("AlarmDescription", ""),
        dimensions=properties.get("Dimensions", []),
        alarm_actions=[
            each for each in properties.get("AlarmActions", []) if each
        ],  # moto has no policies of groups here
    )


def _mail_waits_for_its_reader() -> None:
    """A subscription by mail is pending until its reader confirms it.

    https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.confirm.html
    """
    from moto.sns.models import SNSBackend  # noqa: PLC0415

    original = SNSBackend.list_subscriptions

    def as_aws_does(self: Any, *given: Any, **more: Any) -> Any:
        def seen(each: Any) -> Any:
            shown = copy(each)
            shown.arn = "PendingConfirmation" if each.protocol == "email" else each.arn
            return shown

        found, following = original(self, *given, **more)
        return [seen(each) for each in found], following

    replace(SNSBackend, list_subscriptions=as_aws_does)


def _cost_allocation_tags_are_active_when_set() -> None:
    """A tag can be activated a day after a resource got it; the bill ignores it before.

    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html
    """
    from moto.ce.responses import CostExplorerResponse  # noqa: PLC0415

    def as_aws_does(self: Any) -> str:
        wanted = json.loads(self.body)
        active = [tag for tag in account().get("cost_tags", ()) if tag in wanted["TagKeys"]]
        tags = [{"TagKey": tag, "Type": "UserDefined", "Status": "Active"} for tag in active]
        return json.dumps({"CostAllocationTags": tags})

    replace(CostExplorerResponse, list_cost_allocation_tags=as_aws_does)
