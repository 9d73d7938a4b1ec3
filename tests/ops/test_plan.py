"""The plan of a restore for every state of AWS, and when its training has resumed."""

from dataclasses import fields, replace
from typing import Any

import pytest
from botocore.stub import Stubber

from infra.deployed import Deployed
from infra.settings import load
from ops.aws import instance
from ops.aws.backups import HostImage
from ops.remote.training import TrainingState
from ops.restore.plan import RestoreAction, Situation, plan, refuse_volume
from ops.restore.verify import resumed_step
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat
from stubbed_aws import stubbable_client

SAVE, STOP, DETACH, DESTROY, DEPLOY, ATTACH, RESUME = RestoreAction
IMAGE = HostImage("ami-0123456789abcdef0", "available", 0.0)
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
    ("situation", "actions"),
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
def test_the_plan_has_the_remaining_steps(situation: Situation, actions: list[RestoreAction]) -> None:
    assert list(plan(situation, IMAGE)) == actions


def test_a_restored_host_is_replaced_on_request_and_spot_hosts_are_terminated() -> None:
    assert list(plan(RESTORED, IMAGE, replace=True)) == [SAVE, STOP, DETACH, DESTROY, DEPLOY, RESUME]
    assert list(plan(HEALTHY, IMAGE, spot=True)) == [SAVE, STOP, DESTROY, DEPLOY, RESUME]


def test_a_stack_in_progress_is_waited_for() -> None:
    assert Situation(stack="DELETE_IN_PROGRESS").in_progress
    assert Situation(stack="ROLLBACK_IN_PROGRESS").in_progress
    assert not Situation(stack="REVIEW_IN_PROGRESS").in_progress  # a change set that was never executed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volume_state": "", "attached_to": None}, "is deleted"),
        ({"volume_state": "error"}, "is error"),
        ({"volume_zone": "us-east-1b"}, "is in us-east-1b, not in us-east-1a"),
        ({"attached_to": "i-00000000000000000"}, "is attached to i-00000000000000000, which is not the host"),
    ],
)
def test_a_volume_that_cannot_be_attached_is_refused_first(changes: dict[str, Any], message: str) -> None:
    settings = load()
    refuse_volume(HEALTHY, settings)
    with pytest.raises(RedoxError, match=message):
        refuse_volume(replace(HEALTHY, **changes), settings)
    refuse_volume(replace(HEALTHY, **changes, replaced=True), settings)  # a new one is made


def state_of(**changes: Any) -> TrainingState:
    beat = Heartbeat(pid=1, host="host", status="training", written_at=995.0, step=932_960)
    known: dict[str, Any] = dict.fromkeys(field.name for field in fields(TrainingState))
    known |= {"now": 1_000.0, "uptime_s": 300.0, "run": "mine", "beats": {"mine": replace(beat, **changes)}}
    return TrainingState(**known)


def test_a_training_has_resumed_when_its_heartbeat_shows_it_by_the_hosts_clock() -> None:
    assert resumed_step(state_of()) == 932_960
    assert resumed_step(state_of(status="finished")) == 932_960
    assert resumed_step(state_of(status="starting")) is None
    assert resumed_step(state_of(written_at=900.0)) is None
    # From before the host's start: of the old host's trainer.
    assert resumed_step(replace(state_of(), uptime_s=4.0)) is None
    assert resumed_step(replace(state_of(), beats={})) is None


def test_a_host_that_ended_long_ago_is_unknown_to_aws_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto keeps terminated instances; AWS forgets them after about an hour, and refuses a query by their id."""
    ec2, session = stubbable_client("ec2"), Session(load())
    session.deployed = Deployed(bucket="b", volume_id="vol-1", repository="images", instance_id="i-1")
    monkeypatch.setattr(session, "client", lambda _: ec2)
    with Stubber(ec2) as stub:
        wanted = {"Filters": [{"Name": "instance-id", "Values": ["i-1"]}]}
        stub.add_response("describe_instances", {"Reservations": []}, wanted)
        with pytest.raises(RedoxError, match="i-1 was terminated"):
            instance.describe(session)
