"""Workers whose host is gone end themselves, and wait for one that is up and trains nothing."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.bring_up import LIBRARY, files
from infra.deployed import Deployed
from infra.machine.contract import HEAD
from infra.settings import FILE, ROOT, parse
from machines import metadata_service
from ops.simulator.aws import StandIn

PRESENT, GROUP = 2, "redox-workers"
DEPLOYED = Deployed(bucket="of-workers", repository="repository")


@pytest.fixture
def group(aws: StandIn) -> Iterator[Any]:
    client, s3 = aws.client("autoscaling"), aws.client("s3")
    s3.create_bucket(Bucket=DEPLOYED.bucket)
    s3.put_object(Bucket=DEPLOYED.bucket, Key=HEAD, Body=b"127.0.0.1")  # as the host published it
    client.create_launch_configuration(LaunchConfigurationName="c", ImageId="ami-12c6146b", InstanceType="c7i.large")
    client.create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        LaunchConfigurationName="c",
        AvailabilityZones=["us-east-1a"],
        MinSize=0,
        MaxSize=PRESENT,
        DesiredCapacity=PRESENT,
    )
    yield client
    client.delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
    client.delete_launch_configuration(LaunchConfigurationName="c")


def attempt(folder: Path, aws: StandIn, port: int) -> int:
    """Run what a worker's unit runs before it joins a host at this port."""
    text = FILE.read_text().replace("workers = 0", f"workers = {PRESENT}").replace("ray = 6379", f"ray = {port}")
    found = files(parse(text), "worker", DEPLOYED)
    program = found["usr/local/bin/redox-alone"].decode().replace("/run/", f"{folder}/")
    program = program.replace("timeout 10", "timeout 0.5").replace(f"/{LIBRARY}", str(ROOT))
    assert f"{LIBRARY}/infra/machine/workers.py" in found
    own = {"REDOX_BUCKET": DEPLOYED.bucket, "REDOX_GROUP": GROUP, "REDOX_REGION": "us-east-1"}
    own["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with metadata_service("i-0123456789abcdef0") as metadata:
        own["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = metadata.address
        environment = os.environ | aws.environment | own
        return subprocess.run(["bash", "-c", program], env=environment, check=False).returncode


def desired(group: Any) -> int:
    return int(
        group.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]["DesiredCapacity"]
    )


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that answers nothing, as the address of a machine that is gone: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port, waiting = server.getsockname()[1], []
        while True:
            each = socket.socket()
            each.settimeout(0.2)
            waiting.append(each)
            try:
                each.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        yield port
        for each in waiting:
            each.close()


def test_all_workers_end_once_the_host_has_not_answered_for_a_while(
    group: Any, aws: StandIn, tmp_path: Path, silent: int
) -> None:
    assert attempt(tmp_path, aws, silent) == 1
    assert desired(group) == PRESENT
    os.utime(tmp_path / "redox-alone", (time.time() - 16 * 60,) * 2)
    assert attempt(tmp_path, aws, silent) == 1
    assert desired(group) == 0


def test_a_host_that_is_up_keeps_its_workers_with_or_without_a_training(
    group: Any, aws: StandIn, tmp_path: Path
) -> None:
    alone = tmp_path / "redox-alone"
    with socket.create_server(("127.0.0.1", 0)) as head:
        port = head.getsockname()[1]
        for _ in ("it accepts", "it refuses"):
            alone.touch()
            os.utime(alone, (0, 0))
            assert attempt(tmp_path, aws, port) == 0
            assert not alone.exists()
            assert (tmp_path / "redox-head.env").read_text() == "REDOX_HEAD=127.0.0.1\n"
            head.close()
    assert desired(group) == PRESENT


def test_the_unit_asks_before_each_attempt() -> None:
    text = FILE.read_text().replace("workers = 0", "workers = 1")
    unit = files(parse(text), "worker", DEPLOYED)
    lines = unit["etc/systemd/system/redox-worker.service"].decode().splitlines()
    assert next(each for each in lines if each.startswith("Exec")) == "ExecStartPre=/usr/local/bin/redox-alone"
    assert "Restart=always" in lines
