"""Spending of a month: from the host's ledger, else from the bill, else since the host's start."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from infra.deployed import Deployed
from infra.settings import FILE, parse
from ops.aws import cost
from ops.session import Session
from stubbed_aws import stubbable_client

NOW = datetime.now(UTC)


@pytest.fixture
def billed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Session, Stubber]]:
    """A session with a stubbed bill, because moto never denies access to it."""
    client, session = stubbable_client("ce"), Session(parse(FILE.read_text()))
    monkeypatch.setattr(session, "client", lambda _: client)
    session.deployed = Deployed(bucket="b", volume_id="vol-1", repository="images", instance_id="i-1")
    monkeypatch.setattr(cost, "describe_instance", lambda *_: {})
    with Stubber(client) as stub:
        yield session, stub


def test_the_ledger_of_the_host_counts_without_a_query() -> None:
    month = cost.this_month(Session(parse(FILE.read_text())), {f"{NOW:%Y-%m}": 7_200.0, "2020-01": 3_600.0})
    assert (month.source, month.hours) == ("ledger", 2.0)
    assert month.usd == pytest.approx(2 * 12.7008)


def test_the_bill_counts_if_the_host_cannot_be_reached(billed: Any) -> None:
    session, stub = billed
    total = {"UnblendedCost": {"Amount": "254.02", "Unit": "USD"}, "UsageQuantity": {"Amount": "20", "Unit": "Hrs"}}
    stub.add_response("get_cost_and_usage", {"ResultsByTime": [{"Total": total}]})
    month = cost.this_month(session, None)
    assert (month.source, month.hours, month.usd) == ("bill", 20.0, 254.02)
    assert month.hours_left == pytest.approx((2000 - 254.02) / 12.7008)


def test_the_start_of_the_host_counts_without_access_to_the_bill(
    billed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, stub = billed
    stub.add_client_error("get_cost_and_usage", "AccessDeniedException")
    assert cost.this_month(session, None).source == "nothing"
    stub.add_client_error("get_cost_and_usage", "AccessDeniedException")
    before_the_month = datetime(2020, 1, 1, tzinfo=UTC)
    running = {"State": {"Name": "running"}, "LaunchTime": before_the_month}
    monkeypatch.setattr(cost, "describe_instance", lambda *_: running)
    month = cost.this_month(session, None)
    now = datetime.now(UTC)
    hours = (now - now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)).total_seconds() / 3_600
    assert (month.source, month.hours) == ("launch", pytest.approx(hours, abs=0.1))
