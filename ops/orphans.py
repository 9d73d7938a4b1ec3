"""What costs money and belongs to no deployment, with what it costs and the command that removes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from infra.deployed import find
from infra.names import BACKUP_TAG, STORAGE, TRAINING, WORKERS_GROUP

if TYPE_CHECKING:
    from infra.deployed import Deployed
    from infra.settings import Settings
    from ops.session import Session

HOURS_A_MONTH = 730
ADDRESS_USD_HOUR = 0.005  # of a public IPv4 address, used or not (AWS, "Amazon VPC pricing")
STACK_TAG, GROUP_TAG = "aws:cloudformation:stack-name", "aws:autoscaling:groupName"
OVER = ("terminated", "shutting-down")


@dataclass(frozen=True)
class Orphan:
    """Something that nobody needs.

    Attributes
    ----------
    kind
        What it is.
    name
        Its id.
    why
        Why it belongs to no deployment.
    usd_month
        What it costs a month, at most; None where the settings have no price for it.
    remove
        The command that removes it; nothing here runs it.
    """

    kind: str
    name: str
    why: str
    usd_month: float | None
    remove: str


class Found:
    """What of the account has a tag of ours.

    Parameters
    ----------
    session
        The session.
    """

    def __init__(self, session: Session) -> None:
        self._ec2, self._tags = session.client("ec2"), session.settings.tags

    def _all(self, call: str, key: str, **more: Any) -> Iterator[dict[str, Any]]:
        # Any of three tags makes it ours, and AWS's filters are all met at once: so it is chosen here.
        for page in self._ec2.get_paginator(call).paginate(**more):
            for each in page[key]:
                if self._ours(tags_of(each)):
                    yield each

    def _ours(self, tags: Mapping[str, str]) -> bool:
        named = bool(self._tags) and self._tags.items() <= tags.items()
        return named or BACKUP_TAG in tags or tags.get(STACK_TAG) in (STORAGE, TRAINING)

    def instances(self) -> list[dict[str, Any]]:
        """Instances that are not over."""
        pages = self._ec2.get_paginator("describe_instances").paginate()
        found = [each for page in pages for reservation in page["Reservations"] for each in reservation["Instances"]]
        return [each for each in found if self._ours(tags_of(each)) and each["State"]["Name"] not in OVER]

    def volumes(self) -> list[dict[str, Any]]:
        """Volumes."""
        return list(self._all("describe_volumes", "Volumes"))

    def images(self) -> list[dict[str, Any]]:
        """Images of this account."""
        return list(self._all("describe_images", "Images", Owners=["self"]))

    def snapshots(self) -> list[dict[str, Any]]:
        """Snapshots of this account."""
        return list(self._all("describe_snapshots", "Snapshots", OwnerIds=["self"]))

    def addresses(self) -> list[dict[str, Any]]:
        """Public addresses that were reserved."""
        return [each for each in self._ec2.describe_addresses()["Addresses"] if self._ours(tags_of(each))]


def tags_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of something that AWS described."""
    return {tag["Key"]: tag["Value"] for tag in answer.get("Tags", ())}


def orphans(session: Session) -> list[Orphan]:
    """Look for what has a tag of ours and belongs to no deployment."""
    settings, there, found = session.settings, find(session.settings), Found(session)
    instances, images = found.instances(), found.images()
    members = {each["InstanceId"] for each in instances if _member(each, there)}
    made = [
        *_instances(settings, instances, members),
        *_volumes(settings, found.volumes(), members, there),
        *_images(images, there),
        *_snapshots(settings, found.snapshots(), images, there),
        *_addresses(found.addresses()),
    ]
    return [replace(each, remove=f"{each.remove} --region {settings.aws.region}") for each in made]


def _member(instance: Mapping[str, Any], there: Deployed | None) -> bool:
    """Whether an instance is the host, or one of its workers."""
    if there is None or there.instance_id is None:
        return False
    return instance["InstanceId"] == there.instance_id or tags_of(instance).get(GROUP_TAG) == WORKERS_GROUP


def _instances(settings: Settings, instances: list[dict[str, Any]], members: set[str]) -> Iterator[Orphan]:
    for each in instances:
        name, state = each["InstanceId"], each["State"]["Name"]
        if name in members:
            continue
        cost: float | None = 0.0  # one that does not run pays for its volumes alone
        if state in ("running", "pending"):
            known = each["InstanceType"] == settings.host.instance_type
            cost = settings.price.per_hour_usd * HOURS_A_MONTH if known else None
        why = f"{each['InstanceType']}, {state}, of no stack"
        yield Orphan("instance", name, why, cost, f"aws ec2 terminate-instances --instance-ids {name}")


def _volumes(
    settings: Settings, volumes: list[dict[str, Any]], members: set[str], there: Deployed | None
) -> Iterator[Orphan]:
    for each in volumes:
        name, on = each["VolumeId"], {attached["InstanceId"] for attached in each.get("Attachments", ())}
        if (there and name == there.volume_id) or on & members:
            continue
        cost = settings.price.volume_month_usd(each["Size"], each.get("Iops", 0), each.get("Throughput", 0))
        why = f"{each['Size']:,} GiB, on {', '.join(sorted(on))}" if on else f"{each['Size']:,} GiB, on no instance"
        yield Orphan("volume", name, why, cost, f"aws ec2 delete-volume --volume-id {name}")


def _images(images: list[dict[str, Any]], there: Deployed | None) -> Iterator[Orphan]:
    for each in images:
        if there is not None and BACKUP_TAG in tags_of(each):
            continue  # a restore may want it
        name = each["ImageId"]
        why = "without the tag of backups" if there else "nothing is deployed"
        remove = f"aws ec2 deregister-image --image-id {name} --delete-associated-snapshots"
        yield Orphan("image", name, why, 0.0, remove)  # its snapshots cost


def _snapshots(
    settings: Settings, snapshots: list[dict[str, Any]], images: list[dict[str, Any]], there: Deployed | None
) -> Iterator[Orphan]:
    of_images = {
        device["Ebs"]["SnapshotId"]
        for image in images
        for device in image.get("BlockDeviceMappings", ())
        if "SnapshotId" in device.get("Ebs", {})
    }
    for each in snapshots:
        name, volume = each["SnapshotId"], each["VolumeId"]
        if name in of_images or (there and volume == there.volume_id):
            continue
        cost = each["VolumeSize"] * settings.price.snapshot_gib_month_usd
        why = f"of {volume}, which is not the data volume, and of no image"
        yield Orphan("snapshot", name, why, cost, f"aws ec2 delete-snapshot --snapshot-id {name}")


def _addresses(addresses: list[dict[str, Any]]) -> Iterator[Orphan]:
    for each in addresses:
        if "AssociationId" not in each:
            name = each["AllocationId"]
            cost = ADDRESS_USD_HOUR * HOURS_A_MONTH
            remove = f"aws ec2 release-address --allocation-id {name}"
            yield Orphan("address", name, f"{each['PublicIp']}, on no instance", cost, remove)
