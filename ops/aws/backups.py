"""Images of the host: finding the newest and taking new ones."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from infra import images
from infra.names import BACKUP_TAG
from infra.tables import AMI
from ops.aws import instance
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.tables import notes

POLL_S = 5
ATTEMPTS = 4 * 720  # four hours: the first image of a full disk takes hours, later ones store the changes only
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


def host_images(session: Session) -> list[HostImage]:
    """Return all images of hosts, newest first."""
    found = map(HostImage.from_answer, images.ours(session.client("ec2")))
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
                hint="--image names another; a host from the image of deploy.toml needs none: make train-remote",
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


def take_image(session: Session, *, wait: bool) -> str | None:
    """Take an image of the host without a reboot, and return its id; None in a dry run.

    It holds the state of this moment, whether or not this waits until AWS has stored it.
    """
    host = instance.describe(session).instance_id
    if not session.announce(f"take an image of {host} without a reboot"):
        return None
    ec2 = session.client("ec2")
    image = images.take(session.settings, ec2, host)
    if wait:
        _wait(image, ec2)
    return image


def _wait(image: str, ec2: Any) -> None:
    """Wait until the image is stored; a RedoxError if AWS cannot store it."""
    from botocore.exceptions import WaiterError  # noqa: PLC0415 - `--help` does without

    # A filter, because a new id may not be visible yet, which is an error in a query by id.
    asked = [{"Name": "image-id", "Values": [image]}]
    config = {"Delay": POLL_S, "MaxAttempts": ATTEMPTS}
    with notes().status(f"storing {image}"):
        try:
            ec2.get_waiter("image_available").wait(Filters=asked, WaiterConfig=config)
        except WaiterError as error:
            found = (error.last_response.get("Images") or [{}])[0]
            reason = found.get("StateReason", {}).get("Message") or "AWS gives no reason"
            hint = "AWS goes on with one that is pending; python -m ops snapshot takes another"
            raise RedoxError(f"{image} is {found.get('State', 'unknown')}: {reason}", hint=hint) from error
