"""What the hours of a month cost, and for how long the budget lasts."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from infra.settings import Settings
    from ops.session import Session

Source = Literal["ledger", "bill", "launch", "nothing"]
SAID_BY: dict[Source, str] = {
    "ledger": "by the host's own ledger",
    "bill": "by Cost Explorer, which is up to a day late",
    "launch": "since the last start of the host; what ran before it is not in it",
    "nothing": "there is no host",
}
# What AWS answers where the account or its user may not ask Cost Explorer.
FORBIDDEN = ("AccessDeniedException", "AccessDenied", "DataUnavailableException", "UnrecognizedClientException")


@dataclass(frozen=True)
class Spending:
    """Hours of a month and what they cost.

    Attributes
    ----------
    month
        Like 2026-11, in UTC.
    hours
        Hours of the host in it, so far.
    usd
        What they cost.
    source
        Where the hours are from.
    budget_usd
        What the hours of a month may cost.
    per_hour_usd
        Price of an hour of the host and its workers.
    """

    month: str
    hours: float
    usd: float
    source: Source
    budget_usd: float
    per_hour_usd: float

    @property
    def hours_left(self) -> float:
        """Hours until the month's budget is spent, when the host stops itself."""
        return max(self.budget_usd - self.usd, 0.0) / self.per_hour_usd

    @property
    def text(self) -> str:
        """For people."""
        return (
            f"{self.month}: {self.hours:,.1f} h, {self.usd:,.2f} USD of {self.budget_usd:,.2f}, "
            f"{self.hours_left:,.1f} h left at {self.per_hour_usd:,.2f} USD an hour; {SAID_BY[self.source]}"
        )


def per_hour_usd(settings: Settings) -> float:
    """Return the price of an hour of the host and its workers."""
    return settings.price.per_hour_usd * (1 + settings.host.workers)


def this_month(session: Session) -> Spending:
    """Return what this month's hours cost so far: the host knows it best, then AWS's bill, then its last start."""
    now = datetime.now(UTC)
    month = f"{now:%Y-%m}"
    hours = _ledger_hours(session, month)
    if hours is not None:
        return _at_list_price(session.settings, month, hours, "ledger")
    billed = _billed(session, now)
    if billed is not None:
        return billed
    started = _started_at(session)
    if started is None:
        return _at_list_price(session.settings, month, 0.0, "nothing")
    begin = max(started, now.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    return _at_list_price(session.settings, month, (now - begin).total_seconds() / 3_600, "launch")


def of_seconds(settings: Settings, seconds: float) -> float:
    """Return what so many seconds of the host and its workers cost, in USD."""
    return seconds / 3_600 * per_hour_usd(settings)


@dataclass(frozen=True)
class RunCost:
    """What a run took: seconds of training, environment steps, and USD at the price of the host's hours."""

    run: str
    seconds: float
    steps: int
    usd: float


def of_run(session: Session, run: str) -> RunCost | None:
    """Return what a run cost so far, by the last row of its metrics in the bucket; None where there is none."""
    from redox_balancer.runs.remote.bucket import ObjectNotFoundError  # noqa: PLC0415 - loads NumPy
    from redox_balancer.runs.remote.run import RemoteRun  # noqa: PLC0415

    remote = RemoteRun(session.run_url(run))
    try:
        content = remote.bucket.get(f"{remote.address.prefix}/metrics.csv").body.decode()
    except ObjectNotFoundError:
        return None
    rows = list(csv.DictReader(io.StringIO(content)))
    try:
        seconds, steps = float(rows[-1]["seconds"]), int(float(rows[-1]["steps"]))
    except (IndexError, KeyError, ValueError):
        return None
    return RunCost(run, seconds, steps, of_seconds(session.settings, seconds))


def _at_list_price(settings: Settings, month: str, hours: float, source: Source) -> Spending:
    price = per_hour_usd(settings)
    return Spending(month, hours, hours * price, source, settings.guard.monthly_budget_usd, price)


def _ledger_hours(session: Session, month: str) -> float | None:
    """Return what the host counted, in the ledger on its data volume; None where it does not answer."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - `--help` does without

    from ops.remote import training  # noqa: PLC0415 - as above

    try:
        return training.look(session, "").seconds.get(month, 0.0) / 3_600
    except (RedoxError, ClientError, BotoCoreError):  # there is another way to know
        return None


def _billed(session: Session, now: datetime) -> Spending | None:
    """Ask Cost Explorer, which takes 0.01 USD a question; None where it may not be asked or knows nothing."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `--help` does without

    host, region = session.settings.host, session.settings.aws.region
    wanted = {"INSTANCE_TYPE": host.instance_type, "REGION": region}
    try:
        answer = session.client("ce").get_cost_and_usage(
            TimePeriod={
                "Start": f"{now:%Y-%m}-01",
                "End": f"{now + timedelta(days=1):%Y-%m-%d}",
            },  # the end is not in it
            Granularity="MONTHLY",
            Metrics=["UnblendedCost", "UsageQuantity"],
            Filter={"And": [{"Dimensions": {"Key": key, "Values": [value]}} for key, value in wanted.items()]},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in FORBIDDEN:
            return None
        raise
    totals: list[dict[str, Any]] = [each["Total"] for each in answer.get("ResultsByTime", ()) if each.get("Total")]
    if not totals:
        return None
    usd = sum(float(each["UnblendedCost"]["Amount"]) for each in totals)
    # Hours of all instances of the type, as those of the price are.
    hours = sum(float(each["UsageQuantity"]["Amount"]) for each in totals) / (1 + host.workers)
    budget = session.settings.guard.monthly_budget_usd
    return Spending(f"{now:%Y-%m}", hours, usd, "bill", budget, per_hour_usd(session.settings))


def _started_at(session: Session) -> datetime | None:
    """Return when a host that runs was started; None where none runs."""
    host = session.deployed.instance_id
    if host is None:
        return None
    found = session.client("ec2").describe_instances(Filters=[{"Name": "instance-id", "Values": [host]}])
    running = [
        each
        for reservation in found["Reservations"]
        for each in reservation["Instances"]
        if each["State"]["Name"] == "running"
    ]
    started: datetime | None = running[0]["LaunchTime"] if running else None
    return started
