"""The stage of `make demo`: simulated AWS and hosts, all on this machine."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from infra.deployed import CDK
from infra.machine import contract
from infra.names import STORAGE
from infra.settings import ROOT, VARIABLE
from ops.demo import settings as demo_settings
from ops.demo.settings import RUN
from ops.demo.terminal import Terminal
from ops.simulator.aws import ACCOUNT, REGION, stand_in
from ops.simulator.host import SimulatedHost, require
from ops.simulator.hypervisor import Hypervisor
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat, read_heartbeat

DOCKER = "ops/simulator/guest/containers.py"
NO_CAPACITY = "InsufficientInstanceCapacity"
SKIP_AN_HOUR = f"""
import json, pathlib
pathlib.Path("{contract.KEEP_AWAKE}").unlink(missing_ok=True)
path = pathlib.Path("{contract.WATCH_STATE}")
state = json.loads(path.read_text())
path.write_text(json.dumps(state | {{"idle_since_s": -7200.0}}))
"""
BLOCKED = ("AWS_", "REDOX_", "DOCKER_HOST")  # variables of the user that could lead to a real account


class StandInStage:
    """Simulated AWS and its hosts, with all their files in a folder."""

    timeout_s, poll_s = 180.0, 0.1

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        require()
        if not CDK.exists():
            raise RedoxError("the CDK is not installed", hint="make demo installs it, with node and npm")
        self._folder, self._show = folder, show
        self.settings = demo_settings.of_demo(folder / "deploy.toml")

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            self.aws = closing.enter_context(stand_in(self._folder))
            self._show(f"simulated AWS: {self.aws.address}; all files are in {self._folder}")
            self.machines = closing.enter_context(Hypervisor(self.aws, self.settings.host.ssh_user))
            self.closing = closing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()

    @property
    def environment(self) -> Mapping[str, str]:
        """That of simulated AWS, which hides any real account."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(BLOCKED)}
        return {
            **kept,
            **self.aws.environment,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "XDG_CACHE_HOME": str(self._folder / "cache"),
            "PATH": f"{self.machines.programs}:{os.environ['PATH']}",
            VARIABLE: str(self._folder / "deploy.toml"),
        }

    def client(self, service: str) -> Any:
        """Return a client that may do everything."""
        return self.aws.client(service)

    def deploy(self, terminal: Terminal) -> None:
        """Bootstrap the account, and deploy."""
        assembly = self._folder / "assembly"
        terminal.cdk("synth", "--quiet", "--output", assembly)
        terminal.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", assembly)
        terminal.python("ops", "quota")
        terminal.python("infra.deploy", "--require-approval", "never", "--method", "direct", "--app", assembly)

    def image(self, terminal: Terminal) -> tuple[str, ...]:
        """Build the image in the simulated repository, and return the options of `train-remote` that name it.

        A real one takes an engine here and 420 MB of wheels.
        """
        found = self.client("cloudformation").describe_stacks(StackName=STORAGE)["Stacks"][0]["Outputs"]
        (repository,) = (each["OutputValue"] for each in found if each["OutputKey"] == "RepositoryUri")
        command = [sys.executable, "-I", DOCKER, "build", "--tag", f"{repository}:latest", str(ROOT)]
        registry = {"REDOX_STAND_IN_IMAGES": str(self._folder / "registry")}
        if subprocess.run(command, cwd=ROOT, env=registry, check=False).returncode:  # noqa: S603 - our own
            raise RedoxError("the image cannot be built", hint=f"see {terminal.log}")
        return "--image", f"{repository}:latest"

    def heartbeat(self, host: str) -> Heartbeat | None:
        """Read the heartbeat of the run from the disk of the host; None if there is none."""
        return read_heartbeat(self.machines.host(host).disk / "data" / "experiments" / RUN)

    def lose(self, host: str) -> str:
        """Cut the power of a host while its zone has no capacity left, and return how it was lost."""
        zone = self.machines.zone(host)
        self.aws.set_account(refusals={zone: NO_CAPACITY})
        self.machines.host(host).kill()
        return f"kill -9, and {zone} has no capacity left"

    def idle(self, host: str) -> None:
        """Skip the time after which an idle host ends itself."""
        skip_an_hour(self.machines.host(host))

    def results(self) -> dict[str, Any]:
        """Return broken rules of AWS, and statements of policies that no call needed."""
        return {"hidden_failures": self.aws.hidden_failures(), "unused_statements": self.aws.unused_statements()}


def skip_an_hour(host: SimulatedHost) -> None:
    """Have a host that has begun to be idle believe that it is so for two hours."""
    for command in (("python3", "-I", "-c", SKIP_AN_HOUR), ("systemctl", "restart", contract.WATCH)):
        host.run(*command).check_returncode()
