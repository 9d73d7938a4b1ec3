"""Images of the host and snapshots of its volume: finding the newest, and taking one now."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.names import BACKUP_TAG, DATA_DEVICE
from infra.retained import tagged
from infra.tables import AMI
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

if TYPE_CHECKING:
    from ops.session import Session

LOOK_S = 5.0
TIMEOUT_S = 4 * 3_600.0  # the first snapshot of a full volume takes hours, later ones store what changed


@dataclass(frozen=True)
class Image:
    """An image of a host: its id, its state in AWS's words, and the Unix time at which it was made."""

    image_id: str
    state: str
    made_at: float

    @classmethod
    def of(cls, answer: Any) -> Image:
        """Read what AWS says."""
        made_at = datetime.fromisoformat(answer["CreationDate"]).timestamp()
        return cls(answer["ImageId"], answer["State"], made_at)

    @property
    def age_s(self) -> float:
        """Seconds since it was made."""
        return max(time.time() - self.made_at, 0.0)


@dataclass(frozen=True)
class Taken:
    """What a backup consists of: an image without the data volume, and a snapshot of that."""

    image_id: str
    snapshot_id: str


def images(session: Session) -> list[Image]:
    """Return the images of hosts, whoever made them, the newest first."""
    found = map(Image.of, tagged(session.client("ec2"), "describe_images", "Images"))
    return sorted(found, key=lambda image: image.made_at, reverse=True)


def image_to_restore(session: Session, given: str) -> Image:
    """Return the image that was asked for, else the newest that is ready; an error where there is none.

    Parameters
    ----------
    session
        The session.
    given
        Its id; empty takes the newest with the tag of backups.
    """
    newest = "python -m ops restore without --image takes the newest"
    if not given:
        ready = [image for image in images(session) if image.state == "available"]
        if not ready:
            raise RedoxError(
                f"there is no image of a host: none has the tag {BACKUP_TAG}",
                hint="--image names another; without any: make deploy, then make train-remote, on the same volume",
            )
        return ready[0]
    if not AMI.fits(given):
        raise RedoxError(
            f"{given} is not {AMI.wanted}", hint="python -m ops restore without --image takes the newest"
        )
    wanted = [{"Name": "image-id", "Values": [given]}]  # a filter: an id that is unknown is no error to AWS
    found = session.client("ec2").describe_images(Filters=wanted)["Images"]
    if not found:
        raise RedoxError(
            f"there is no image {given} in {session.settings.aws.region}",
            hint=newest,
        )
    image = Image.of(found[0])
    if image.state != "available":
        raise RedoxError(f"{given} is {image.state}", hint="wait until it is available, or take another image")
    return image


def take(session: Session, *, wait: bool) -> Taken | None:
    """Take an image of the host without a reboot, and a snapshot of its volume; None in a dry run.

    Both have the tags of those that the lifecycle manager makes, so a restore finds them; nothing ever removes them.

    Parameters
    ----------
    session
        The session.
    wait
        Whether to wait until AWS has stored them; they hold this moment's state in any case.
    """
    host, volume = session.host, session.deployed.volume_id
    if not session.change(f"take an image of {host} without a reboot, and a snapshot of {volume}"):
        return None
    ec2, now = session.client("ec2"), datetime.now(UTC)
    name = f"redox-{host}-{now:%Y%m%d-%H%M%S}"
    # First the volume: it is what changes, and what a training loses.
    snapshot = ec2.create_snapshot(
        VolumeId=volume,
        Description=f"Data volume of {host}, by hand",
        TagSpecifications=[_tags(session, "snapshot", name, "data")],
    )["SnapshotId"]
    image = ec2.create_image(
        InstanceId=host,
        Name=name,
        Description=f"Training host {host}, by hand",
        NoReboot=True,  # it would end the training
        # The volume has its snapshot, and a restored host gets the volume itself.
        BlockDeviceMappings=[{"DeviceName": DATA_DEVICE, "NoDevice": ""}],
        TagSpecifications=[_tags(session, kind, name, "host") for kind in ("image", "snapshot")],
    )["ImageId"]
    taken = Taken(image, snapshot)
    if wait:
        _wait(taken, ec2)
    return taken


def _tags(session: Session, kind: str, name: str, value: str) -> dict[str, Any]:
    tags = {**session.settings.tags, "Name": name, BACKUP_TAG: value}
    return {"ResourceType": kind, "Tags": [{"Key": key, "Value": text} for key, text in tags.items()]}


def _wait(taken: Taken, ec2: Any, sleep: Callable[[float], Any] = time.sleep) -> None:
    """Show how far AWS is until both are stored."""
    deadline = time.monotonic() + TIMEOUT_S
    with notes().status("storing") as status:
        while not _stored(taken, ec2, status.update):
            if time.monotonic() > deadline:
                raise RedoxError(
                    f"{taken.image_id} and {taken.snapshot_id} are not stored after {TIMEOUT_S / 3_600:.0f} h",
                    hint="AWS goes on with it: aws ec2 describe-images, aws ec2 describe-snapshots",
                )
            sleep(LOOK_S)


def _stored(taken: Taken, ec2: Any, tell: Callable[[str], Any]) -> bool:
    """Look whether AWS has stored both; an error where it cannot."""
    # Filters: to AWS an id of a second ago may still be unknown, and then asking for it by name is an error.
    images = ec2.describe_images(Filters=[{"Name": "image-id", "Values": [taken.image_id]}])["Images"]
    snapshots = ec2.describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": [taken.snapshot_id]}])["Snapshots"]
    for name, state, reason in (
        *((taken.image_id, each["State"], each.get("StateReason", {}).get("Message")) for each in images),
        *((taken.snapshot_id, each["State"], each.get("StateMessage")) for each in snapshots),
    ):
        if state in ("failed", "error", "invalid", "deregistered"):
            raise RedoxError(
                f"{name} is {state}: {reason or 'AWS says no more'}", hint="python -m ops snapshot again"
            )
    image = images[0]["State"] if images else "pending"
    snapshot = snapshots[0]["State"] if snapshots else "pending"
    progress = snapshots[0].get("Progress") if snapshots else ""
    tell(f"image {taken.image_id} {image}, snapshot {taken.snapshot_id} {snapshot} {progress or ''}".rstrip())
    return (image, snapshot) == ("available", "completed")
