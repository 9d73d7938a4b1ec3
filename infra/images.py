"""Images of the host: finding them, taking one without a reboot, what it costs and when it is deleted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.commands import say
from infra.deployed import Deployed
from infra.names import BACKUP_TAG
from infra.settings import Settings


def take(settings: Settings, ec2: Any, host: str) -> str:
    """Take an image of a host, and return its id. It holds the state of this moment, though AWS stores it later."""
    name = f"redox-{host}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    tags = [
        {"Key": key, "Value": value} for key, value in {**settings.tags, "Name": name, BACKUP_TAG: "host"}.items()
    ]
    made = ec2.create_image(
        InstanceId=host,
        Name=name,
        NoReboot=True,  # a reboot would end the training
        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")],
    )
    return str(made["ImageId"])


def take_before(settings: Settings, deployed: Deployed | None, client: Callable[[str], Any]) -> None:
    """Take an image of the host, if there is one, before something changes it; a failure is a warning.

    The truth is in the bucket, an image is a courtesy.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - `python -m ops --help` does without

    if not (host := deployed.instance_id if deployed else None):
        return
    try:
        image = take(settings, client("ec2"), host)
    except (ClientError, BotoCoreError) as error:
        say(f"warning: no image of {host} was taken, its runs are in the bucket: {error}")
    else:
        say(f"image {image} of {host}: {terms(settings)}; --no-snapshot takes none")


def terms(settings: Settings) -> str:
    """Return what an image that is taken now costs, and when it is deleted."""
    usd = settings.host.disk_gib * settings.price.snapshot_gib_month_usd
    return f"at most {usd:,.2f} USD a month, until {expiry(settings, datetime.now(UTC))}"


def expiry(settings: Settings, made: datetime) -> str:
    """Return the day on which an image is deleted."""
    return f"{made + timedelta(days=settings.backup.image_days):%Y-%m-%d}"


def ours(ec2: Any) -> list[dict[str, Any]]:
    """Return all images of this account that have the tag of hosts."""
    tagged = [{"Name": "tag-key", "Values": [BACKUP_TAG]}]
    return list(ec2.get_paginator("describe_images").paginate(Filters=tagged, Owners=["self"]).search("Images"))
