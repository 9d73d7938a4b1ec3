"""`python -m ops` on a real deployment: snapshots, a restore from nothing but what AWS says, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment import Cloud
from ops.demo.aws import stand_in


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, cdk: Path, assembly: Path) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with stand_in(folder) as aws:
        cloud = Cloud(aws, cdk, folder)
        cloud.bootstrap(assembly)
        cloud.deploy(assembly)
        yield cloud
        assert aws.hidden_failures() == []


def test_x(cloud: Cloud, settings_file: Path) -> None:
    env = {"REDOX_SETTINGS": str(settings_file)}
    for arguments in (["snapshot", "--json"], ["restore", "--json"], ["restore", "--dry-run"]):
        before = len(cloud.aws.calls())
        host = cloud.aws.client("ec2").describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
        extra = ["--instance", host] if arguments == ["restore", "--json"] else []
        answer = cloud.python("ops", *arguments, *extra, environment=env)
        print("=====", arguments, answer.returncode)
        print(answer.stdout)
        print(answer.stderr)
        print(cloud.aws.calls()[before:])
    assert 0
