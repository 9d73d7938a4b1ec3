"""`make destroy`: takes the host away, keeps everything that cannot be made again, and says what that costs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from infra.commands import run, say
from infra.deployed import Deployed, cdk, client, find
from infra.names import BACKUP_TAG, TRAINING
from infra.settings import Settings
from redox_balancer.errors import RedoxError

GIB = 2**30
ATTEMPTS = 2  # a network interface may be gone a moment too late for its subnet


def destroy(settings: Settings, instance: str) -> int:
    """Destroy the stack of the host after its id was given, and report what stays.

    Parameters
    ----------
    settings
        The settings.
    instance
        The instance id as the user gave it; empty asks for it.
    """
    there = find(settings)
    if there is None:
        raise RedoxError("nothing is deployed", hint="make deploy")
    host = there.host()
    say(f"this ends host {host} and its stack {TRAINING}; a training saves first, and what it saved stays")
    given = instance or _asked(f"to go on, type {host}: ")
    if given != host:
        raise RedoxError(
            f"{given or 'nothing'} is not {host}: nothing was changed", hint=f"make destroy INSTANCE={host}"
        )
    ec2 = client(settings, "ec2")
    try:
        ec2.modify_instance_attribute(InstanceId=host, DisableApiTermination={"Value": False})
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound":  # ended by the spot market
            raise
    if not any(cdk(["destroy", TRAINING, "--force"]) == 0 for _ in range(ATTEMPTS)):
        raise RedoxError(
            f"{TRAINING} is not gone", hint="make destroy again; its events in the console say what is left"
        )
    say("gone: the host. What stays:")
    for line in staying(settings, there):
        say(f"  {line}")
    return 0


def staying(settings: Settings, there: Deployed) -> Iterator[str]:
    """Yield a line for each thing that stays: what, where, and what it costs a month."""
    price, ec2 = settings.price, client(settings, "ec2")
    size = _bucket_gib(client(settings, "s3"), there.bucket)
    cost = size * price.bucket_gib_month_usd
    yield f"bucket  s3://{there.bucket}  {size:,.1f} GiB  {cost:,.2f} USD a month"
    total = cost
    volume = ec2.describe_volumes(VolumeIds=[there.volume_id])["Volumes"][0]
    host = settings.host
    cost = price.volume_month_usd(volume["Size"], host.data_volume_iops, host.data_volume_mib_s)
    total += cost
    zone, gib = volume["AvailabilityZone"], volume["Size"]
    yield f"volume  {there.volume_id} in {zone}  {gib:,} GiB  {cost:,.2f} USD a month"
    snapshots = _tagged(ec2, "describe_snapshots", "Snapshots")
    images = _tagged(ec2, "describe_images", "Images")
    most = sum(snapshot["VolumeSize"] for snapshot in snapshots) * price.snapshot_gib_month_usd
    yield (
        f"backups {len(images)} images, {len(snapshots)} snapshots of volumes  at most {most:,.2f} USD a month: "
        "each stores only what changed since the one before"
    )
    yield f"together {total:,.2f} USD a month and the backups; {price.storage_source}"


def _tagged(ec2: Any, call: str, key: str) -> list[dict[str, Any]]:
    owners = {"OwnerIds" if key == "Snapshots" else "Owners": ["self"]}
    pages = ec2.get_paginator(call).paginate(Filters=[{"Name": "tag-key", "Values": [BACKUP_TAG]}], **owners)
    return [found for page in pages for found in page[key]]


def _bucket_gib(s3: Any, bucket: str) -> float:
    """Return the size of all versions of all objects, in GiB."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    sizes: list[int] = [version["Size"] for page in pages for version in page.get("Versions", [])]
    return sum(sizes) / GIB


def _asked(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""


def main(arguments: list[str]) -> int:
    """Destroy."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.destroy",
        description="Take the host away; bucket, volume, image repository and backups stay.",
        epilog="Example: python -m infra.destroy --instance i-0123456789abcdef0",
    )
    parser.add_argument("--instance", default="", help="id of the host; asked for if not given")
    return run(partial(destroy, instance=parser.parse_args(arguments).instance))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
