"""Plan of a restore, derived from the state of AWS alone: an interrupted restore continues where it stopped."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from infra.deployed import Deployed, describe_instance
from infra.settings import Settings
from ops.aws.backups import HostImage
from ops.session import Session
from redox_balancer.errors import RedoxError

TERMINATED = ("", "terminated", "shutting-down")  # states of an instance that is, or will soon be, deleted
# The CDK deletes such a stack by itself.
FAILED_CREATION = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS")


class RestoreAction(Enum):
    """A step of a restore; they are taken in this order."""

    SAVE = "save"
    STOP = "stop"
    DETACH = "detach"
    DESTROY = "destroy"
    DEPLOY = "deploy"
    ATTACH = "attach"
    RESUME = "resume"


# The steps that end the old host.
ENDING = {RestoreAction.SAVE, RestoreAction.STOP, RestoreAction.DETACH, RestoreAction.DESTROY}


@dataclass(frozen=True, kw_only=True)
class Situation:
    """State of the deployment; states are named as CloudFormation and EC2 do, empty for what does not exist."""

    stack: str = ""  # status of the host's stack
    host: str | None = None  # the instance of the stack
    host_state: str = ""
    host_image: str = ""  # that it was made from
    volume: str = ""  # the data volume
    volume_state: str = ""
    volume_zone: str = ""
    attached_to: str | None = None  # an instance
    replaced: bool = False  # whether the settings name a new data volume

    @property
    def in_progress(self) -> bool:
        """Whether CloudFormation is changing the stack."""
        return self.stack.endswith("_IN_PROGRESS") and self.stack not in FAILED_CREATION

    def is_restored(self, image: HostImage) -> bool:
        """Whether the stack is complete and its host, made from this image, is running."""
        complete = self.stack in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        running = self.host_state in ("pending", "running")
        return complete and running and self.host_image == image.image_id and not self.replaced


def inspect(session: Session, deployed: Deployed) -> Situation:
    """Query AWS."""
    ec2 = session.client("ec2")
    instance: Any = describe_instance(ec2, deployed.instance_id) if deployed.instance_id else {}
    volumes = ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [deployed.volume_id]}])["Volumes"]
    volume = volumes[0] if volumes else {}
    attached = [each["InstanceId"] for each in volume.get("Attachments", ()) if each["State"] != "detached"]
    return Situation(
        stack=deployed.status,
        host=deployed.instance_id,
        host_state=instance.get("State", {}).get("Name", ""),
        host_image=instance.get("ImageId", ""),
        volume=deployed.volume_id,
        volume_state=volume.get("State", ""),
        volume_zone=volume.get("AvailabilityZone", ""),
        attached_to=attached[0] if attached else None,
        replaced=deployed.volume_name != session.settings.host.data_volume_name,
    )


def refuse_volume(situation: Situation, settings: Settings) -> None:
    """Raise a RedoxError if the data volume cannot be attached to a new host."""
    if situation.replaced:  # an empty one is made, and the training fetches its newest checkpoint from the bucket
        return
    volume = situation.volume
    hint = (
        f"give host.data_volume_name of deploy.toml another name than {settings.host.data_volume_name}: an empty "
        "volume is made, and the training fetches its newest checkpoint from the bucket"
    )
    if situation.volume_state in ("", "error", "deleting", "deleted"):
        raise RedoxError(f"the data volume {volume} is {situation.volume_state or 'deleted'}", hint=hint)
    if situation.volume_zone != settings.aws.zone:
        where = f"in {situation.volume_zone}, not in {settings.aws.zone}"
        raise RedoxError(f"the data volume {volume} is {where}", hint=hint)
    if situation.attached_to not in (None, situation.host):
        raise RedoxError(
            f"the data volume {volume} is attached to {situation.attached_to}, which is not the host",
            hint=f"detach it once it is not in use there: aws ec2 detach-volume --volume-id {volume}",
        )


def plan(
    situation: Situation, image: HostImage, *, replace: bool = False, spot: bool = False
) -> tuple[RestoreAction, ...]:
    """Return the remaining steps to a host from an image, where nothing is in progress.

    `replace` replaces even a host that was made from this image; spot instances can be terminated but not stopped.
    """
    if situation.is_restored(image) and not replace:
        attach = () if situation.attached_to else (RestoreAction.ATTACH,)
        return (*attach, RestoreAction.RESUME)
    actions: list[RestoreAction] = []
    if situation.host_state == "running":
        actions.append(RestoreAction.SAVE)
    if situation.host_state not in (*TERMINATED, "stopped"):
        actions.append(RestoreAction.STOP)
    # A terminated instance releases its volume.
    terminated = situation.host_state in TERMINATED or (spot and RestoreAction.STOP in actions)
    if situation.host and situation.attached_to == situation.host and not terminated:
        actions.append(RestoreAction.DETACH)
    if situation.stack and situation.stack not in FAILED_CREATION:
        actions.append(RestoreAction.DESTROY)
    return (*actions, RestoreAction.DEPLOY, RestoreAction.RESUME)
