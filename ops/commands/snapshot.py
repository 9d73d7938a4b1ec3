"""`make snapshot`: an image of the host, taken now."""

from typing import Annotated

import typer

from infra.images import terms
from ops.aws.backups import take_image
from ops.session import CommandResult, Session

EXAMPLE = "Example: python -m ops snapshot --no-wait --json"


def snapshot(
    session: Session,
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until AWS has stored it.")] = True,
) -> CommandResult:
    """Take an image of the host without a reboot; a training continues meanwhile.

    `restore` makes hosts from it.
    """
    image = take_image(session, wait=wait)
    if image is None:
        return CommandResult({"image_id": None})
    text = f"image {image}: {'stored' if wait else 'started; AWS completes it'}, {terms(session.settings)}"
    return CommandResult({"image_id": image}, text)
