"""Spending: the hours of a month, what they cost, and how long the budget lasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from infra.deployed import describe_instance
from infra.settings import Settings
from ops.session import Session

Source = Literal["ledger", "bill", "launch", "nothing"]
SOURCES: dict[Source, str] = {
    "ledger": "from the host's own ledger",
    "bill": "from Cost Explorer, which lags by up to a day",
    "launch": "since the last start of the host; earlier hours are not included",
    "nothing": "there is no host",
}
# Error codes where the account or the user has no access to Cost Explorer.
ACCESS_ERRORS = ("AccessDeniedException", "AccessDenied", "DataUnavailableException", "UnrecognizedClientException")


@dataclass(frozen=True)
class Spending:
    """Hours of a month and what they cost."""

    month: str  # like 2026-11, in UTC
    hours: float  # of the host so far
    usd: float  # their cost
    source: Source  # of the hours
    budget_usd: float  # of a month
    per_hour_usd: float  # of the host and its workers

    @property
    def hours_left(self) -> float:
        """Hours until the budget of the month is spent and the host stops itself."""
        return max(self.budget_usd - self.usd, 0.0) / self.per_hour_usd

    @property
    def text(self) -> str:
        """One line with all of it."""
        return (
            f"{self.month}: {self.hours:,.1f} h, {self.usd:,.2f} USD of {self.budget_usd:,.2f}, "
            f"{self.hours_left:,.1f} h left at {self.per_hour_usd:,.2f} USD an hour; {SOURCES[self.source]}"
        )


@dataclass(frozen=True)
class RunCost:
    """Cost of a run: seconds of training, environment steps, and USD at the hourly price of the host."""

    run: str
    seconds: float
    steps: int
    usd: float


def per_hour_usd(settings: Settings) -> float:
    """Return the price of an hour of the host and its workers, USD."""
    return settings.price.per_hour_usd * (1 + settings.host.workers)


def cost_of_seconds(settings: Settings, seconds: float) -> float:
    """Return the cost of this many seconds of the host and its workers, USD."""
    return seconds / 3_600 * per_hour_usd(settings)


def this_month(session: Session, ledger: Mapping[str, float] | None) -> Spending:
    """Return the spending of this month: from the host's ledger, else from the bill, else since the host's start.

    `ledger` has the seconds of host time by month, as the host counted them; None if the host cannot be reached.
    """
    now = datetime.now(UTC)
    month = f"{now:%Y-%m}"
    if ledger is not None:
        return _at_list_price(session.settings, month, ledger.get(month, 0.0) / 3_600, "ledger")
    billed = _billed(session, now)
    if billed is not None:
        return billed
    host = session.deployed.instance_id
    found = describe_instance(session.client("ec2"), host) if host else {}
    if not found or found["State"]["Name"] != "running":
        return _at_list_price(session.settings, month, 0.0, "nothing")
    start = max(found["LaunchTime"], now.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    return _at_list_price(session.settings, month, (now - start).total_seconds() / 3_600, "launch")


def cost_of_run(session: Session, run: str) -> RunCost | None:
    """Return the cost of a run so far, from the last row of its metrics in the bucket; None without metrics."""
    from redox_balancer.runs.metrics import read_rows  # noqa: PLC0415 - loads NumPy
    from redox_balancer.runs.remote.bucket import ObjectNotFoundError  # noqa: PLC0415
    from redox_balancer.runs.remote.run import RemoteRun  # noqa: PLC0415

    remote = RemoteRun(session.run_url(run))
    try:
        content = remote.bucket.get(f"{remote.address.prefix}/metrics.csv").body.decode()
    except ObjectNotFoundError:
        return None
    try:
        last = read_rows(content.splitlines())[-1]
        seconds, steps = last["seconds"], int(last["steps"])
    except (IndexError, KeyError, ValueError, TypeError):
        return None
    return RunCost(run, seconds, steps, cost_of_seconds(session.settings, seconds))


def _at_list_price(settings: Settings, month: str, hours: float, source: Source) -> Spending:
    price = per_hour_usd(settings)
    return Spending(month, hours, hours * price, source, settings.guard.monthly_budget_usd, price)


def _billed(session: Session, now: datetime) -> Spending | None:
    """Query Cost Explorer, at 0.01 USD a request; None without access or data."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - not needed for `--help`

    host, region = session.settings.host, session.settings.aws.region
    dimensions = {"INSTANCE_TYPE": host.instance_type, "REGION": region}
    # The end of the period is exclusive.
    period = {"Start": f"{now:%Y-%m}-01", "End": f"{now + timedelta(days=1):%Y-%m-%d}"}
    try:
        answer = session.client("ce").get_cost_and_usage(
            TimePeriod=period,
            Granularity="MONTHLY",
            Metrics=["UnblendedCost", "UsageQuantity"],
            Filter={"And": [{"Dimensions": {"Key": key, "Values": [value]}} for key, value in dimensions.items()]},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ACCESS_ERRORS:
            return None
        raise
    totals: list[dict[str, Any]] = [each["Total"] for each in answer.get("ResultsByTime", ()) if each.get("Total")]
    if not totals:
        return None
    usd = sum(float(each["UnblendedCost"]["Amount"]) for each in totals)
    # The bill counts host and workers; an hour of ours is one of each.
    hours = sum(float(each["UsageQuantity"]["Amount"]) for each in totals) / (1 + host.workers)
    budget = session.settings.guard.monthly_budget_usd
    return Spending(f"{now:%Y-%m}", hours, usd, "bill", budget, per_hour_usd(session.settings))
