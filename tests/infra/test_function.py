"""The function outside the host, run as AWS runs it: called by schedule, bucket and budget, with its own rights."""

import json
from collections.abc import Iterator

import pytest

import stacks
from guarded import SETTINGS, Guarded
from infra.names import BACKUP_TAG
from ops.simulator.aws import REGION, stand_in
from ops.simulator.permissions import FUNCTION, GROUPS, IN_EC2
from ops.simulator.policies import Request, allowing
from templates import Templates, flat, synthesise


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return synthesise(tmp_path_factory.mktemp("default"), [])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, default: Templates) -> Iterator[Guarded]:
    with stand_in(tmp_path_factory.mktemp("guarded")) as aws:
        stacks.create(aws, default)
        yield Guarded(aws)


@pytest.fixture(scope="module")
def on_spot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with stand_in(tmp_path_factory.mktemp("spot")) as aws:
        stacks.create(aws, synthesise(tmp_path_factory.mktemp("template"), [("spot = false", "spot = true")]))
        yield Guarded(aws)


def spent_topic(found: Templates) -> str:
    """Return the topic that AWS publishes to when the bill has reached the budget, and at no other time."""
    budget = found.one("AWS::Budgets::Budget")
    stopping = [
        each
        for each in budget["NotificationsWithSubscribers"]
        if "SNS" in {subscriber["SubscriptionType"] for subscriber in each["Subscribers"]}
    ]
    (notice,) = [each["Notification"] for each in stopping]
    assert (notice["NotificationType"], notice["Threshold"]) == ("ACTUAL", 100)
    topic = next(each for each in stopping[0]["Subscribers"] if each["SubscriptionType"] == "SNS")
    return flat(topic["Address"])


def test_a_spent_budget_sets_the_group_to_0_with_a_mail(default: Templates, guarded: Guarded) -> None:
    assert "GuardSpent" in spent_topic(default)
    guarded.scale(1)
    guarded.sns.publish(TopicArn=guarded.topic("GuardSpent"), Message="ACTUAL > 100 %")
    assert guarded.group()["DesiredCapacity"] == 0
    (mail,) = guarded.mails()
    assert mail == "redox-host: AWS's bill has reached the budget of the month; the group of hosts is at 0"


def test_a_host_that_is_too_old_is_ended_without_a_replacement(guarded: Guarded) -> None:
    guarded.scale(1)
    host = guarded.host()
    guarded.reported(failures=0, host=host)
    guarded.tick(days=SETTINGS.guard.longest_days, hours=-1)
    assert guarded.mails() == []
    guarded.tick(days=SETTINGS.guard.longest_days, hours=1)
    assert (guarded.group()["DesiredCapacity"], guarded.group()["Instances"]) == (0, [])
    (mail,) = guarded.mails()
    assert f"{host} is {SETTINGS.guard.longest_days} days old, the longest that a host may run" in mail


def test_a_failed_set_up_is_mailed_and_the_third_leaves_the_group_at_0(guarded: Guarded) -> None:
    """Whoever wrote the outcome, and whether or not its host lives on to end itself."""
    guarded.scale(1)
    guarded.reported(failures=0)
    guarded.reported(failures=1)
    assert guarded.next_mail().startswith(
        "redox-host: the set-up of i-1 failed in step packages: 1 in a row of 3 at most\n\nE: no space left"
    )
    assert guarded.group()["DesiredCapacity"] == 1
    guarded.reported(failures=3)
    assert "failed in step packages: 3 in a row; the group of hosts is at 0\n\nE: no space" in guarded.next_mail()
    assert guarded.group()["DesiredCapacity"] == 0
    # No other object of the bucket calls the function.
    guarded.s3.put_object(Bucket=guarded.bucket, Key="state/run.env", Body=b"")
    guarded.reported(failures=1)
    guarded.next_mail()
    assert guarded.mails() == []


def test_a_host_that_never_reports_its_set_up_is_ended(guarded: Guarded) -> None:
    """Its kernel may have died, or its network: it costs as much as one that trains."""
    guarded.reported(failures=0, host="i-before")
    guarded.scale(1)
    guarded.tick(minutes=25)
    host = guarded.host()
    guarded.tick(minutes=35)
    assert guarded.group()["Instances"] == []
    (mail,) = guarded.mails()
    assert f"{host} has reported no set-up in 0:30:00: it died, or cannot reach the bucket; the group of" in mail


def test_images_are_taken_on_schedule_and_all_of_ours_expire_without_a_host(guarded: Guarded) -> None:
    hours, days = SETTINGS.backup.image_hours, SETTINGS.backup.image_days
    foreign = guarded.ec2.register_image(Name="not ours")["ImageId"]
    guarded.scale(1)
    guarded.reported(failures=0, host=guarded.host())
    guarded.tick(hours=hours, minutes=-5)
    assert guarded.images() == {}
    guarded.tick(hours=hours, minutes=5)
    ((name, image),) = guarded.images().items()
    guarded.tick(hours=hours, minutes=15)  # of its creation, which is now for moto
    made_by_hand = guarded.take_image()
    tags = {each["Key"]: each["Value"] for each in image["Tags"]}
    assert tags.items() >= {"redox:backup": "host", **SETTINGS.tags}.items()
    assert not any(key.startswith("aws:") for key in tags)
    guarded.scale(0)
    guarded.tick(days=days, hours=-1)
    assert set(guarded.images()) >= {name, made_by_hand}
    guarded.make_hosts_from(made_by_hand)
    guarded.tick(days=days, hours=1)
    assert set(guarded.images()) == {made_by_hand}  # it cannot expire before hosts are made from another
    guarded.delete_the_hosts_stack()
    guarded.tick(days=days, hours=1)
    assert guarded.images() == {}
    assert guarded.ec2.describe_images(ImageIds=[foreign])["Images"]
    ours = [{"Name": "tag-key", "Values": [BACKUP_TAG]}]
    owned = guarded.ec2.describe_snapshots(OwnerIds=["self"], Filters=ours)
    assert owned["Snapshots"] == []


def test_spot_without_capacity_falls_back_to_on_demand_until_the_group_is_at_0(on_spot: Guarded) -> None:
    refusal = "There is no Spot capacity available that matches your request."
    on_spot.aws.set_account(no_spot=refusal)
    on_spot.scale(1)
    on_spot.tick(minutes=5)
    assert (on_spot.percent_on_demand(), on_spot.group()["Instances"]) == (0, [])
    on_spot.tick(minutes=20)
    assert on_spot.percent_on_demand() == 100
    assert len(on_spot.group()["Instances"]) == 1
    (mail,) = on_spot.mails()
    assert mail.startswith("redox-host: no spot instance: the next host is on demand, until the group is at 0")
    assert refusal in mail
    on_spot.reported(failures=0, host=on_spot.host())
    on_spot.tick(minutes=30)
    assert on_spot.percent_on_demand() == 100  # while its host runs
    on_spot.scale(0)
    on_spot.tick(minutes=40)
    assert (on_spot.percent_on_demand(), on_spot.mails()) == (0, [])
    bought = on_spot.group()["MixedInstancesPolicy"]
    assert bought["InstancesDistribution"]["SpotAllocationStrategy"] == "price-capacity-optimized"
    assert len(bought["LaunchTemplate"]["Overrides"]) == len(SETTINGS.host.instance_types)


def test_the_function_has_no_right_that_it_does_not_use(guarded: Guarded, on_spot: Guarded) -> None:
    """After the tests above, which have it do everything."""
    for each in (guarded, on_spot):
        assert each.aws.hidden_failures() == []
    unused = [json.loads(line.partition(" ")[2])["Action"] for line in guarded.aws.unused_statements(FUNCTION)]
    assert unused == [["logs:CreateLogStream", "logs:PutLogEvents"]]  # calls of Lambda itself
    for refused in (
        Request("ec2:DeregisterImage", f"arn:aws:ec2:{REGION}::image/ami-1"),
        Request("ec2:CreateImage", f"{IN_EC2}:instance/i-1", {"aws:ResourceTag/redox:backup": "other"}),
        Request("s3:GetObject", f"arn:aws:s3:::{guarded.bucket}/experiments/mine/metrics.csv"),
        Request("autoscaling:UpdateAutoScalingGroup", f"{GROUPS}/redox-host"),
    ):
        assert not allowing(guarded.rights(), refused), refused
