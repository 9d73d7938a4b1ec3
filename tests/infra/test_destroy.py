"""`make destroy` on simulated AWS: the host stops before its volume is detached; if it does not, nothing is."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

import stacks
from infra import destroy, shutdown
from infra.deployed import find
from infra.names import STORAGE, TRAINING
from infra.settings import FILE, load, parse
from ops.simulator.aws import StandIn, stand_in
from redox_balancer.errors import RedoxError
from stubbed_aws import stubbable_client
from templates import Templates, synthesise

SETTINGS = load()
HOST = "i-0123456789abcdef0"


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return synthesise(tmp_path_factory.mktemp("default"), [])


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("account")) as aws:
        stacks.create(aws, templates, [STORAGE])
        yield aws


@pytest.fixture
def deployed(account: StandIn, templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Both stacks, of which `cdk destroy` deletes the host's as CloudFormation does."""
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    stacks.create(account, templates, [TRAINING])
    monkeypatch.setattr(destroy, "cdk", lambda _: delete(account))
    yield account
    for instance in account.client("ec2").describe_instances()["Reservations"]:
        account.client("ec2").stop_instances(InstanceIds=[instance["Instances"][0]["InstanceId"]])
    assert any(delete(account) == 0 for _ in range(destroy.ATTEMPTS))


def delete(aws: StandIn) -> int:
    """Delete the stack of the host; moto leaves a route table the first time, which is the exit code 1 of the CDK."""
    try:
        aws.client("cloudformation").delete_stack(StackName=TRAINING)
    except ClientError:
        return 1
    return 0


def test_the_host_stops_before_its_volume_is_detached(deployed: StandIn) -> None:
    there = find(SETTINGS)
    assert there
    host = there.host()
    before = len(deployed.changes())
    assert destroy.destroy(SETTINGS, host) == 0
    assert deployed.changes()[before:] == [
        "ec2 StopInstances",
        "ec2 ModifyInstanceAttribute",
        *["cloudformation DeleteStack"] * destroy.ATTEMPTS,
    ]
    assert deployed.hidden_failures() == []
    (volume,) = deployed.client("ec2").describe_volumes(VolumeIds=[there.volume_id])["Volumes"]
    assert volume["State"] == "available"


def test_a_stack_deleted_under_a_running_host_breaks_a_rule(deployed: StandIn) -> None:
    """The rule of the stand-in itself."""
    there = find(SETTINGS)
    assert there
    before = deployed.hidden_failures()
    delete(deployed)
    (broken,) = deployed.hidden_failures()[len(before) :]
    assert f"{there.volume_id} was detached while {there.instance_id}, which writes to it, is running" in broken


def test_nothing_is_deleted_where_the_host_does_not_stop(deployed: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    there = find(SETTINGS)
    assert there

    def refuse(*_: Any) -> None:
        raise RedoxError(f"{there.instance_id} has not stopped")

    monkeypatch.setattr(destroy, "shut_down", refuse)
    before = len(deployed.changes())
    with pytest.raises(RedoxError, match="has not stopped"):
        destroy.destroy(SETTINGS, there.host())
    assert deployed.changes()[before:] == []


def described(state: str) -> dict[str, Any]:
    return {"Reservations": [{"Instances": [{"InstanceId": HOST, "State": {"Name": state}}]}]}


def test_a_host_that_does_not_react_is_forced_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance of moto stops at once."""
    ec2, said = stubbable_client("ec2"), list[str]()
    monkeypatch.setattr(shutdown, "MARGIN_S", shutdown.POLL_S - SETTINGS.limits.stop_timeout_s)  # one look
    with Stubber(ec2) as stub:
        stub.add_response("describe_instances", described("running"))
        for more in ({}, {"Force": True}):
            stub.add_response("stop_instances", {}, {"InstanceIds": [HOST], **more})
            stub.add_response("describe_instances", described("stopping"))
        with pytest.raises(RedoxError, match=f"{HOST} has not stopped: nothing was detached") as given_up:
            shutdown.shut_down(SETTINGS, ec2, HOST, said.append)
        stub.assert_no_pending_responses()
    assert said == [f"{HOST} does not stop: forcing it"]
    assert "--region us-east-1" in given_up.value.hint


def test_a_spot_host_is_terminated_and_one_that_is_gone_left_alone() -> None:
    ec2, spot = stubbable_client("ec2"), parse(FILE.read_text().replace("spot = false", "spot = true"))
    with Stubber(ec2) as stub:
        stub.add_response("describe_instances", described("running"))
        stub.add_response("terminate_instances", {}, {"InstanceIds": [HOST]})
        stub.add_response("describe_instances", described("terminated"))
        shutdown.shut_down(spot, ec2, HOST, print)
        stub.add_response("describe_instances", {"Reservations": []})
        shutdown.shut_down(SETTINGS, ec2, HOST, print)
        stub.assert_no_pending_responses()
