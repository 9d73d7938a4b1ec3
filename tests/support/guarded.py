"""A deployment on simulated AWS, and what its function does to it; time is that of its schedule."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.machine.contract import OUTCOME
from infra.names import BACKUP_TAG, HOST_GROUP
from infra.settings import load
from ops.simulator.aws import ACCOUNT, REGION, StandIn
from waiting import wait_until

SETTINGS = load()


class Guarded:
    """A deployment, and what its function does to it."""

    def __init__(self, aws: StandIn) -> None:
        self.aws = aws
        self.ec2, self.sns, self.s3 = (aws.client(name) for name in ("ec2", "sns", "s3"))
        self.bucket = SETTINGS.storage.bucket(ACCOUNT, REGION)
        self._autoscaling, self._sqs = aws.client("autoscaling"), aws.client("sqs")
        self._queue = self._sqs.create_queue(QueueName="mails")["QueueUrl"]
        self.sns.subscribe(
            TopicArn=self.topic("Alerts"), Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:mails"
        )

    def topic(self, name: str) -> str:
        """Return the topic with this in its name."""
        found = [each["TopicArn"] for each in self.sns.list_topics()["Topics"]]
        return str(next(each for each in found if name in each))

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

    def host(self) -> str:
        (member,) = self.group()["Instances"]
        return str(member["InstanceId"])

    def reported(self, failures: int, host: str = "i-1") -> None:
        outcome = {"instance": host, "step": "packages", "failures": failures, "log": "E: no space left"}
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
        tags = [{"Key": BACKUP_TAG, "Value": "host"}]
        made = self.ec2.create_image(
            InstanceId=self.host(),
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
