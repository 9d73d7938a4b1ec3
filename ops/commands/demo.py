"""`make demo`: the whole story on this machine, without an account."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ops.session import Answer, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops demo --keep"


def demo(
    session: Session,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder with everything in it.")] = False,
) -> Answer:
    """Deploy, train, lose the host in the middle, bring it back and fetch the result, all on this machine.

    AWS is a stand-in here, and the host a group of processes behind a real sshd; every command is the real one. It
    needs Linux, root, openssh-server and node; no account is touched.
    """
    from ops.demo.story import Story  # noqa: PLC0415 - `--help` does without

    if not session.change("deploy to an AWS on this machine, train, kill the host and bring it back"):
        return Answer({})
    signal.signal(signal.SIGTERM, _end)
    folder = Path(tempfile.mkdtemp(prefix="redox-demo-"))
    try:
        figures = Story(folder, session.say).tell()
    except RedoxError:
        keep = True  # the hint names a file of it
        raise
    finally:
        if keep:
            session.say(f"everything is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    killed, restored = figures["killed"], figures["restored"]
    text = (
        f"\nkilled at step {killed['step']:,}, went on at step {restored['step']:,}, fetched step "
        f"{figures['pulled']['step']:,}: {restored['lost_steps']:,} steps lost, "
        f"{killed['since_checkpoint_s']:.1f} s of at most {figures['save_interval_s']} s; "
        f"all of it took {figures['seconds']:.0f} s"
    )
    return Answer({**figures, "folder": str(folder) if keep else None}, text)


def _end(*_: object) -> NoReturn:
    """End as Ctrl-C does: everything that was started is ended on the way."""
    raise KeyboardInterrupt
