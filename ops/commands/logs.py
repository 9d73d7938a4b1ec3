"""`make logs`: what the training or the host said."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from infra.names import LOG
from ops.remote.training import UNIT
from ops.session import Answer, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops logs --follow"


def logs(
    session: Session,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Show what comes, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 100,
    of: Annotated[
        Literal["training", "host"], typer.Option(help="training: its container; host: bring-up, watch and sweep.")
    ] = "training",
) -> Answer | None:
    """Show what the training or the host itself said."""
    command = {
        "training": f"sudo -n journalctl -u {UNIT} -n {lines} --no-pager -o short-iso",
        "host": f"sudo -n tail -n {lines} {LOG}",
    }[of]
    if not follow:
        said = session.on_host().run(command, reads=True).rstrip("\n")
        return Answer({"of": of, "lines": said.splitlines()}, said)
    try:
        for line in session.on_host().stream(f"{command} {'-f' if of == 'training' else '-F'}"):
            typer.echo(line)
    except KeyboardInterrupt:
        return None
    raise RedoxError(f"{session.host} says no more", hint="the same command again goes on")
