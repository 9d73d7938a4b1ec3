"""What a restore has to do in every state it may find, and what AWS says that the stand-in cannot."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from infra.settings import FILE, load, parse
from ops import cost as spending
from ops.remote.training import TrainingState
from ops.restore import backups
from ops.restore import verify as resuming
from ops.restore.backups import Image, Taken
from ops.restore.plan import RestoreAction, Situation, plan, refuse_volume
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat

SAVE, STOP, DETACH, DESTROY, DEPLOY, ATTACH, RESUME = RestoreAction
IMAGE = Image("ami-0123456789abcdef0", "available", 0.0)
HOST, VOLUME = "i-0123456789abcdef0", "vol-0123456789abcdef0"
HEALTHY = Situation(
    stack="CREATE_COMPLETE",
    host=HOST,
    host_state="running",
    host_image="ami-00000000000000000",
    volume=VOLUME,
    volume_state="in-use",
    volume_zone="us-east-1a",
    attached_to=HOST,
)
RESTORED = replace(HEALTHY, host_image=IMAGE.image_id)
FREE: dict[str, Any] = {"attached_to": None, "volume_state": "available"}
ENDED: dict[str, Any] = {"host": None, "host_state": "", **FREE}


@pytest.mark.parametrize(
    ("seen", "left"),
    [
        (HEALTHY, [SAVE, STOP, DETACH, DESTROY, DEPLOY, RESUME]),
        (replace(HEALTHY, host_state="stopping"), [STOP, DETACH, DESTROY, DEPLOY, RESUME]),
        (replace(HEALTHY, host_state="stopped"), [DETACH, DESTROY, DEPLOY, RESUME]),
        (replace(HEALTHY, host_state="stopped", **FREE), [DESTROY, DEPLOY, RESUME]),
        (replace(HEALTHY, host_state="terminated", **FREE), [DESTROY, DEPLOY, RESUME]),
        (replace(HEALTHY, host_state="", **FREE), [DESTROY, DEPLOY, RESUME]),
        (replace(HEALTHY, stack="DELETE_FAILED", **ENDED), [DESTROY, DEPLOY, RESUME]),
        (replace(HEALTHY, stack="ROLLBACK_COMPLETE", **ENDED), [DEPLOY, RESUME]),
        (replace(HEALTHY, stack="", **ENDED), [DEPLOY, RESUME]),
        (RESTORED, [RESUME]),
        (replace(RESTORED, **FREE), [ATTACH, RESUME]),
        (replace(RESTORED, host_state="stopped"), [DETACH, DESTROY, DEPLOY, RESUME]),
        (replace(RESTORED, stack="CREATE_FAILED"), [SAVE, STOP, DETACH, DESTROY, DEPLOY, RESUME]),
        (replace(RESTORED, replaced=True), [SAVE, STOP, DETACH, DESTROY, DEPLOY, RESUME]),
        (replace(HEALTHY, attached_to="i-00000000000000000", replaced=True), [SAVE, STOP, DESTROY, DEPLOY, RESUME]),
    ],
)
def test_what_is_left_to_do(seen: Situation, left: list[RestoreAction]) -> None:
    assert list(plan(seen, IMAGE)) == left


def test_a_restored_host_is_replaced_when_asked_to_and_spot_hosts_end() -> None:
    assert list(plan(RESTORED, IMAGE, anew=True)) == [SAVE, STOP, DETACH, DESTROY, DEPLOY, RESUME]
    assert list(plan(HEALTHY, IMAGE, spot=True)) == [SAVE, STOP, DESTROY, DEPLOY, RESUME]


def test_cloudformation_at_work_is_waited_for() -> None:
    assert Situation(stack="DELETE_IN_PROGRESS").unsettled
    assert Situation(stack="ROLLBACK_IN_PROGRESS").unsettled
    assert not Situation(stack="REVIEW_IN_PROGRESS").unsettled  # nobody ever goes on with it


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volume_state": "", "attached_to": None}, "is gone"),
        ({"volume_state": "error"}, "is error"),
        ({"volume_zone": "us-east-1b"}, "is in us-east-1b, not in us-east-1a"),
        ({"attached_to": "i-00000000000000000"}, "is attached to i-00000000000000000, which is not the host"),
    ],
)
def test_a_volume_that_cannot_be_brought_back_ends_it_before_the_host(changes: dict[str, Any], message: str) -> None:
    settings = load()
    refuse_volume(HEALTHY, settings)
    with pytest.raises(RedoxError, match=message):
        refuse_volume(replace(HEALTHY, **changes), settings)
    refuse_volume(replace(HEALTHY, **changes, replaced=True), settings)  # a new one takes its place


def seen_there(**changes: Any) -> TrainingState:
    beat = Heartbeat(pid=1, host="host", status="training", written_at=995.0, step=932_960)
    known: dict[str, Any] = dict.fromkeys(field.name for field in fields(TrainingState))
    known |= {"now": 1_000.0, "uptime_s": 300.0, "run": "mine", "beats": {"mine": replace(beat, **changes)}}
    return TrainingState(**known)


def test_a_training_has_resumed_when_its_heartbeat_says_so_by_the_hosts_clock() -> None:
    assert resuming._step(seen_there()) == 932_960
    assert resuming._step(seen_there(status="finished")) == 932_960
    assert resuming._step(seen_there(status="starting")) is None
    assert resuming._step(seen_there(written_at=980.0)) is None
    # Of the trainer that the old host had: the new one has been up for less long than that.
    assert resuming._step(replace(seen_there(), uptime_s=4.0)) is None
    assert resuming._step(replace(seen_there(), beats={})) is None


def client(service: str) -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, region_name="us-east-1", config=Config(retries={"max_attempts": 0}), **keys)


def test_a_snapshot_is_waited_for_until_both_are_stored() -> None:
    """moto stores at once, so botocore's stubber says how a slow one goes."""
    ec2, taken, pauses = client("ec2"), Taken(IMAGE.image_id, "snap-1"), list[float]()
    with Stubber(ec2) as stub:
        for image, snapshot in (
            ("", ""),
            ("pending", "pending"),
            ("available", "pending"),
            ("available", "completed"),
        ):
            images = [{"ImageId": taken.image_id, "State": image}] if image else []  # at first AWS knows neither
            snapshots = [{"SnapshotId": "snap-1", "State": snapshot, "Progress": "45%"}] if snapshot else []
            stub.add_response("describe_images", {"Images": images})
            stub.add_response("describe_snapshots", {"Snapshots": snapshots})
        backups._wait(taken, ec2, pauses.append)
        stub.assert_no_pending_responses()
    assert pauses == [backups.LOOK_S] * 3


def test_an_image_that_cannot_be_stored_is_an_error() -> None:
    ec2, reason = client("ec2"), {"Message": "the root disk is gone"}
    with Stubber(ec2) as stub:
        stub.add_response("describe_images", {"Images": [{"State": "failed", "StateReason": reason}]})
        stub.add_response("describe_snapshots", {"Snapshots": []})
        with pytest.raises(RedoxError, match="ami-0123456789abcdef0 is failed: the root disk is gone"):
            backups._wait(Taken(IMAGE.image_id, "snap-1"), ec2, lambda _: None)


def test_the_newest_image_that_is_ready_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's images are always ready."""
    ec2, session = client("ec2"), Session(load())
    monkeypatch.setattr(session, "client", lambda _: ec2)
    made = [("ami-00000000000000001", "available", 1), ("ami-00000000000000002", "available", 2),
            ("ami-00000000000000003", "pending", 3)]  # fmt: skip
    images = [
        {"ImageId": name, "State": state, "CreationDate": f"2026-11-0{day}T03:00:00.000Z"}
        for name, state, day in made
    ]
    with Stubber(ec2) as stub:
        stub.add_response("describe_images", {"Images": images})
        assert backups.image_to_restore(session, "").image_id == "ami-00000000000000002"
        stub.add_response("describe_images", {"Images": images[2:]})
        with pytest.raises(RedoxError, match="ami-00000000000000003 is pending"):
            backups.image_to_restore(session, "ami-00000000000000003")
    with pytest.raises(RedoxError, match="newest is not an image id"):
        backups.image_to_restore(session, "newest")


@pytest.fixture
def billed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session whose host does not answer; the bill is stubbed, as moto forbids nobody to ask for it."""
    ce, session = client("ce"), Session(parse(FILE.read_text()))
    monkeypatch.setattr(session, "client", lambda _: ce)
    monkeypatch.setattr(spending, "_ledger_hours", lambda *_: None)
    monkeypatch.setattr(spending, "_started_at", lambda _: None)
    with Stubber(ce) as stub:
        yield session, stub


def test_where_the_host_does_not_answer_the_bill_counts(billed: Any) -> None:
    session, stub = billed
    total = {"UnblendedCost": {"Amount": "254.02", "Unit": "USD"}, "UsageQuantity": {"Amount": "20", "Unit": "Hrs"}}
    stub.add_response("get_cost_and_usage", {"ResultsByTime": [{"Total": total}]})
    month = spending.this_month(session)
    assert (month.source, month.hours, month.usd) == ("bill", 20.0, 254.02)
    assert month.hours_left == pytest.approx((2000 - 254.02) / 12.7008)


def test_who_may_not_see_the_bill_is_told_by_the_hosts_start(billed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session, stub = billed
    stub.add_client_error("get_cost_and_usage", "AccessDeniedException")
    assert spending.this_month(session).source == "nothing"
    stub.add_client_error("get_cost_and_usage", "AccessDeniedException")
    before_the_month = datetime(2020, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(spending, "_started_at", lambda _: before_the_month)
    month = spending.this_month(session)
    now = datetime.now(UTC)
    hours = (now - now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)).total_seconds() / 3_600
    assert (month.source, month.hours) == ("launch", pytest.approx(hours, abs=0.1))
