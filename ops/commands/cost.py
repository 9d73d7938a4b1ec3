"""`make cost`: what this month and a run cost so far, what stays costs, and how long the budget lasts."""

from __future__ import annotations

from dataclasses import asdict

from infra.retained import lines, retained
from ops import cost as spending
from ops.options import RunName
from ops.session import Answer, Session

EXAMPLE = "Example: python -m ops cost --run production --json"


def cost(session: Session, *, run: RunName = None) -> Answer:
    """Say what this month and a run cost so far, and what stays costs when the host is gone.

    Hours are those of the host's own ledger; where it does not answer, of Cost Explorer (which takes 0.01 USD), or
    since the host's last start.
    """
    name, settings = session.run_or_default(run), session.settings
    month, of_run = spending.this_month(session), spending.of_run(session, name)
    things = retained(settings, session.deployed, session.client)
    text = [month.text]
    if of_run is None:
        text.append(f"run {name}: no figures of it in the bucket yet")
    else:
        text.append(f"run {name}: {of_run.seconds / 3_600:,.1f} h, {of_run.steps:,} steps, {of_run.usd:,.2f} USD")
    text += ["what stays without a host:", *(f"  {line}" for line in lines(settings, things)), settings.price.source]
    data = {
        "month": {**asdict(month), "hours_left": month.hours_left},
        "run": asdict(of_run) if of_run else None,
        "stays": [asdict(thing) for thing in things],
    }
    return Answer(data, "\n".join(text))
