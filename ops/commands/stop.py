"""`make stop`: the training saved and ended, and the host with it."""

from typing import Annotated

import typer

from infra import group
from ops.options import HostId
from ops.remote.training import end_training
from ops.session import CommandResult, Session

EXAMPLE = "Example: python -m ops stop --instance i-0123456789abcdef0"


def stop(
    session: Session,
    *,
    instance_id: HostId = "",
    keep_host: Annotated[bool, typer.Option("--keep-host", help="End the training only.")] = False,
) -> CommandResult:
    """Have the training save and end, then end the host. Its run stays in the bucket; train-remote starts another."""
    deployed = session.deployed
    host = deployed.instance_id or ""
    if not deployed.wanted and not host:
        return CommandResult({"host": None, "wanted": 0, "saved": None}, "there is no host")
    ended = "the training on it" if keep_host else "it, and the training on it"
    session.confirm(instance_id, host, f"{host}: this ends {ended}", f"python -m ops stop --instance {host}")
    saved = end_training(session) if host else None
    if keep_host:
        if not session.dry_run:
            group.forget_run(session.client, deployed.bucket)
        data = {"host": host, "wanted": deployed.wanted, "saved": saved}
        return CommandResult(data, f"the training has ended, {host} is still running")
    if session.announce(f"set the group of the host to 0, which ends {host}"):
        group.stop(session.client, deployed.bucket)
    return CommandResult(
        {"host": host, "wanted": 0, "saved": saved}, f"{host} is ending; make train-remote starts another"
    )
