"""`make stop`: the training saved and ended, and the host with it."""

from typing import Annotated

import typer

from infra import group
from ops.remote.training import end_training
from ops.session import CommandResult, HostId, Session

EXAMPLE = "Example: python -m ops stop --instance i-0123456789abcdef0"


def stop(
    session: Session,
    *,
    instance_id: HostId = "",
    keep_host: Annotated[bool, typer.Option("--keep-host", help="End the training only.")] = False,
) -> CommandResult:
    """Have the training save and end, then end the host, or with --keep-host have it start the next job.

    Run and waiting jobs stay in the bucket; train-remote launches another host, which goes on with the jobs.
    """
    deployed = session.deployed
    host = deployed.instance_id or ""
    if not deployed.wanted and not host:
        return CommandResult({"host": None, "wanted": 0, "saved": None}, "there is no host")
    ended = "the training on it" if keep_host else "it, and the training on it"
    session.confirm(instance_id, host, f"{host}: this ends {ended}", f"python -m ops stop --instance {host}")
    seen = session.queue()
    if not keep_host and not session.dry_run:  # or the host would start the next job while it ends
        group.close_queue(session.client, deployed.bucket)
    saved = end_training(session) if host else None
    if keep_host:
        if not session.dry_run:
            group.forget(session.client, deployed.bucket, seen)
        data = {"host": host, "wanted": deployed.wanted, "saved": saved}
        now = f"goes on with run {seen.waiting[0].run}" if seen.waiting else "is still running"
        return CommandResult(data, f"the training has ended, {host} {now}")
    if session.announce(f"set the group of the host to 0, which ends {host}"):
        group.stop(session.client, deployed.bucket)
    waiting = f", for {len(seen.waiting)} waiting jobs first" if seen.waiting else ""
    data = {"host": host, "wanted": 0, "saved": saved}
    return CommandResult(data, f"{host} is ending; make train-remote starts another{waiting}")
