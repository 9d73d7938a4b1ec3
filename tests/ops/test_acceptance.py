"""`make acceptance` on simulated AWS, as on an account: told to its end, and interrupted; nothing of it is left."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.settings import ROOT
from ops.demo import settings as story_settings
from ops.demo.stand_in import DOCKER, skip_an_hour
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in
from ops.simulator.host import require
from ops.simulator.hypervisor import Hypervisor
from redox_balancer.errors import RedoxError
from waiting import wait_until

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/acceptance-redox-balancer:latest"
SHOWN = "$ python -m ops queue\n"  # while a run trains, and when the queue is worked off


@dataclass
class Account:
    """A bootstrapped account, its hosts, and the environment of its administrator."""

    aws: StandIn
    machines: Hypervisor
    environment: dict[str, str]

    def names(self) -> dict[str, set[str]]:
        """What there is that costs money, by kind."""
        instances = self.aws.client("ec2").describe_instances()["Reservations"]
        found = {
            "stacks": ("cloudformation", "describe_stacks", "Stacks", "StackName"),
            "buckets": ("s3", "list_buckets", "Buckets", "Name"),
            "repositories": ("ecr", "describe_repositories", "repositories", "repositoryName"),
            "logs": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
            "groups": ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName"),
        }
        return {
            kind: {each[name] for each in getattr(self.aws.client(service), call)()[key]}
            for kind, (service, call, key, name) in found.items()
        } | {
            "images": {each["ImageId"] for each in self.aws.client("ec2").describe_images(Owners=["self"])["Images"]},
            "running": {
                each["InstanceId"]
                for found in instances
                for each in found["Instances"]
                if each["State"]["Name"] != "terminated"
            },
        }


@pytest.fixture(scope="module")
def account(cdk: Path, assembly: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    try:
        require()
    except RedoxError as error:
        pytest.skip(f"{error.message} ({error.hint})")
    folder = tmp_path_factory.mktemp("account")
    settings = story_settings.of_demo(folder / "deploy.toml")
    known = (folder / "deploy.toml").read_text().replace(settings.host.ami_id, "ami-12c6146b")  # to simulated AWS
    (folder / "deploy.toml").write_text(known)
    with stand_in(folder) as aws, Hypervisor(aws, settings.host.ssh_user) as machines:
        for name in ("docker", "npm"):  # there is nothing to build, but whoever deploys has them
            (machines.programs / name).write_text("#!/bin/sh\necho 28.2.2\n")
            (machines.programs / name).chmod(0o755)
        environment = {
            **os.environ,
            **aws.environment,
            "AWS_ACCESS_KEY_ID": "administrator",
            "PATH": f"{machines.programs}:{os.environ['PATH']}",
            "REDOX_SETTINGS": str(folder / "deploy.toml"),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        bootstrap = [cdk, "bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", assembly]
        subprocess.run(bootstrap, cwd=ROOT, env=environment, check=True, capture_output=True)
        build = [sys.executable, "-I", DOCKER, "build", "--tag", IMAGE, str(ROOT)]
        subprocess.run(build, cwd=ROOT, env={"REDOX_STAND_IN_IMAGES": str(folder / "registry")}, check=True)
        yield Account(aws, machines, environment)
        assert aws.hidden_failures() == []


@contextmanager
def acceptance(account: Account, to: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "acceptance", "--json", "--image", IMAGE, "--to", str(to), *options],
        cwd=ROOT,
        env=account.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def test_a_dry_run_lists_the_steps_with_their_cost_and_needs_no_account(tmp_path: Path) -> None:
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_CONFIG_FILE": os.devnull}
    command = [sys.executable, "-m", "ops", "acceptance", "--dry-run", "--json", "--to", str(tmp_path / "there")]
    answer = subprocess.run(command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True, check=True)
    planned = json.loads(answer.stdout)
    assert planned["usd"] == pytest.approx(sum(usd for _, _, usd in planned["plan"]))
    assert 0 < planned["usd"] < 1
    assert sum(minutes for _, minutes, _ in planned["plan"]) <= 75
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_without_a_confirmation(account: Account, tmp_path: Path) -> None:
    before = account.names()
    with acceptance(account, tmp_path) as process:
        _, log = process.communicate()
    assert process.returncode == 2, log
    assert "nothing was changed" in log
    assert "minutes   USD" in log
    assert account.names() == before


def test_an_interrupted_story_leaves_nothing(account: Account, tmp_path: Path) -> None:
    before = account.names()
    with acceptance(account, tmp_path, "--yes") as process:
        wait_until(lambda: process.poll() is not None or account.names()["running"], within_s=300)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate()
    assert process.returncode == 130, log
    assert "left: nothing" in log
    assert account.names() == before


@pytest.mark.timeout(1800)  # a busy machine takes a quarter of an hour
def test_the_story_is_told_to_its_end_and_leaves_nothing(account: Account, tmp_path: Path) -> None:
    before, log = account.names(), tmp_path / "commands.log"
    with acceptance(account, tmp_path, "--yes") as process:
        skipping = threading.Thread(target=skip_the_idle_time, args=(account, process, log))
        skipping.start()
        answer, said = process.communicate()
        skipping.join()
    assert process.returncode == 0, said
    results = json.loads(answer)
    lost, replaced = results["killed"], results["replaced"]
    assert replaced["host"] != lost["host"]
    assert replaced["lost_steps"] == 0  # a terminated instance saves while it shuts down
    assert results["pulled"]["demo"] > lost["step"]
    assert results["alarm"].startswith("Successfully executed action arn:aws:sns:")
    assert results["left"] == []
    assert account.names() == before
    assert "AcceptanceRedoxTraining" in log.read_text()


def skip_the_idle_time(account: Account, process: subprocess.Popen[str], log: Path) -> None:
    """Skip the minutes that an account would take, once the queue is worked off."""

    def worked_off() -> bool:
        return process.poll() is not None or (log.exists() and log.read_text().count(SHOWN) == 2)

    wait_until(worked_off, within_s=1500)
    if process.poll() is None:
        (host,) = account.names()["running"]
        skip_an_hour(account.machines.host(host))
