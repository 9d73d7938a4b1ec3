"""The resources that outlive a host, and their monthly cost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra import images
from infra.deployed import Deployed
from infra.settings import Settings

GIB = 2**30
SHARED = ("image", "repository")  # the price is an upper bound: each stores only what the others have not


@dataclass(frozen=True)
class RetainedResource:
    """A resource that outlives the host."""

    what: str  # `bucket`, `repository` or `image`
    name: str  # its AWS name
    gib: float
    usd_month: float
    until: str = ""  # the day of its deletion, like 2026-12-05; empty if nothing deletes it


def retained(settings: Settings, deployed: Deployed, client: Callable[[str], Any]) -> list[RetainedResource]:
    """List the retained resources; `client` returns the client of an AWS service."""
    price = settings.price
    pages = client("s3").get_paginator("list_object_versions").paginate(Bucket=deployed.bucket)
    objects = sum(filter(None, pages.search("Versions[].Size"))) / GIB
    repository = deployed.repository.partition("/")[2]
    pages = client("ecr").get_paginator("describe_images").paginate(repositoryName=repository)
    layers = sum(filter(None, pages.search("imageDetails[].imageSizeInBytes"))) / GIB
    return [
        RetainedResource("bucket", f"s3://{deployed.bucket}", objects, objects * price.bucket_gib_month_usd),
        RetainedResource("repository", deployed.repository, layers, layers * price.repository_gib_month_usd),
        *(_image(settings, image) for image in images.ours(client("ec2"))),
    ]


def _image(settings: Settings, found: dict[str, Any]) -> RetainedResource:
    gib = sum(device.get("Ebs", {}).get("VolumeSize", 0) for device in found["BlockDeviceMappings"])
    until = images.expiry(settings, datetime.fromisoformat(found["CreationDate"]))
    return RetainedResource("image", found["ImageId"], gib, gib * settings.price.snapshot_gib_month_usd, until)


def lines(settings: Settings, resources: Sequence[RetainedResource]) -> Iterator[str]:
    """Yield a line for each resource, and a total."""
    for each in resources:
        most, until = "at most " * (each.what in SHARED), f", until {each.until}" * bool(each.until)
        yield f"{each.what}  {each.name}  {each.gib:,.1f} GiB  {most}{each.usd_month:,.2f} USD a month{until}"
    total = sum(each.usd_month for each in resources)
    yield f"total at most {total:,.2f} USD a month; {settings.price.storage_source}"
