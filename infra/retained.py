"""The resources that outlive a host, and their monthly cost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.deployed import Deployed
from infra.names import BACKUP_TAG
from infra.settings import Settings

GIB = 2**30


@dataclass(frozen=True)
class RetainedResource:
    """A resource that outlives the host."""

    what: str  # `bucket` or `backups`
    name: str  # its AWS name; of backups, a summary
    gib: float
    usd_month: float  # of backups, an upper bound


def retained(settings: Settings, deployed: Deployed, client: Callable[[str], Any]) -> list[RetainedResource]:
    """List the retained resources; `client` returns the client of an AWS service."""
    price, ec2 = settings.price, client("ec2")
    pages = client("s3").get_paginator("list_object_versions").paginate(Bucket=deployed.bucket)
    size = sum(version["Size"] for page in pages for version in page.get("Versions", [])) / GIB
    found = [RetainedResource("bucket", f"s3://{deployed.bucket}", size, size * price.bucket_gib_month_usd)]
    images = tagged(ec2, "describe_images", "Images")
    snapshots = tagged(ec2, "describe_snapshots", "Snapshots")
    most = sum(snapshot["VolumeSize"] for snapshot in snapshots)
    name = f"{len(images)} images, {len(snapshots)} snapshots"
    return [*found, RetainedResource("backups", name, most, most * price.snapshot_gib_month_usd)]


def lines(settings: Settings, resources: Sequence[RetainedResource]) -> Iterator[str]:
    """Yield a line for each resource, and a total."""
    for resource in resources:
        if resource.what == "backups":
            yield (
                f"backups {resource.name}  at most {resource.usd_month:,.2f} USD a month: "
                "each stores only what changed since the one before"
            )
        else:
            size = f"{resource.gib:,.1f}" if resource.what == "bucket" else f"{resource.gib:,}"
            yield f"{resource.what}  {resource.name}  {size} GiB  {resource.usd_month:,.2f} USD a month"
    total = sum(resource.usd_month for resource in resources if resource.what != "backups")
    yield f"total {total:,.2f} USD a month plus the backups; {settings.price.storage_source}"


def tagged(ec2: Any, call: str, key: str) -> list[dict[str, Any]]:
    """Return all images or snapshots of this account that the lifecycle manager or `make snapshot` made."""
    owners = {"OwnerIds" if key == "Snapshots" else "Owners": ["self"]}
    pages = ec2.get_paginator(call).paginate(Filters=[{"Name": "tag-key", "Values": [BACKUP_TAG]}], **owners)
    return [found for page in pages for found in page[key]]
