"""The real deployment with the pinned CDK, on simulated AWS; synthesised once for all tests."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commands import ran
from infra.names import HOST_GROUP
from infra.settings import FILE, ROOT
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in


@dataclass
class Cloud:
    """Simulated AWS, and the CDK that deploys to it."""

    aws: StandIn
    cdk: Path
    folder: Path

    def run(self, *arguments: object, app: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the CDK; a failure shows its output."""
        app_arguments = ["--app", app] if app else []
        answer = ran(
            [self.cdk, *map(str, arguments), *map(str, app_arguments)],
            cwd=ROOT,
            env=os.environ | self.aws.environment,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer

    def bootstrap(self, app: Path) -> None:
        """Create the resources that the CDK needs in an account."""
        self.run("bootstrap", f"aws://{ACCOUNT}/{REGION}", app=app)

    def deploy(self, app: Path) -> dict[str, dict[str, str]]:
        """Deploy a synthesised app, and return the outputs."""
        outputs = self.folder / "outputs.json"
        self.run(
            "deploy", "--all", "--method=direct", "--require-approval=never", f"--outputs-file={outputs}", app=app
        )
        return json.loads(outputs.read_text())

    def python(
        self, module: str, *arguments: object, typed: str = "", environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m infra...` or `python -m ops` as make does."""
        return ran(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | self.aws.environment | (environment or {}),
            input=typed,
        )

    def host(self) -> str:
        """Return the only instance of the host's group."""
        groups = self.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[HOST_GROUP])
        (member,) = groups["AutoScalingGroups"][0]["Instances"]
        return str(member["InstanceId"])

    def instance(self, instance_id: str) -> dict[str, Any]:
        found = self.aws.client("ec2").describe_instances(InstanceIds=[instance_id])
        return found["Reservations"][0]["Instances"][0]


@pytest.fixture(scope="session")
def cdk() -> Path:
    """The pinned CDK, installed if it is missing; tests without node are skipped with a reason."""
    if not all(map(shutil.which, ("node", "npm"))):
        pytest.skip("the CDK needs node and npm (apt-get install nodejs npm)")
    subprocess.run(["make", "-C", ROOT, "node_modules/.bin/cdk"], check=True, capture_output=True)
    return ROOT / "node_modules" / ".bin" / "cdk"


@pytest.fixture(scope="session")
def assembly(cdk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app, synthesised offline, once for all folders: without an account, behind a proxy that does not exist."""
    folder = tmp_path_factory.getbasetemp() / "assembly"
    if folder.exists():
        return folder
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    subprocess.run([cdk, "synth", "--quiet", "--output", folder], cwd=ROOT, env=bare | nowhere, check=True)
    return folder


@pytest.fixture(scope="session")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings with a mail address of the user's own instead of the sample."""
    path = tmp_path_factory.mktemp("settings") / "deploy.toml"
    path.write_text(FILE.read_text().replace("alerts@example.com", "lab@cell.bio"))
    return path


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, cdk: Path, assembly: Path) -> Iterator[Cloud]:
    """A deployment for the commands; a test that restores its host leaves a new one."""
    folder = tmp_path_factory.mktemp("cloud")
    with stand_in(folder) as aws:
        made = Cloud(aws, cdk, folder)
        made.bootstrap(assembly)
        made.deploy(assembly)
        yield made
        assert aws.hidden_failures() == []  # retries of the CDK would hide them
