"""An account on simulated AWS, as an administrator finds it, and `make acceptance` on it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.settings import ROOT
from ops.demo import settings as story_settings
from ops.demo.stand_in import DOCKER
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in
from ops.simulator.host import require
from ops.simulator.hypervisor import Hypervisor
from redox_balancer.errors import RedoxError

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/acceptance-redox-balancer:latest"


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
