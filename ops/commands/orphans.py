"""`make orphans`: resources that cost money and belong to no deployment."""

from dataclasses import asdict

from ops.aws.orphans import find_orphans
from ops.session import CommandResult, Session
from redox_balancer.terminal.tables import number, table

EXAMPLE = "Example: python -m ops orphans --json"


def orphans(session: Session) -> CommandResult:
    """List resources with a tag of ours that belong to no deployment, their cost, and the command that removes them.

    Instances, volumes, snapshots, images and addresses. Nothing is removed.
    """
    found = find_orphans(session)
    usd_month = sum(each.usd_month or 0.0 for each in found)
    data = {"orphans": [asdict(each) for each in found], "usd_month": usd_month}
    if not found:
        return CommandResult(data, "none: all resources with our tags belong to the deployment")
    headings = {"kind": "left", "id": "left", "why": "left", "USD a month": "right", "remove it with": "left"}
    rows = [(each.kind, each.name, each.why, number(each.usd_month, 2), each.remove) for each in found]
    return CommandResult(data, table(headings, [*rows, ("total", "", "", number(usd_month, 2), "")]))
