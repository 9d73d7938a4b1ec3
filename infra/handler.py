"""What neither a host nor its group does: a function of AWS Lambda, which has boto3 and this file alone.

It is called every few minutes, after each report of a set-up, and when the budget is spent, and remembers nothing.
"""

import datetime as dt
import json
import os
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

import boto3

GROUP, TOPIC, BUCKET, OUTCOME, TAG = (os.environ[name] for name in ("GROUP", "TOPIC", "BUCKET", "OUTCOME", "TAG"))
ATTEMPTS, SPOT = int(os.environ["ATTEMPTS"]), bool(os.environ["SPOT"])
LIFE, LIFE_OF_IMAGES = (dt.timedelta(days=int(os.environ[name])) for name in ("LONGEST_DAYS", "IMAGE_DAYS"))
BETWEEN_IMAGES = dt.timedelta(hours=int(os.environ["IMAGE_HOURS"]))
PATIENCE, RECENT = dt.timedelta(minutes=15), dt.timedelta(hours=1)  # with the spot market; of its refusals
SET_UP = dt.timedelta(minutes=30)  # after which a host that reported nothing is dead
LOG_CHARACTERS = 3_000  # of a mail
autoscaling, ec2 = boto3.client("autoscaling"), boto3.client("ec2")


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Do what an event asks for: of a topic, of the bucket, or of the schedule, whose time counts as now."""
    if "Records" in event:
        end_host("AWS's bill has reached the budget of the month")
    elif event["detail-type"] == "Object Created":
        report_failure(event["detail"]["object"]["version-id"])
    else:
        now = dt.datetime.fromisoformat(event["time"])
        groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
        images = ec2.describe_images(Owners=["self"], Filters=[{"Name": "tag-key", "Values": [TAG]}])["Images"]
        if SPOT and groups:
            choose_market(groups[0], now)
        used = {used_by(group) for group in groups}
        for image in images:
            if age(image["CreationDate"], now) >= LIFE_OF_IMAGES and image["ImageId"] not in used:
                ec2.deregister_image(ImageId=image["ImageId"], DeleteAssociatedSnapshots=True)
        look_after_host(images, now)


def report_failure(version: str) -> None:
    """Mail that a set-up failed, and have the last of some in a row no successor: its host may be dead."""
    outcome = last_outcome(VersionId=version)  # a later one calls, too
    if failures := outcome["failures"]:
        text = f"the set-up of {outcome['instance']} failed in step {outcome['step']}: {failures} in a row"
        log = f"\n\n{outcome['log'][-LOG_CHARACTERS:]}"
        if failures < ATTEMPTS:
            mail(f"{text} of {ATTEMPTS} at most", log)
        else:
            end_host(text, log)


def last_outcome(**options: str) -> Any:
    """Return what a host reported of its set-up."""
    return json.loads(boto3.client("s3").get_object(Bucket=BUCKET, Key=OUTCOME, **options)["Body"].read())


def choose_market(group: Mapping[str, Any], now: dt.datetime) -> None:
    """Take hosts on demand once spot had none for a while, and spot hosts again once the group is at 0."""
    percent, reason = 0, ""
    if group["DesiredCapacity"]:
        known = autoscaling.describe_scaling_activities(AutoScalingGroupName=GROUP)["Activities"]
        failed = list(takewhile(lambda it: it["StatusCode"] == "Failed" and now - it["StartTime"] < RECENT, known))
        if group["Instances"] or not failed or now - failed[-1]["StartTime"] < PATIENCE:
            return
        percent, reason = 100, failed[0].get("StatusMessage", "")
    bought = group["MixedInstancesPolicy"]["InstancesDistribution"]
    if bought["OnDemandPercentageAboveBaseCapacity"] != percent:
        bought["OnDemandPercentageAboveBaseCapacity"] = percent
        autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=GROUP, MixedInstancesPolicy={"InstancesDistribution": bought}
        )
        if percent:
            mail("no spot instance: the next host is on demand, until the group is at 0", f"\n\n{reason}")


def look_after_host(images: list[Any], now: dt.datetime) -> None:
    """End a host that is too old or was never set up, and take an image of another one where the newest is old."""
    filters = {"tag:aws:autoscaling:groupName": GROUP, "instance-state-name": "running"}
    asked = [{"Name": name, "Values": [value]} for name, value in filters.items()]
    for found in ec2.describe_instances(Filters=asked)["Reservations"]:
        host = found["Instances"][0]
        name, since = host["InstanceId"], now - host["LaunchTime"]
        if since >= LIFE:
            end_host(f"{name} is {since.days} days old, the longest that a host may run")
        elif since >= SET_UP and last_outcome()["instance"] != name:
            end_host(f"{name} has reported no set-up in {SET_UP}: it died, or cannot reach the bucket")
        elif min([since, *(age(image["CreationDate"], now) for image in images)]) >= BETWEEN_IMAGES:
            tags = [tag for tag in host["Tags"] if not tag["Key"].startswith("aws:")]
            ec2.create_image(
                InstanceId=name,
                Name=f"redox-{name}-{now:%Y%m%d-%H%M}",  # of which there is one: the schedule may call twice
                NoReboot=True,  # a reboot would end the training
                TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")],
            )


def used_by(group: Mapping[str, Any]) -> str:
    """Return the image that hosts are made from."""
    wanted = group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    found = ec2.describe_launch_template_versions(
        LaunchTemplateId=wanted["LaunchTemplateId"], Versions=[wanted["Version"]]
    )["LaunchTemplateVersions"]
    return str(found[0]["LaunchTemplateData"]["ImageId"])


def age(made: str, now: dt.datetime) -> dt.timedelta:
    """Return the age of an image."""
    return now - dt.datetime.fromisoformat(made)


def end_host(reason: str, more: str = "") -> None:
    """Set the group to 0, which ends its host, and mail why."""
    autoscaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=0, HonorCooldown=False)
    mail(f"{reason}; the group of hosts is at 0", more)


def mail(text: str, more: str = "") -> None:
    """Send a mail through the topic."""
    boto3.client("sns").publish(TopicArn=TOPIC, Subject="redox_balancer: host", Message=f"{GROUP}: {text}{more}")
