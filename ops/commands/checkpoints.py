"""`make checkpoints`: the checkpoints of a run in the bucket."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import RunName
<<<<<<< HEAD
from ops.session import CommandResult, Session
=======
from ops.session import Answer, Session
>>>>>>> house
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

<<<<<<< HEAD
    url = session.run_url(session.run_name(run))
    listed = read_list(url, verify=verify)
    return CommandResult(list_data(url, listed), list_table(url, listed), error=damage_of(listed))
=======
    place = session.run_url(session.run_or_default(run))
    listed = read_list(place, verify=verify)
    return Answer(list_data(place, listed), list_table(place, listed), error=damage_of(listed))
>>>>>>> house
