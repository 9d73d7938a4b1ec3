"""`make cost`: spending of this month and of a run, cost of retained resources, and what is left of the budget."""

from dataclasses import asdict

from infra.retained import lines, retained
from ops.aws.cost import cost_of_run, this_month
from ops.session import CommandResult, RunName, Session

EXAMPLE = "Example: python -m ops cost --run production --json"


def cost(session: Session, *, run: RunName = None) -> CommandResult:
    """Show the cost of this month and of a run so far, and of what is retained when the host is destroyed.

    Hours come from the ledger that the hosts keep in the bucket.
    """
    name, settings = session.run_name(run), session.settings
    month, of_run = this_month(session), cost_of_run(session, name)
    resources = retained(settings, session.deployed, session.client)
    text = [month.text]
    if of_run is None:
        text.append(f"run {name}: no metrics in the bucket yet")
    else:
        text.append(f"run {name}: {of_run.seconds / 3_600:,.1f} h, {of_run.steps:,} steps, {of_run.usd:,.2f} USD")
    text += ["retained without a host:", *(f"  {line}" for line in lines(settings, resources)), settings.price.source]
    data = {
        "month": {**asdict(month), "hours_left": month.hours_left},
        "run": asdict(of_run) if of_run else None,
        "stays": [asdict(each) for each in resources],
    }
    return CommandResult(data, "\n".join(text))
