"""`make shell`: a shell on the host."""

import shlex
import subprocess
from typing import Annotated

import typer

from ops.aws import instance
from ops.remote import ssh
from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops shell -- df -h /data"
SSH_FAILED = 255  # exit code of ssh itself


def shell(
    session: Session,
    *,
    command: Annotated[
        list[str] | None, typer.Argument(help="After --: a command to run instead of a shell.")
    ] = None,
) -> CommandResult | None:
    """Open a shell on the host through Systems Manager, or run one command there and return its exit code."""
    host = instance.require_online(session).instance_id
    line = shlex.join(command or [])
    if not session.announce(f"run {line} on {host}" if command else f"open a shell on {host}"):
        return None
    access = ssh.prepare(session)
    words = access.ssh(command=line) if command else access.ssh("-t")
    code = subprocess.run(words, check=False).returncode  # noqa: S603 - built in ops.remote.ssh
    if code == SSH_FAILED:
        raise RedoxError(f"ssh failed to reach {host}, or lost it; see its output above", hint="try again")
    return CommandResult({"exit_code": code}, exit_code=code)
