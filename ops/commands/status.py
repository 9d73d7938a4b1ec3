"""`make status`: how host and run do."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.table import Table

from ops import health as condition
from ops.options import RunName
from ops.session import Answer, Session
from redox_balancer.terminal.tables import out, table

EXAMPLE = "Example: python -m ops status --run production --watch"


def status(
    session: Session,
    *,
    run: RunName = None,
    watch: Annotated[bool, typer.Option("--watch", help="Draw it again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, help="With --watch: seconds between two looks.")] = 5.0,
) -> Answer | None:
    """Show the host, what it cost, and its run: step, time left, speed, ages, memory, and when an idle host stops."""
    name = session.run_or_default(run)
    if not watch:
        data = condition.figures(condition.look(session, name), session.settings)
        return Answer(data, _shown(data))
    from rich.live import Live  # noqa: PLC0415 - only --watch draws

    console = out()
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                data = condition.figures(condition.look(session, name), session.settings)
                live.update(_shown(data), refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        return None


def _shown(data: dict[str, Any]) -> Table:
    return table({"": "left", " ": "left"}, condition.rows(data))
