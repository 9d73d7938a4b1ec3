"""`deploy.toml`: its values, values derived from them, and messages about mistakes."""

import json
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from infra import quota, settings
from infra.settings import FILE, ROOT, SettingsError, load, parse
from infra.tables import InstanceType, instance_type
from redox_balancer.bench.advice import rented_hosts
from redox_balancer.impala.config import MIN_OBJECT_STORE_BYTES, TrainConfig

TEXT = FILE.read_text()


def changed(*changes: tuple[str, str]) -> str:
    """The file with whole lines replaced, each found by its key in its table."""
    text = TEXT
    for key, line in changes:
        table, _, name = key.partition(".")
        start = text.index(f"[{table}]\n")
        text, found = re.subn(
            rf"(?m)\A(?P<before>[\s\S]{{{start}}}[\s\S]*?)^{name} = .*$", rf"\g<before>{line}", text, count=1
        )
        assert found, key
    return text


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    return caught.value.problems


def test_the_file_is_valid_and_its_sizes_follow_from_the_instance() -> None:
    found = load()
    assert (found.host.instance.vcpus, found.host.instance.memory_gib) == (192, 1536)
    assert found.training.num_actors == 120
    assert found.training.object_store_bytes == 120_000_000_000
    assert found.training.shm_bytes == 132_000_000_000
    assert found.threads.learner == 8


def test_hosts_for_the_advice_are_instance_types_of_the_deployment_at_the_same_price() -> None:
    found, rented = load(), rented_hosts()
    for name, host in rented.items():
        assert instance_type(name) == InstanceType(host.vcpus, int(host.memory_gib))
    assert rented[found.host.instance_types[0]].per_hour_usd == found.price.per_hour_usd


def test_of_several_types_a_training_gets_what_the_smallest_has_and_the_quota_takes_the_largest() -> None:
    several = parse(changed(("host.instance_types", 'instance_types = ["r7i.48xlarge", "r7i.24xlarge"]')))
    assert (several.host.instance.vcpus, several.host.instance.memory_gib) == (96, 768)
    assert (several.training.num_actors, several.training.object_store_bytes) == (72, 60_000_000_000)
    assert quota.required(several).need == 192


def test_a_smaller_instance_gets_smaller_sizes_and_set_ones_win() -> None:
    text = changed(("host.instance_types", 'instance_types = ["m7i.xlarge"]'))
    small = parse(text.replace("of r7i.48xlarge on demand", "of m7i.xlarge on demand"))
    assert (small.training.num_actors, small.threads.learner) == (3, 1)
    assert small.training.object_store_bytes == 16 * 78_125_000
    own = parse(TEXT.replace("[training]\n", "[training]\nnum_actors = 7\nobject_store_bytes = 1_000_000_000\n"))
    assert own.training.num_actors == 7
    assert own.training.shm_bytes == 1_100_000_000


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib"),
    [("r7i.48xlarge", 192, 1536), ("c7a.large", 2, 4), ("m7i-flex.xlarge", None, None), ("r6id.2xlarge", 8, 64),
     ("r7g.16xlarge", None, None), ("p5.48xlarge", None, None), ("r7i", None, None), ("r7i.metal-48xl", None, None)],
)  # fmt: skip
def test_cores_and_memory_are_read_from_the_name_or_refused(
    name: str, vcpus: int | None, memory_gib: int | None
) -> None:
    found = instance_type(name)
    assert (found.vcpus if found else None, found.memory_gib if found else None) == (vcpus, memory_gib)


def test_all_mistakes_are_reported_at_once_one_line_each() -> None:
    reported = problems(
        changed(
            ("aws.zones", 'zones = ["eu-west-1a"]'),
            ("host.instance_types", 'instance_types = ["r7i.large", "r7g.48xlarge"]'),
            ("host.ami_id", 'ami_id = "latest"'),
            ("host.spot", 'spot = "no"'),
            ("guard.alert_email", 'alert_email = "nobody"'),
            ("limits.nofile", "nofile = 100"),
            ("limits.nproc", "noproc = 65536"),
            ("ports.dashboard", "dashboard = 6379"),
            ("storage.sweep_minutes", "sweep_minutes = 5"),
            ("tags.project", 'project = ""'),
        )
    )
    starts = [
        "host.instance_types is ('r7i.large', 'r7g.48xlarge'), it must be one or more, each different and a type",
        "host.ami_id is 'latest', it must be an AMI id",
        "host.spot is 'no', it must be true or false",
        "guard.alert_email is 'nobody', it must be an e-mail address",
        "[limits] has no 'noproc'; it has nofile, nproc, stop_timeout_s",
        "limits.nofile is 100, it must be from 1,024 to 1,048,576",
        "limits.nproc is missing",
        "storage.sweep_minutes is 5, it must be one of 10, 15, 20, 30, 60",
        "tags.project is '', it must be text that AWS accepts as a tag",
        "aws.zones has 'eu-west-1a', which is no zone of us-east-1",
        "ports must differ: ray 6379, dashboard 6379, tensorboard 6006",
    ]
    assert len(reported) == len(starts)
    for start in starts:
        assert any(line.startswith(start) for line in reported), start
    assert not any("\n" in line for line in reported)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("[aws\n", "not TOML: "),
        ("", "[aws] is missing"),
        ("aws = 3", "aws must be a table"),
        ("training = 5", "training must be a table"),
        ("training = false", "training must be a table"),
        ("threads = 3", "threads must be a table"),
        ("threads = []", "threads must be a table"),
        ("threads = 3", "[aws] is missing"),
        ("host = 'big'", "host must be a table"),
        ("tags = 5", "tags must be a table"),
        (TEXT + "[extras]\n", "the file has no 'extras'"),
        (changed(("price.source", "source = 3")), "price.source is 3, it must be text"),
        (changed(("host.ssh_public_key", 'ssh_public_key = "-----BEGIN KEY"')), "host.ssh_public_key is "),
        (
            changed(("host.ssh_public_key", r'ssh_public_key = "ssh-rsa AAAA me\\nssh-rsa BBBB"')),
            "host.ssh_public_key",
        ),
        (changed(("host.ssh_public_key", r'ssh_public_key = "ssh-rsa AAAA me\\rx"')), "host.ssh_public_key is "),
        (
            TEXT.replace("[training]\n", "[training]\nobject_store_bytes = 200_000_000\nshm_bytes = 100_000_000\n"),
            "training.shm_bytes is 100,000,000, it must be at least training.object_store_bytes, 200,000,000",
        ),
        (changed(("aws.zones", 'zones = "us-east-1a"')), "aws.zones is 'us-east-1a', it must be a list of texts"),
        (changed(("aws.zones", "zones = []")), "aws.zones is (), it must be one or more, each different and a zone"),
        (changed(("aws.zones", 'zones = ["us-east-1a", "us-east-1a"]')), "aws.zones is ('us-east-1a', 'us-east-1a')"),
        (changed(("aws.zones", "zones = [1]")), "aws.zones is (1,), it must be a list of texts"),
        (
            changed(("host.disk_gib", "data_volume_gib = 500")),
            "[host] has no 'data_volume_gib'; it has instance_types",
        ),
        (changed(("limits.nofile", "nofile = true")), "limits.nofile is True, it must be a whole number"),
    ],
)
def test_a_mistake_is_named(text: str, reported: str) -> None:
    assert any(line.startswith(reported) for line in problems(text))


def test_settings_are_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        load().limits.nofile = 1  # type: ignore[misc]


def test_the_sample_address_is_named_until_it_is_replaced() -> None:
    assert "guard.alert_email" in load().unfinished[0]
    assert parse(changed(("guard.alert_email", 'alert_email = "lab@cell.bio"'))).unfinished == ()


def test_names_in_the_bucket() -> None:
    storage = load().storage
    assert storage.bucket("123456789012", "us-east-1") == "redox-balancer-123456789012-us-east-1"
    assert storage.run_key("first") == "experiments/first/"
    assert storage.lock_key("first") == "locks/first.json"


def test_values_that_the_trainer_has_too_are_the_same() -> None:
    assert TrainConfig().max_actors == settings.MAX_ACTORS
    assert settings.MIN_STORE_BYTES == MIN_OBJECT_STORE_BYTES


def test_the_command_prints_all_settings_and_ends_with_2_when_they_are_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infra.settings"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["training"]["num_actors"] == 120
    wrong = tmp_path / "wrong.toml"
    text = changed(("limits.nofile", "nofile = 1"), ("aws.region", 'region = ""'))
    wrong.write_text("threads = 3\n" + text.replace("[threads]", "[extras]"))
    broken = subprocess.run([*command, wrong], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (broken.returncode, broken.stdout) == (2, "")
    assert [line.split(",")[0] for line in broken.stderr.splitlines()] == [
        "error: wrong.toml: the file has no 'extras'; it has aws",
        "error: wrong.toml: aws.region is ''",
        "error: wrong.toml: limits.nofile is 1",
        "error: wrong.toml: threads must be a table",
    ]
