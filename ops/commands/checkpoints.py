"""`make checkpoints`: the checkpoints of a run in the bucket."""

from typing import Annotated

import typer

from ops.session import CommandResult, RunName, Session
from redox_balancer.terminal.checkpoints import list_data, list_table, read_list

EXAMPLE = "Example: python -m ops checkpoints --run production --verify --json"


def checkpoints(
    session: Session,
    *,
    run: RunName = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read each and compare it with its manifest.")] = False,
) -> CommandResult:
    """List a run's checkpoints in the bucket with step, size and age, newest first.

    Exit code 2 if `--verify` finds a damaged one.
    """
    from redox_balancer.runs.remote.listing import damage_of  # noqa: PLC0415 - loads NumPy

    url = session.run_url(session.run_name(run))
    listed = read_list(url, verify=verify)
    return CommandResult(list_data(url, listed), list_table(url, listed), error=damage_of(listed))
