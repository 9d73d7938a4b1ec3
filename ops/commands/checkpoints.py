"""`make checkpoints`: what there is of a run in the bucket."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.options import RunName
from ops.session import Answer, Session
from redox_balancer.cli.checkpoints import as_data, as_table, read_rows

EXAMPLE = "Example: python -m ops checkpoints --run production --verify --json"


def checkpoints(
    session: Session,
    *,
    run: RunName = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read each and compare it with its manifest.")] = False,
) -> Answer:
    """List a run's checkpoints in the bucket with step, size and age, the newest first.

    Exit code 2 where `--verify` finds a damaged one.
    """
    from redox_balancer.runs.remote.listing import damage  # noqa: PLC0415 - loads NumPy

    place = session.run_url(session.run_or_default(run))
    rows = read_rows(place, verify=verify)
    return Answer(as_data(place, rows), as_table(place, rows), error=damage(rows))
