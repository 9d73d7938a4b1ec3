"""`make snapshot`: an image of the host and a snapshot of its volume, now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ops.restore import backups
from ops.session import Answer, Session

EXAMPLE = "Example: python -m ops snapshot --no-wait --json"


def snapshot(
    session: Session,
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until AWS has stored both.")] = True,
) -> Answer:
    """Take an image of the host without a reboot, and a snapshot of its data volume.

    A training goes on meanwhile. `restore` finds the image by its tag; nothing removes either by itself.
    """
    taken = backups.take(session, wait=wait)
    if taken is None:
        return Answer({"image_id": None, "snapshot_id": None})
    how = "stored" if wait else "begun; AWS goes on with both"
    return Answer(asdict(taken), f"image {taken.image_id} and snapshot {taken.snapshot_id}: {how}")
