"""What `make deploy` checks before the CDK, on simulated AWS; the CDK itself is in test_deployment.py."""

import json
import re
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from infra import apply, deploy
from infra.deployed import Deployed
from infra.names import HOST, TRAINING
from infra.refusals import hint
from infra.settings import FILE, Settings, SettingsError, parse
from ops.aws import instance
from ops.aws.backups import take_backup
from ops.errors import translate_errors
from ops.session import Session
from ops.simulator.aws import StandIn, stand_in
from redox_balancer.errors import RedoxError

TEXT = FILE.read_text().replace("alerts@example.com", "lab@cell.bio")
SETTINGS = parse(TEXT)
HOST_ALONE = {
    "Resources": {
        HOST: {
            "Type": "AWS::EC2::Instance",
            "Properties": {"ImageId": SETTINGS.host.ami_id, "InstanceType": SETTINGS.host.instance_type},
        }
    }
}


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


def deployed_with(monkeypatch: pytest.MonkeyPatch, settings: Settings = SETTINGS) -> list[str]:
    """Deploy, and return the arguments of the CDK, which does nothing."""
    words: list[str] = []

    def cdk(arguments: list[str]) -> int:
        words.extend(arguments)
        return 0

    monkeypatch.setattr(deploy, "cdk", cdk)
    assert deploy.deploy(settings, "", []) == 0
    return words


def fail(monkeypatch: pytest.MonkeyPatch, aws: StandIn, settings: Settings) -> RedoxError:
    """Deploy without capacity, as CloudFormation does, and return the error."""

    cloudformation = aws.client("cloudformation")

    def cdk(_: list[str]) -> int:
        cloudformation.create_stack(StackName=TRAINING, TemplateBody=json.dumps(HOST_ALONE))
        status = cloudformation.describe_stacks(StackName=TRAINING)["Stacks"][0]["StackStatus"]
        return int(status == "CREATE_FAILED")

    monkeypatch.setattr(deploy, "cdk", cdk)
    with pytest.raises(RedoxError) as failed:
        deploy.deploy(settings, "", [])
    cloudformation.delete_stack(StackName=TRAINING)
    return failed.value


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (
            "InsufficientInstanceCapacity",
            "not have sufficient r7i.48xlarge capacity",
            "try again later, or spot = true",
        ),
        ("UnsupportedOperation", "not supported in your requested Availability Zone", "r7i.48xlarge is not offered"),
        (
            "VcpuLimitExceeded",
            "current vCPU limit of 5",
            "--quota-code L-1216C47A --desired-value 192 --region us-east-1",
        ),
        ("InstanceLimitExceeded", "current instance limit of 0", "--desired-value 192 --region us-east-1"),
    ],
)
def test_a_host_that_aws_refuses_ends_in_what_to_do(
    aws: StandIn, monkeypatch: pytest.MonkeyPatch, code: str, message: str, hint: str
) -> None:
    aws.set_account(refusals={"us-east-1a": code})
    refused = fail(monkeypatch, aws, SETTINGS)
    assert message in refused.message
    assert hint in (refused.hint or "")
    assert "get-caller-identity" not in (refused.hint or "")
    # The same from the client itself, as for a stopped host that is started.
    ec2 = aws.client("ec2")
    with pytest.raises(ClientError) as started:
        ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="r7i.48xlarge")
    translated = translate_errors(started.value)
    assert translated
    assert translated.message.startswith(f"AWS refuses RunInstances: {code}: ")
    assert hint in (translated.hint or "")


def test_without_capacity_the_hint_names_another_zone_and_the_zones_that_offer_the_type() -> None:
    text = hint(SETTINGS, "InsufficientInstanceCapacity")
    assert "another host.instance_type, or another aws.zone than us-east-1a" in text
    assert "describe-instance-type-offerings --location-type availability-zone" in text
    assert "Values=r7i.48xlarge --region us-east-1" in text
    assert hint(parse(TEXT.replace("spot = false", "spot = true")), "no Spot capacity available").startswith(
        "try again later, or spot = false, or "
    )
    assert hint(SETTINGS, "AccessDenied: not authorized") == ""


def test_a_stopped_host_is_refused_without_capacity(aws: StandIn) -> None:
    """The rule of the stand-in itself."""
    ec2 = aws.client("ec2")
    host = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[host])
    aws.set_account(refusals={"us-east-1a": "InsufficientInstanceCapacity"})
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        ec2.start_instances(InstanceIds=[host])
    aws.set_account(refusals={"us-east-1b": "InsufficientInstanceCapacity"})
    ec2.start_instances(InstanceIds=[host])


def test_a_price_of_another_type_or_region_is_refused_and_one_of_another_market_shown_as_such() -> None:
    assert SETTINGS.price_of_host == "12.7008 USD an hour"
    for old, new, setting in (
        ('"r7i.48xlarge"', '"r7i.24xlarge"', "price.source is of r7i.48xlarge, host.instance_type is r7i.24xlarge"),
        ("us-east-1", "eu-central-1", "price.source is of us-east-1, aws.region is eu-central-1"),
    ):
        with pytest.raises(SettingsError, match=f"^{setting}: give the price of "):
            parse(TEXT.replace(old, new).replace(f"Linux, {new}", "Linux, us-east-1"))
    changed = parse(TEXT.replace("spot = false", "spot = true")).price_of_host
    assert "USD an hour, which is not the price of r7i.48xlarge spot in us-east-1 but: AWS list" in changed
    own = re.sub(r'(?m)^source = ".*"', 'source = "our contract"', TEXT)
    assert parse(own.replace('"r7i.48xlarge"', '"r7i.24xlarge"')).price.source == "our contract"


@pytest.mark.parametrize("known", [True, False], ids=["just ended", "ended an hour ago"])
def test_a_host_that_is_gone_is_named_with_the_way_to_a_new_one(
    aws: StandIn, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    host = "i-0123456789abcdef0"  # AWS forgets an instance after about an hour
    if known:
        ec2 = aws.client("ec2")
        host = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        ec2.terminate_instances(InstanceIds=[host])
    there = Deployed(bucket="b", volume_id="vol-1", repository="images", instance_id=host, status="CREATE_COMPLETE")
    for module in (deploy, apply):
        monkeypatch.setattr(module, "find", lambda _: there)
    monkeypatch.setattr(deploy, "cdk", lambda _: pytest.fail("the CDK would see no change"))
    session = Session(SETTINGS)
    session.deployed = there
    for command in (
        lambda: deploy.deploy(SETTINGS, "", []),
        lambda: apply.apply(SETTINGS, dry_run=False),
        lambda: take_backup(session, wait=False),
        lambda: instance.start(session, instance.describe(session)),
    ):
        before = len(aws.changes())
        with pytest.raises(RedoxError, match=f"{host} was terminated") as gone:
            command()
        assert gone.value.hint == (
            "make restore makes a new one from the newest image; without an image: "
            f"make destroy INSTANCE={host}, then make deploy"
        )
        assert aws.changes()[before:] == []


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
