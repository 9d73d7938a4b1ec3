"""What stays when a host is gone, and what that costs a month."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.deployed import Deployed
from infra.names import BACKUP_TAG
from infra.settings import Settings

GIB = 2**30


@dataclass(frozen=True)
class Kept:
    """Something that stays.

    Attributes
    ----------
    what
        `bucket`, `volume` or `backups`.
    name
        What AWS calls it, or what it consists of.
    gib
        Its size.
    usd_month
        What that costs a month; of backups the most that it can be.
    """

    what: str
    name: str
    gib: float
    usd_month: float


def kept(settings: Settings, there: Deployed, client: Callable[[str], Any]) -> list[Kept]:
    """Look at everything that stays.

    Parameters
    ----------
    settings
        The settings, with the prices.
    there
        What is deployed.
    client
        Gives a client of an AWS service.
    """
    price, host, ec2 = settings.price, settings.host, client("ec2")
    size = _bucket_gib(client("s3"), there.bucket)
    found = [Kept("bucket", f"s3://{there.bucket}", size, size * price.bucket_gib_month_usd)]
    for volume in ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [there.volume_id]}])["Volumes"]:
        gib = volume["Size"]
        cost = price.volume_month_usd(gib, host.data_volume_iops, host.data_volume_mib_s)
        found.append(Kept("volume", f"{there.volume_id} in {volume['AvailabilityZone']}", gib, cost))
    images = tagged(ec2, "describe_images", "Images")
    snapshots = tagged(ec2, "describe_snapshots", "Snapshots")
    most = sum(snapshot["VolumeSize"] for snapshot in snapshots)
    name = f"{len(images)} images, {len(snapshots)} snapshots of volumes"
    return [*found, Kept("backups", name, most, most * price.snapshot_gib_month_usd)]


def lines(settings: Settings, things: Sequence[Kept]) -> Iterator[str]:
    """Yield a line for each thing that stays, and one for all together."""
    for thing in things:
        if thing.what == "backups":
            yield (
                f"backups {thing.name}  at most {thing.usd_month:,.2f} USD a month: "
                "each stores only what changed since the one before"
            )
        else:
            size = f"{thing.gib:,.1f}" if thing.what == "bucket" else f"{thing.gib:,}"
            yield f"{thing.what}  {thing.name}  {size} GiB  {thing.usd_month:,.2f} USD a month"
    total = sum(thing.usd_month for thing in things if thing.what != "backups")
    yield f"together {total:,.2f} USD a month and the backups; {settings.price.storage_source}"


def tagged(ec2: Any, call: str, key: str) -> list[dict[str, Any]]:
    """Return all images or snapshots of this account that the lifecycle manager or `make snapshot` made."""
    owners = {"OwnerIds" if key == "Snapshots" else "Owners": ["self"]}
    pages = ec2.get_paginator(call).paginate(Filters=[{"Name": "tag-key", "Values": [BACKUP_TAG]}], **owners)
    return [found for page in pages for found in page[key]]


def _bucket_gib(s3: Any, bucket: str) -> float:
    """Return the size of all versions of all objects, in GiB."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    sizes: list[int] = [version["Size"] for page in pages for version in page.get("Versions", [])]
    return sum(sizes) / GIB
