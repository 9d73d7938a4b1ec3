"""`make shell`: a shell on the host."""

from __future__ import annotations

import shlex
import subprocess
from typing import Annotated

import typer

from ops.remote import instance, ssh
from ops.session import Answer, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops shell -- df -h /data"
LOST = 255  # how ssh itself ends


def shell(
    session: Session,
    *,
    command: Annotated[
        list[str] | None, typer.Argument(help="After --: a command to run there in place of a shell.")
    ] = None,
) -> Answer | None:
    """Open a shell on the host through Systems Manager, or run one command there; its exit code is ours."""
    instance.require_online(session)
    words = shlex.join(command or [])
    if not session.change(f"run {words} on {session.host}" if command else f"open a shell on {session.host}"):
        return None
    access = ssh.prepare(session)
    line = [*access.ssh(*([] if command else ["-t"])), *([words] if command else [])]
    code = subprocess.run(line, check=False).returncode  # noqa: S603 - made in ops.remote.ssh
    if code == LOST:
        raise RedoxError(f"ssh could not reach {session.host}, or lost it; what it said is above", hint="try again")
    return Answer({"exit_code": code}, exit_code=code)
