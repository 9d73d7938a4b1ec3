"""`make cost`: spending of this month and of a run, cost of retained resources, and what is left of the budget."""

from collections.abc import Mapping
from dataclasses import asdict

from infra.retained import lines, retained
from ops.aws.cost import cost_of_run, this_month
from ops.options import RunName
from ops.remote import training
from ops.remote.connect import connect
from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops cost --run production --json"


def cost(session: Session, *, run: RunName = None) -> CommandResult:
    """Show the cost of this month and of a run so far, and of what is retained when the host is destroyed.

    Hours come from the host's own ledger; if it cannot be reached, from Cost Explorer (at 0.01 USD), or since the
    host's last start.
    """
    name, settings = session.run_name(run), session.settings
    month, of_run = this_month(session, _ledger(session)), cost_of_run(session, name)
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


def _ledger(session: Session) -> Mapping[str, float] | None:
    """Return the seconds of host time by month, as the host counted them; None if it cannot be reached."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - not needed for `--help`

    try:
        with connect(session) as host:
            return training.inspect(host).month_seconds
    except (RedoxError, ClientError, BotoCoreError):
        return None
