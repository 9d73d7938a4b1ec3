"""Spending of a month: from the ledger in the bucket, whether or not there is a host."""

import json
from datetime import UTC, datetime

import pytest

from infra.deployed import Deployed
from infra.machine.contract import LEDGER
from infra.settings import FILE, parse
from ops.aws.cost import this_month
from ops.session import Session
from redox_balancer.errors import RedoxError
from s3_stand_in import S3

NOW = datetime.now(UTC)


@pytest.fixture
def session(s3: S3) -> Session:
    opened = Session(parse(FILE.read_text()))
    opened.deployed = Deployed(bucket=s3.bucket, repository="images", wanted=0)
    return opened


def test_the_ledger_in_the_bucket_counts_without_a_host(session: Session) -> None:
    client = session.client("s3")
    assert this_month(session).hours == 0  # no host yet
    months = {f"{NOW:%Y-%m}": 7_200.0, "2020-01": 3_600.0}
    client.put_object(Bucket=session.deployed.bucket, Key=LEDGER, Body=json.dumps(months).encode())
    month = this_month(session)
    assert month.hours == 2.0
    assert month.usd == pytest.approx(2 * 12.7008)
    assert month.hours_left == pytest.approx((2000 - 2 * 12.7008) / 12.7008)


def test_a_damaged_ledger_is_an_error(session: Session) -> None:
    session.client("s3").put_object(Bucket=session.deployed.bucket, Key=LEDGER, Body=b"[1, 2]")
    with pytest.raises(RedoxError, match="in the bucket is damaged"):
        this_month(session)
