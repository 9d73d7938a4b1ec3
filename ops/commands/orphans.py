"""`make orphans`: what costs money and belongs to no deployment."""

from __future__ import annotations

from dataclasses import asdict

from ops import orphans as left
from ops.session import Answer, Session
from redox_balancer.terminal.tables import number, table

EXAMPLE = "Example: python -m ops orphans --json"


def orphans(session: Session) -> Answer:
    """List what has a tag of ours and belongs to no deployment, what it costs, and the command that removes it.

    Volumes, snapshots, images, addresses and instances. Removes nothing by itself.
    """
    found = left.orphans(session)
    total = sum(each.usd_month or 0.0 for each in found)
    data = {"orphans": [asdict(each) for each in found], "usd_month": total}
    if not found:
        return Answer(data, "nothing: all that has our tags belongs to the deployment")
    headings = {"what": "left", "id": "left", "why": "left", "USD a month": "right", "remove it with": "left"}
    rows = [(each.kind, each.name, each.why, number(each.usd_month, 2), each.remove) for each in found]
    return Answer(data, table(headings, [*rows, ("together", "", "", number(total, 2), "")]))
