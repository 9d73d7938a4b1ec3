"""`make demo`: the whole workflow on this machine, without an AWS account."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops demo --keep"


def demo(
    session: Session,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with logs, run and report.")] = False,
) -> CommandResult:
    """Deploy, queue two runs, lose the host, see it replaced and both runs finish, and fetch them, on this machine.

    AWS is simulated and the host is a group of processes behind a real sshd; every command is the real one. Needs
    Linux, root, openssh-server and node; no account is used.
    """
    from ops.demo.stand_in import StandInStage  # noqa: PLC0415 - not needed for `--help`
    from ops.demo.story import tell  # noqa: PLC0415

    if not session.announce(
        "deploy to a simulated AWS on this machine, queue two runs, kill the host, which its group replaces"
    ):
        return CommandResult({})
    folder = Path(tempfile.mkdtemp(prefix="redox-demo-"))
    try:
        results, text = tell(StandInStage(folder, session.note), folder, session.note)
    except RedoxError:
        keep = True  # the hint names a file in it
        raise
    finally:
        if keep:
            session.note(f"all files are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return CommandResult({**results, "folder": str(folder) if keep else None}, text)
