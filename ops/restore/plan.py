"""What a restore has to do, decided from what AWS says: one that broke off goes on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ops.restore.backups import Image
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from infra.deployed import Deployed
    from infra.settings import Settings
    from ops.session import Session

GONE = ("", "terminated", "shutting-down")  # states of an instance that nothing can be done to
# The CDK takes such a stack away by itself.
FAILED_CREATION = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS")


class RestoreAction(Enum):
    """A step of a restore, in the order in which they are taken."""

    SAVE = "save"
    STOP = "stop"
    DETACH = "detach"
    DESTROY = "destroy"
    DEPLOY = "deploy"
    ATTACH = "attach"
    RESUME = "resume"


ENDING = {
    RestoreAction.SAVE,
    RestoreAction.STOP,
    RestoreAction.DETACH,
    RestoreAction.DESTROY,
}  # the old host is gone


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is the case.

    Attributes
    ----------
    stack
        Status of the host's stack, in AWS's words; empty where there is none.
    host
        The instance that the stack names, None where it names none.
    host_state
        Its state in AWS's words; empty where AWS no longer knows it.
    host_image
        What it was made from.
    volume
        The data volume of the deployment.
    volume_state
        Its state in AWS's words; empty where there is no such volume.
    volume_zone
        Where it is.
    attached_to
        The instance that has it, None where none has.
    replaced
        Whether the settings name a new data volume.
    """

    stack: str = ""
    host: str | None = None
    host_state: str = ""
    host_image: str = ""
    volume: str = ""
    volume_state: str = ""
    volume_zone: str = ""
    attached_to: str | None = None
    replaced: bool = False

    @property
    def unsettled(self) -> bool:
        """Whether CloudFormation is at work on the stack."""
        return self.stack.endswith("_IN_PROGRESS") and self.stack not in FAILED_CREATION

    def is_restored(self, image: Image) -> bool:
        """Whether the host is a whole one that was made from an image."""
        whole = self.stack in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        alive = self.host_state in ("pending", "running")
        return whole and alive and self.host_image == image.image_id and not self.replaced


def look(session: Session, there: Deployed) -> Situation:
    """Ask AWS."""
    ec2 = session.client("ec2")
    instance: Any = {}
    if there.instance_id:
        # A filter: an instance that ended an hour ago is unknown, which is an error only to who asks for it by name.
        wanted = [{"Name": "instance-id", "Values": [there.instance_id]}]
        found = ec2.describe_instances(Filters=wanted)["Reservations"]
        instance = found[0]["Instances"][0] if found else {}
    volumes = ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [there.volume_id]}])["Volumes"]
    volume = volumes[0] if volumes else {}
    attached = [each["InstanceId"] for each in volume.get("Attachments", ()) if each["State"] != "detached"]
    return Situation(
        stack=there.status,
        host=there.instance_id,
        host_state=instance.get("State", {}).get("Name", ""),
        host_image=instance.get("ImageId", ""),
        volume=there.volume_id,
        volume_state=volume.get("State", ""),
        volume_zone=volume.get("AvailabilityZone", ""),
        attached_to=attached[0] if attached else None,
        replaced=there.volume_name != session.settings.host.data_volume_name,
    )


def refuse_volume(seen: Situation, settings: Settings) -> None:
    """Raise an error where the data volume cannot be brought to a new host."""
    if seen.replaced:  # an empty one is made, and the training fetches its newest checkpoint from the bucket
        return
    another = (
        f"give host.data_volume_name of deploy.toml another name than {settings.host.data_volume_name}: an empty "
    )
    hint = another + "volume is made, and the training fetches its newest checkpoint from the bucket"
    if seen.volume_state in ("", "error", "deleting", "deleted"):
        raise RedoxError(f"the data volume {seen.volume} is {seen.volume_state or 'gone'}", hint=hint)
    if seen.volume_zone != settings.aws.zone:
        where = f"in {seen.volume_zone}, not in {settings.aws.zone}"
        raise RedoxError(f"the data volume {seen.volume} is {where}", hint=hint)
    if seen.attached_to not in (None, seen.host):
        raise RedoxError(
            f"the data volume {seen.volume} is attached to {seen.attached_to}, which is not the host",
            hint=f"aws ec2 detach-volume --volume-id {seen.volume} frees it, once nothing there uses it",
        )


def plan(seen: Situation, image: Image, *, anew: bool = False, spot: bool = False) -> tuple[RestoreAction, ...]:
    """Decide what is left to do.

    Parameters
    ----------
    seen
        What is the case; not `unsettled`.
    image
        What the host shall be made from.
    anew
        Whether a host that was made from it is replaced, too.
    spot
        Whether hosts are of the spot market: they are ended and not stopped.
    """
    if seen.is_restored(image) and not anew:
        attach = () if seen.attached_to else (RestoreAction.ATTACH,)
        return (*attach, RestoreAction.RESUME)
    due: list[RestoreAction] = []
    if seen.host_state == "running":
        due.append(RestoreAction.SAVE)
    if seen.host_state not in (*GONE, "stopped"):
        due.append(RestoreAction.STOP)
    frees_it = seen.host_state in GONE or (spot and RestoreAction.STOP in due)  # termination detaches the volume
    if seen.host and seen.attached_to == seen.host and not frees_it:
        due.append(RestoreAction.DETACH)
    if seen.stack and seen.stack not in FAILED_CREATION:
        due.append(RestoreAction.DESTROY)
    return (*due, RestoreAction.DEPLOY, RestoreAction.RESUME)
