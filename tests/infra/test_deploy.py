"""What `make deploy` and its hints do beside the CDK, on simulated AWS; the CDK itself is in test_deployment.py."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra import apply, deploy
from infra.bring_up import archive
from infra.deployed import Deployed
from infra.quota import hint
from infra.settings import FILE, Settings, SettingsError, parse
from ops.errors import translate_errors
from ops.simulator.aws import StandIn, stand_in

TEXT = FILE.read_text().replace("alerts@example.com", "lab@cell.bio")
SETTINGS = parse(TEXT)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in(tmp_path_factory.mktemp("account")) as aws:
        yield aws
        assert aws.hidden_failures() == []


@pytest.fixture
def aws(account: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in, as the commands of this process find it, with nothing set."""
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    account.set_account()
    return account


@pytest.fixture
def host(aws: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A host that is deployed, and uploads and commands to it that do nothing."""
    tags = [{"Key": key, "Value": value} for key, value in SETTINGS.tags.items()]
    asked: list[Any] = [{"ResourceType": "instance", "Tags": tags}]
    made = aws.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=asked)
    name = str(made["Instances"][0]["InstanceId"])
    for module in (deploy, apply):
        monkeypatch.setattr(module, "find", lambda _: replace(THERE, instance_id=name))
        monkeypatch.setattr(module, "upload", lambda *_: None)
    yield name
    aws.client("ec2").terminate_instances(InstanceIds=[name])


def sources(aws: StandIn) -> list[str]:
    """Return the hosts of which an image was taken."""
    return [each.get("SourceInstanceId", "") for each in aws.client("ec2").describe_images(Owners=["self"])["Images"]]


def test_a_running_host_has_an_image_taken_before_it_is_changed_unless_asked_not_to(
    aws: StandIn, host: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = len(aws.changes())
    deployed_with(monkeypatch)
    assert aws.changes()[before:] == ["ec2 CreateImage"]
    assert sources(aws) == [host]
    day = f"{datetime.now(UTC) + timedelta(days=SETTINGS.backup.image_days):%Y-%m-%d}"
    assert f" of {host}: at most 15.00 USD a month, until {day}; --no-snapshot takes none\n" in capfd.readouterr().err
    assert apply.apply(SETTINGS, dry_run=True) == 0
    deployed_with(monkeypatch, snapshot=False)
    assert sources(aws) == [host]
    monkeypatch.setattr(apply, "upload", lambda *_: pytest.fail("an image comes first"))
    with pytest.raises(pytest.fail.Exception):
        apply.apply(SETTINGS, dry_run=False)
    assert sources(aws) == [host] * 2


def test_an_image_that_cannot_be_taken_is_a_warning(
    host: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert deployed_with(monkeypatch)[0] == "deploy"
    assert f"warning: no image of {host} was taken, its runs are in the bucket: " in capfd.readouterr().err


def deployed_with(
    monkeypatch: pytest.MonkeyPatch, settings: Settings = SETTINGS, *, snapshot: bool = True
) -> list[str]:
    """Deploy, and return the arguments of the CDK, which does nothing."""
    words: list[str] = []

    def cdk(arguments: list[str]) -> int:
        words.extend(arguments)
        return 0

    monkeypatch.setattr(deploy, "cdk", cdk)
    assert deploy.deploy(settings, "", [], snapshot=snapshot) == 0
    return words


THERE = Deployed(bucket="redox-balancer-of-machines", repository="images", wanted=0, status="CREATE_COMPLETE")


def test_the_setup_is_uploaded_after_the_stacks_and_by_apply(aws: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=THERE.bucket)
    for module in (deploy, apply):
        monkeypatch.setattr(module, "find", lambda _: THERE)

    def uploaded() -> bytes:
        content: bytes = s3.get_object(Bucket=THERE.bucket, Key="machine/host.tar.gz")["Body"].read()
        return content

    deployed_with(monkeypatch)
    assert uploaded() == archive(SETTINGS, "host", THERE)
    edited = parse(TEXT.replace("idle_minutes = 60", "idle_minutes = 90"))
    before = len(aws.changes())
    assert apply.apply(edited, dry_run=True) == 0
    assert aws.changes()[before:] == []
    assert apply.apply(edited, dry_run=False) == 0  # there is no host: nothing is sent to one
    assert uploaded() == archive(edited, "host", THERE) != archive(SETTINGS, "host", THERE)
    assert [each.partition(" ")[0] for each in aws.changes()[before:]] == ["s3"]
    monkeypatch.setattr(deploy, "cdk", lambda _: 1)
    assert deploy.deploy(SETTINGS, "", []) == 1
    assert uploaded() == archive(edited, "host", THERE)  # a deployment that fails leaves the old one


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("InsufficientInstanceCapacity", "its group keeps trying; or spot = true"),
        ("UnsupportedOperation", "the type is not offered there: more host.instance_types or aws.zones"),
        ("VcpuLimitExceeded", "--quota-code L-1216C47A --desired-value 192 --region us-east-1"),
        ("InstanceLimitExceeded", "--desired-value 192 --region us-east-1"),
    ],
)
def test_a_host_that_aws_refuses_ends_in_what_to_do(aws: StandIn, code: str, hint: str) -> None:
    aws.set_account(refusals={"us-east-1a": code})
    ec2 = aws.client("ec2")
    with pytest.raises(ClientError) as refused:
        ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="r7i.48xlarge")
    translated = translate_errors(refused.value)
    assert translated
    assert translated.message.startswith(f"AWS refuses RunInstances: {code}: ")
    assert hint in (translated.hint or "")
    assert "get-caller-identity" not in (translated.hint or "")


def test_without_capacity_the_hint_has_the_command_that_lists_the_zones_that_offer_the_types() -> None:
    text = hint(SETTINGS, "InsufficientInstanceCapacity")
    assert "describe-instance-type-offerings --location-type availability-zone" in text
    assert "Values=r7i.48xlarge,r8i.48xlarge,r7a.48xlarge --region us-east-1" in text
    assert "or spot = false, or " in hint(
        parse(TEXT.replace("spot = false", "spot = true")), "no Spot capacity available"
    )
    assert hint(SETTINGS, "AccessDenied: not authorized") == ""


def test_a_price_of_another_type_or_region_is_refused_and_one_of_another_market_shown_as_such() -> None:
    assert SETTINGS.price_of_host == "12.7008 USD an hour"
    for old, new, setting in (
        ('["r7i.48xlarge"', '["r7i.24xlarge"', "price.source is of r7i.48xlarge, host.instance_types"),
        ("us-east-1", "eu-central-1", "price.source is of us-east-1, aws.region is eu-central-1"),
    ):
        with pytest.raises(SettingsError, match=f"^{setting}.*: give the price of "):
            parse(TEXT.replace(old, new).replace(f"Linux, {new}", "Linux, us-east-1"))
    changed = parse(TEXT.replace("spot = false", "spot = true")).price_of_host
    assert "USD an hour, which is not the price of r7i.48xlarge spot in us-east-1 but: AWS list" in changed
    own = re.sub(r'(?m)^source = ".*"', 'source = "our contract"', TEXT)
    assert parse(own.replace('["r7i.48xlarge"', '["r7i.24xlarge"')).price.source == "our contract"


def test_the_budget_counts_the_tag_once_the_bill_knows_it_and_the_account_before(
    aws: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deployed_with(monkeypatch) == ["deploy", "--all"]
    said = capfd.readouterr().err
    assert "the AWS budget counts the whole account: project is not active as a cost-allocation tag" in said
    assert "aws ce update-cost-allocation-tags-status --cost-allocation-tags-status TagKey=project,Status=Act" in said
    aws.set_account(cost_tags=["project"])
    assert deployed_with(monkeypatch) == ["deploy", "--all", "-c", "budget_tag=project"]
    assert "whole account" not in capfd.readouterr().err
