"""Images of the host and snapshots of its data volume: finding the newest and taking new ones."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from infra.names import BACKUP_TAG, DATA_DEVICE
from infra.retained import tagged
from infra.tables import AMI
from ops.aws import instance
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

POLL_S = 5.0
TIMEOUT_S = 4 * 3_600.0  # the first snapshot of a full volume takes hours, later ones store the changes only
WITHOUT_IMAGE = "python -m ops restore without --image takes the newest"


@dataclass(frozen=True)
class HostImage:
    """An image (AMI) of a host: its id, its state as EC2 names it, and the Unix time of its creation."""

    image_id: str
    state: str
    made_at: float

    @classmethod
    def from_answer(cls, answer: Any) -> Self:
        """Read one image of a `DescribeImages` answer."""
        made_at = datetime.fromisoformat(answer["CreationDate"]).timestamp()
        return cls(answer["ImageId"], answer["State"], made_at)

    @property
    def age_s(self) -> float:
        """Seconds since its creation."""
        return max(time.time() - self.made_at, 0.0)


@dataclass(frozen=True)
class HostBackup:
    """A backup: an image of the host without the data volume, and a snapshot of the volume."""

    image_id: str
    snapshot_id: str


def host_images(session: Session) -> list[HostImage]:
    """Return all images of hosts, taken by hand or by the lifecycle manager, newest first."""
    found = map(HostImage.from_answer, tagged(session.client("ec2"), "describe_images", "Images"))
    return sorted(found, key=lambda image: image.made_at, reverse=True)


def image_to_restore(session: Session, image_id: str) -> HostImage:
    """Return the image of an id, or with an empty id the newest one with the tag of backups.

    A RedoxError if there is no such image or it is not available.
    """
    if not image_id:
        available = [image for image in host_images(session) if image.state == "available"]
        if not available:
            raise RedoxError(
                f"there is no image of a host: none has the tag {BACKUP_TAG}",
                hint="--image names another; without any: make destroy, where a stack is left, then make deploy and "
                "make train-remote, on the same volume",
            )
        return available[0]
    if not AMI.fits(image_id):
        raise RedoxError(f"{image_id} is not {AMI.wanted}", hint=WITHOUT_IMAGE)
    filters = [{"Name": "image-id", "Values": [image_id]}]  # by name, an unknown id would be an AWS error
    found = session.client("ec2").describe_images(Filters=filters)["Images"]
    if not found:
        raise RedoxError(f"there is no image {image_id} in {session.settings.aws.region}", hint=WITHOUT_IMAGE)
    image = HostImage.from_answer(found[0])
    if image.state != "available":
        raise RedoxError(f"{image_id} is {image.state}", hint="wait until it is available, or choose another image")
    return image


def take_backup(session: Session, *, wait: bool) -> HostBackup | None:
    """Take an image of the host without a reboot, and a snapshot of its volume; None in a dry run.

    Both carry the tags of those that the lifecycle manager makes, so a restore finds them. Nothing deletes them. They
    hold the state of this moment, whether or not this waits until AWS has stored both.
    """
    host, volume = instance.describe(session).instance_id, session.deployed.volume_id
    if not session.announce(f"take an image of {host} without a reboot, and a snapshot of {volume}"):
        return None
    ec2, now = session.client("ec2"), datetime.now(UTC)
    name = f"redox-{host}-{now:%Y%m%d-%H%M%S}"
    # The volume first: it changes all the time, and holds the training.
    snapshot = ec2.create_snapshot(
        VolumeId=volume,
        Description=f"Data volume of {host}, taken by hand",
        TagSpecifications=[_tags(session, "snapshot", name, "data")],
    )["SnapshotId"]
    image = ec2.create_image(
        InstanceId=host,
        Name=name,
        Description=f"Training host {host}, taken by hand",
        NoReboot=True,  # a reboot would end the training
        # The volume has its own snapshot, and a restored host gets the volume itself.
        BlockDeviceMappings=[{"DeviceName": DATA_DEVICE, "NoDevice": ""}],
        TagSpecifications=[_tags(session, kind, name, "host") for kind in ("image", "snapshot")],
    )["ImageId"]
    backup = HostBackup(image, snapshot)
    if wait:
        _wait(backup, ec2)
    return backup


def _tags(session: Session, kind: str, name: str, value: str) -> dict[str, Any]:
    tags = {**session.settings.tags, "Name": name, BACKUP_TAG: value}
    return {"ResourceType": kind, "Tags": [{"Key": key, "Value": text} for key, text in tags.items()]}


def _wait(backup: HostBackup, ec2: Any, sleep: Callable[[float], Any] = time.sleep) -> None:
    """Show the progress until both are stored."""
    deadline = time.monotonic() + TIMEOUT_S
    with notes().status("storing") as status:
        while not _is_stored(backup, ec2, status.update):
            if time.monotonic() > deadline:
                raise RedoxError(
                    f"{backup.image_id} and {backup.snapshot_id} are not stored after {TIMEOUT_S / 3_600:.0f} h",
                    hint="AWS continues: aws ec2 describe-images, aws ec2 describe-snapshots",
                )
            sleep(POLL_S)


def _is_stored(backup: HostBackup, ec2: Any, show: Callable[[str], Any]) -> bool:
    """Whether AWS has stored both; a RedoxError if it cannot."""
    # Filters, because a new id may not be visible yet, which is an error in a query by id.
    images = ec2.describe_images(Filters=[{"Name": "image-id", "Values": [backup.image_id]}])["Images"]
    snapshots = ec2.describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": [backup.snapshot_id]}])["Snapshots"]
    image, snapshot = images[0] if images else {}, snapshots[0] if snapshots else {}
    states = image.get("State", "pending"), snapshot.get("State", "pending")
    reasons = image.get("StateReason", {}).get("Message"), snapshot.get("StateMessage")
    for name, state, reason in zip((backup.image_id, backup.snapshot_id), states, reasons, strict=True):
        if state in ("failed", "error", "invalid", "deregistered"):
            raise RedoxError(
                f"{name} is {state}: {reason or 'AWS gives no reason'}", hint="take another: python -m ops snapshot"
            )
    progress = f"{states[1]} {snapshot.get('Progress') or ''}".rstrip()
    show(f"image {backup.image_id} {states[0]}, snapshot {backup.snapshot_id} {progress}")
    return states == ("available", "completed")
