"""`make preflight` on simulated AWS: what is missing, with what to do; it changes nothing, by rights it has."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import ran
from infra.settings import FILE, ROOT
from ops.simulator.aws import StandIn, stand_in

BOOTSTRAPPED = "/cdk-bootstrap/hnb659fds/version"
PROGRAMS = {
    "node": "v22.1.0",
    "npm": "10.9.0",
    "docker": "Docker version 28.2.2",
    "aws": "aws-cli/2.27.1 Python/3.13",
    "session-manager-plugin": "1.2.707.0",
    "ssh": "OpenSSH_9.6p1",
}
Preflight = Callable[..., tuple[int, dict[str, dict[str, str]], str]]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("aws")) as server:
        yield server
        assert server.hidden_failures() == []


@pytest.fixture
def preflight(aws: StandIn, tmp_path: Path) -> Preflight:
    """Run the command with the programs that are named, on settings with changes."""

    def asked(*changes: tuple[str, str], without: str = "", **environment: str) -> Any:
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        for name, version in PROGRAMS.items():
            path = programs / name
            path.write_text(f"#!/bin/sh\necho '{version}'\n")
            path.chmod(0o755)
        if without:
            (programs / without).unlink()
        text = FILE.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        settings = tmp_path / "deploy.toml"
        settings.write_text(text)
        own = {"PATH": f"{programs}:/bin", "REDOX_SETTINGS": str(settings), "AWS_CONFIG_FILE": os.devnull}
        before = aws.changes()
        answer = ran(
            [sys.executable, "-m", "ops", "preflight", "--json"],
            cwd=ROOT,
            env={**os.environ, **aws.environment, **own, **environment},
        )
        assert aws.changes() == before
        found = {each["what"]: each for each in json.loads(answer.stdout)["requirements"]}
        return answer.returncode, found, answer.stderr

    return asked


READY = [
    ("alerts@example.com", "lab@cell.bio"),
    ("ami-020cba7c55df1f615", "ami-12c6146b"),  # one that the stand-in knows
]


def test_a_new_account_lacks_what_has_to_be_made_first(preflight: Preflight) -> None:
    code, found, said = preflight(
        ('["r7i.48xlarge", "r8i.48xlarge", "r7a.48xlarge"]', '["r7i.96xlarge"]'),
        ("of r7i.48xlarge on demand", "of r7i.96xlarge on demand"),
        ("spot = false", "spot = true"),
        without="session-manager-plugin",
    )
    assert code == 2
    missing = {what for what, each in found.items() if each["state"] == "missing"}
    wanted = {"settings", "price", "session-manager-plugin", "quota", "zones", "machine image", "bootstrap"}
    assert missing - {"cdk"} == wanted  # which this clone may have
    assert all(found[what]["todo"] for what in missing)
    assert "request-service-quota-increase" in found["quota"]["todo"]
    assert "--desired-value 384 --region us-east-1" in found["quota"]["todo"]
    assert "describe-instance-type-offerings" in found["zones"]["todo"]
    assert "cdk bootstrap" in found["bootstrap"]["todo"]
    assert said.startswith("error: missing: ")
    assert found["budget"]["state"] == "unknown"  # no resource of it exists that could have the tag
    assert "update-cost-allocation-tags-status" in found["budget"]["found"]


def test_an_account_that_has_everything_is_ready(aws: StandIn, preflight: Preflight) -> None:
    aws.client("ssm").put_parameter(Name=BOOTSTRAPPED, Value="30", Type="String", Overwrite=True)
    aws.set_account(cost_tags=["project"])
    _, found, _ = preflight(*READY)
    states = {what: each["state"] for what, each in found.items() if what != "cdk"}
    assert set(states.values()) == {"ok"}, found
    assert found["aws"]["found"] == "2.27.1"
    assert found["price"]["found"].startswith("12.7008 USD an hour; AWS list price of r7i.48xlarge on demand")
    assert found["rights"]["found"] == "all of the operator's policy"
    assert found["mail"]["found"] == "lab@cell.bio gets a mail at make deploy"


def test_an_image_that_is_built_in_the_cloud_needs_no_engine_here(preflight: Preflight) -> None:
    _, found, _ = preflight(('image_build = "here"', 'image_build = "cloud"'), without="docker")
    assert not {"docker", "docker buildx"} & set(found)


def test_a_mail_that_nobody_confirmed_and_a_right_that_is_lacking_are_missing(
    aws: StandIn, preflight: Preflight
) -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name="RedoxStorage-GuardAlerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="lab@cell.bio")
    aws.set_account(refused_actions=["ec2:CreateImage"])
    _, found, _ = preflight(*READY)
    assert (found["mail"]["state"], found["mail"]["found"]) == ("missing", "lab@cell.bio is not confirmed")
    assert (found["rights"]["state"], found["rights"]["found"]) == (
        "missing",
        "may not ec2:CreateImage, ec2:CreateImage",
    )
    assert "infra/operator-policy.json" in found["rights"]["todo"]


def test_without_a_login_the_rest_is_checked_all_the_same(preflight: Preflight) -> None:
    code, found, _ = preflight(*READY, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert code == 2
    assert found["credentials"]["state"] == "missing"
    assert "aws configure" in found["credentials"]["todo"]
    assert found["quota"]["state"] == "unknown"
    assert found["ssh"]["state"] == "ok"
