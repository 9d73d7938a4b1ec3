"""`make snapshot`: an image of the host and a snapshot of its volume, taken now."""

from dataclasses import asdict
from typing import Annotated

import typer

from ops.aws.backups import take_backup
from ops.session import CommandResult, Session

EXAMPLE = "Example: python -m ops snapshot --no-wait --json"


def snapshot(
    session: Session,
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until AWS has stored both.")] = True,
) -> CommandResult:
    """Take an image of the host without a reboot, and a snapshot of its data volume.

    A training continues meanwhile. `restore` finds the image by its tag; neither is ever deleted automatically.
    """
    backup = take_backup(session, wait=wait)
    if backup is None:
        return CommandResult({"image_id": None, "snapshot_id": None})
    progress = "stored" if wait else "started; AWS completes both"
    return CommandResult(asdict(backup), f"image {backup.image_id} and snapshot {backup.snapshot_id}: {progress}")
