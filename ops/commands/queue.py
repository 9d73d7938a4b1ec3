"""`make queue`: the run that trains, the jobs behind it, and those that failed."""

import time
from collections.abc import Iterator
from dataclasses import asdict

from infra.machine.jobs import STOPPED, Queue
from ops.session import CommandResult, Session
from redox_balancer.terminal.tables import age_text, table

EXAMPLE = "Example: python -m ops queue --json"


def queue(session: Session) -> CommandResult:
    """Show the active run, the waiting jobs in their order, and the jobs set aside with their reason and log."""
    found = session.queue()
    rows = table({"job": "left", "state": "left", "queued": "right", "": "left"}, _rows(session, found))
    none = not (found.active or found.waiting or found.failed)
    return CommandResult(asdict(found), "the queue is empty" if none else rows)


def _rows(session: Session, found: Queue) -> Iterator[tuple[str, str, str, str]]:
    idle = "" if session.deployed.wanted and found.closed != STOPPED else "no host: make train-remote launches one"
    states = [(each, str(at), idle) for at, each in enumerate(found.waiting, 1)]
    states = [(found.active, "active", idle), *states] if found.active else states
    states += [(each, "failed", session.reason(each)) for each in found.failed]
    for job, state, text in states:
        yield job.run, state, f"{age_text(time.time() - job.queued_at)} ago", text
