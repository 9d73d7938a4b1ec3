"""Spending: the hours of a month, what they cost, and how long the budget lasts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from infra.machine.contract import LEDGER
from infra.settings import Settings
from ops.session import Session
from redox_balancer.errors import RedoxError


@dataclass(frozen=True)
class Spending:
    """Hours of a month and what they cost."""

    month: str  # like 2026-11, in UTC
    hours: float  # of the host so far
    usd: float  # their cost
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
            f"{self.hours_left:,.1f} h left at {self.per_hour_usd:,.2f} USD an hour"
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


def this_month(session: Session) -> Spending:
    """Return the spending of this month, from the ledger in the bucket that every host continues."""
    month, settings = f"{datetime.now(UTC):%Y-%m}", session.settings
    hours, price = ledger(session).get(month, 0.0) / 3_600, per_hour_usd(settings)
    return Spending(month, hours, hours * price, settings.guard.monthly_budget_usd, price)


def ledger(session: Session) -> Mapping[str, float]:
    """Return the seconds of host time by month; a RedoxError if they cannot be read."""
    found = session.bucket.get(LEDGER)
    try:
        months = json.loads(found.content) if found else {}
        return {str(month): float(seconds) for month, seconds in months.items()}
    except (ValueError, TypeError, AttributeError) as error:
        hint = "the host's watch sets it aside; make logs OPS_OPTIONS='--of host' shows its alarms"
        raise RedoxError(f"{LEDGER} in the bucket is damaged", hint=hint) from error


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
