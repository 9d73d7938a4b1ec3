"""`make logs`: the log of the training or of the host."""

from typing import Annotated, Literal

import typer

from infra.machine import contract
from ops.remote.host import RemoteHost
from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops logs --follow"


def logs(
    session: Session,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Show new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(min=1, help="Number of last lines.")] = 100,
    of: Annotated[
        Literal["training", "host"], typer.Option(help="training: its container; host: set-up, watch and sync.")
    ] = "training",
) -> CommandResult | None:
    """Show the log of the training or of the host itself."""
    command = {
        "training": f"sudo -n journalctl -u {contract.TRAINER} -n {lines} --no-pager -o short-iso",
        "host": f"sudo -n tail -n {lines} {contract.LOG}",
    }[of]
    with RemoteHost(session) as host:
        if not follow:
            output = host.run(command, reads=True).rstrip("\n")
            return CommandResult({"of": of, "lines": output.splitlines()}, output)
        try:
            for line in host.stream(f"{command} {'-f' if of == 'training' else '-F'}"):
                typer.echo(line)
        except KeyboardInterrupt:
            return None
        raise RedoxError(f"the log of {host.name} ended", hint="repeat the command to continue")
