"""`make stop`: the training saved and ended, and the host stopped."""

from typing import Annotated

import typer

from ops.aws import instance
from ops.options import HostId
from ops.remote.training import end_training
from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops stop --instance i-0123456789abcdef0"


def stop(
    session: Session,
    *,
    instance_id: HostId = "",
    keep_host: Annotated[bool, typer.Option("--keep-host", help="End the training only.")] = False,
) -> CommandResult:
    """Have the training save and end, then stop the host. Its volume stays; train-remote starts it again."""
    host, state = session.instance_id, instance.describe(session).state
    if session.settings.host.spot and not keep_host:
        raise RedoxError(f"{host} is a spot instance, which cannot be stopped", hint="make destroy terminates it")
    if state in ("stopped", "stopping"):
        return CommandResult({"host": host, "state": state}, f"{host} is {state}")
    stopped = "the training on it" if keep_host else "it, and the training on it"
    session.confirm(instance_id, host, f"{host}: this stops {stopped}", f"python -m ops stop --instance {host}")
    saved = end_training(session)
    if keep_host:
        data = {"host": host, "state": state, "saved": saved}
        return CommandResult(data, f"the training has ended, {host} is still running")
    if session.announce(f"stop {host}"):
        session.client("ec2").stop_instances(InstanceIds=[host])
    data = {"host": host, "state": "stopping", "saved": saved}
    return CommandResult(data, f"{host} is stopping; make train-remote starts it")
