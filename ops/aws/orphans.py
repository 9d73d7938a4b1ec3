"""Resources that cost money and belong to no deployment, with their cost and the command that removes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.deployed import Deployed, find
from infra.names import BACKUP_TAG, HOST_GROUP, STORAGE, TRAINING, WORKERS_GROUP
from infra.settings import Settings
from ops.session import Session

HOURS_PER_MONTH = 730
ADDRESS_USD_HOUR = 0.005  # of a public IPv4 address, used or not (AWS, "Amazon VPC pricing")
STACK_TAG, GROUP_TAG = "aws:cloudformation:stack-name", "aws:autoscaling:groupName"
TERMINATED = ("terminated", "shutting-down")

Resource = Mapping[str, Any]  # as EC2 describes it


@dataclass(frozen=True)
class Orphan:
    """A resource that belongs to no deployment."""

    kind: str  # `instance`, `volume`, `image`, `snapshot` or `address`
    name: str  # its id
    why: str  # it belongs to no deployment
    usd_month: float | None  # at most; None where the settings have no price for it
    remove: str  # the command that does it, which is never run here


def find_orphans(session: Session) -> list[Orphan]:
    """Query every resource with a tag of ours and return those that belong to no deployment."""
    settings, ec2, deployed = session.settings, session.client("ec2"), find(session.settings)

    def ours(resource: Resource) -> bool:
        tags, wanted = tags_of(resource), settings.tags
        has_own_tags = bool(wanted) and wanted.items() <= tags.items()
        return has_own_tags or BACKUP_TAG in tags or tags.get(STACK_TAG) in (STORAGE, TRAINING)

    def tagged(operation: str, key: str, **options: Any) -> list[Resource]:
        # One of three tags is enough, and AWS combines filters by AND: so they are applied here.
        return [each for each in ec2.get_paginator(operation).paginate(**options).search(key) if ours(each)]

    instances = tagged("describe_instances", "Reservations[].Instances[]")
    instances = [each for each in instances if each["State"]["Name"] not in TERMINATED]
    members = {each["InstanceId"] for each in instances if _is_member(each, deployed)}
    images = tagged("describe_images", "Images", Owners=["self"])
    addresses = [each for each in ec2.describe_addresses()["Addresses"] if ours(each)]
    found = [
        *_orphaned_instances(settings, instances, members),
        *_orphaned_volumes(settings, tagged("describe_volumes", "Volumes"), members),
        *_orphaned_images(images, deployed),
        *_orphaned_snapshots(settings, tagged("describe_snapshots", "Snapshots", OwnerIds=["self"]), images),
        *_orphaned_addresses(addresses),
    ]
    return [replace(each, remove=f"{each.remove} --region {settings.aws.region}") for each in found]


def tags_of(resource: Resource) -> dict[str, str]:
    """Return the tags of a resource."""
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", ())}


def _is_member(instance: Resource, deployed: Deployed | None) -> bool:
    """Whether an instance is in the group of the host or of its workers."""
    groups = (HOST_GROUP, WORKERS_GROUP) if deployed and deployed.wanted is not None else ()
    return tags_of(instance).get(GROUP_TAG) in groups


def _orphaned_instances(settings: Settings, instances: list[Resource], members: set[str]) -> Iterator[Orphan]:
    for each in instances:
        name, state = each["InstanceId"], each["State"]["Name"]
        if name in members:
            continue
        cost: float | None = 0.0  # a stopped instance costs its volumes only
        if state in ("running", "pending"):
            known = each["InstanceType"] in settings.host.instance_types
            cost = settings.price.per_hour_usd * HOURS_PER_MONTH if known else None
        why = f"{each['InstanceType']}, {state}, in no stack"
        yield Orphan("instance", name, why, cost, f"aws ec2 terminate-instances --instance-ids {name}")


def _orphaned_volumes(settings: Settings, volumes: list[Resource], members: set[str]) -> Iterator[Orphan]:
    for each in volumes:
        name, holders = each["VolumeId"], {attached["InstanceId"] for attached in each.get("Attachments", ())}
        if holders & members:
            continue
        cost = each["Size"] * settings.price.volume_gib_month_usd
        attached = f"attached to {', '.join(sorted(holders))}" if holders else "not attached"
        why = f"{each['Size']:,} GiB, {attached}"
        yield Orphan("volume", name, why, cost, f"aws ec2 delete-volume --volume-id {name}")


def _orphaned_images(images: list[Resource], deployed: Deployed | None) -> Iterator[Orphan]:
    for each in images:
        if deployed is not None and BACKUP_TAG in tags_of(each):
            continue  # a restore may need it
        name = each["ImageId"]
        why = "without the tag of backups" if deployed else "nothing is deployed"
        remove = f"aws ec2 deregister-image --image-id {name} --delete-associated-snapshots"
        yield Orphan("image", name, why, 0.0, remove)  # only its snapshots cost


def _orphaned_snapshots(settings: Settings, snapshots: list[Resource], images: list[Resource]) -> Iterator[Orphan]:
    of_images = {
        device["Ebs"]["SnapshotId"]
        for image in images
        for device in image.get("BlockDeviceMappings", ())
        if "SnapshotId" in device.get("Ebs", {})
    }
    for each in snapshots:
        name, volume = each["SnapshotId"], each["VolumeId"]
        if name in of_images:
            continue
        cost = each["VolumeSize"] * settings.price.snapshot_gib_month_usd
        why = f"of {volume}, and of no image"
        yield Orphan("snapshot", name, why, cost, f"aws ec2 delete-snapshot --snapshot-id {name}")


def _orphaned_addresses(addresses: list[Resource]) -> Iterator[Orphan]:
    for each in addresses:
        if "AssociationId" not in each:
            name = each["AllocationId"]
            cost = ADDRESS_USD_HOUR * HOURS_PER_MONTH
            remove = f"aws ec2 release-address --allocation-id {name}"
            yield Orphan("address", name, f"{each['PublicIp']}, not associated", cost, remove)
