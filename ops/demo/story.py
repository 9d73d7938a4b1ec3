"""The demo: deploy, train, lose host and zone between two checkpoints, be replaced unattended, fetch the result.

Each step is the command that a user would type, run in a process of its own against the simulated AWS. Cutting the
power, skipping an idle hour, and waiting for the training by polling its heartbeat, are done here.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.deployed import CDK
from infra.machine import contract
from infra.names import HOST_GROUP, STORAGE
from infra.settings import ROOT, VARIABLE
from ops.demo import settings as demo_settings
from ops.demo.terminal import Terminal
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in
from ops.simulator.host import SimulatedHost, require
from ops.simulator.hypervisor import Hypervisor
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat, read_heartbeat

TIMEOUT_S = 180.0
POLL_S = 0.1
EPISODES = 100  # of each mean in the report
DOCKER = "ops/simulator/guest/containers.py"
RESUMING = re.compile(r"resuming \S+ at step ([\d,]+)")
NO_CAPACITY = "InsufficientInstanceCapacity"
SKIP_AN_HOUR = f"""
import json, pathlib
path = pathlib.Path("{contract.WATCH_STATE}")
state = json.loads(path.read_text())
path.write_text(json.dumps(state | {{"idle_since_s": -7200.0}}))
"""
MIDDLE = 0.4  # of a save interval: when the power is cut; a heartbeat may be seconds old by then
BLOCKED = ("AWS_", "REDOX_", "DOCKER_HOST")  # variables of the user that could lead to a real account


class Story:
    """One run of the demo, with all its files in a folder; `show` prints a line."""

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        self.folder, self.show = folder, show
        self.terminal = Terminal(folder, show)

    def run_all(self) -> dict[str, Any]:
        """Run the demo and return its results."""
        started = time.monotonic()
        require()
        if not CDK.exists():
            raise RedoxError("the CDK is not installed", hint="make demo installs it, with node and npm")
        config = demo_settings.write(self.folder / "deploy.toml")
        with ExitStack() as stack:
            aws = stack.enter_context(stand_in(self.folder))
            self.show(f"simulated AWS: {aws.address}; all files are in {self.folder}")
            machines = stack.enter_context(Hypervisor(aws, config.host.ssh_user))
            self._set_environment(aws, machines)
            self._deploy()
            host = self._train(machines)
            killed = self._kill(machines, host)
            replaced = self._replaced(machines, killed)
            self._idle(machines, replaced["host"])
            pulled = self._fetch()
            hidden, unused = aws.hidden_failures(), aws.unused_statements()
        return {
            "save_interval_s": demo_settings.SAVE_INTERVAL_S,
            "killed": killed,
            "replaced": replaced,
            "pulled": pulled,
            "hidden_failures": hidden,
            "unused_statements": unused,
            "steps": [asdict(step) for step in self.terminal.steps],
            "seconds": time.monotonic() - started,
        }

    def _set_environment(self, aws: StandIn, machines: Hypervisor) -> None:
        """Point every command to the simulated AWS, and hide any real account from it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(BLOCKED)}
        self.terminal.environment = {
            **kept,
            **aws.environment,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PATH": f"{machines.programs}:{os.environ['PATH']}",
            VARIABLE: str(self.folder / "deploy.toml"),
            "COLUMNS": "110",
            "NO_COLOR": "1",
            # Warnings about the version of node are of no interest here.
            "NODE_NO_WARNINGS": "1",
        }

    def _deploy(self) -> None:
        self.show("\n1. Deploy: two stacks, with the CDK")
        assembly = self.folder / "assembly"
        self.terminal.cdk("synth", "--quiet", "--output", assembly)
        self.terminal.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", assembly)
        self.terminal.python("ops", "quota")
        self.terminal.python("infra.deploy", "--require-approval", "never", "--method", "direct", "--app", assembly)

    def _train(self, machines: Hypervisor) -> SimulatedHost:
        self.show("\n2. Train: the image is in the repository, the group launches a host; monitor it")
        image = f"{self._outputs(machines, STORAGE)['RepositoryUri']}:latest"
        # For a real host, train-remote builds and pushes the image, which takes an engine here and 420 MB of wheels.
        registry = {"REDOX_STAND_IN_IMAGES": str(self.folder / "registry")}
        built = subprocess.run(  # noqa: S603 - our own
            [sys.executable, "-I", DOCKER, "build", "--tag", image, str(ROOT)], cwd=ROOT, env=registry, check=False
        )
        if built.returncode:
            raise RedoxError("the image cannot be built", hint=f"see {self.terminal.log}")
        options = ("--image", image, "--detach", "--", *demo_settings.TRAIN_OPTIONS)
        self.terminal.python("ops", "train-remote", "--run", demo_settings.RUN, *options)
        self.terminal.python("ops", "logs", "--of", "host", "--lines", 20)
        host = machines.host(self._member(machines) or "")
        self.wait_until(_run(host), lambda beat: (beat.pushed_step or 0) > 0, "a checkpoint in the bucket")
        self.terminal.python("ops", "status", "--run", demo_settings.RUN)
        self.terminal.python("ops", "snapshot")
        return host

    def _kill(self, machines: Hypervisor, host: SimulatedHost) -> dict[str, Any]:
        zone = machines.zone(host.record.instance_id)
        self.show(
            f"\n3. {zone} has no capacity left; cut the power of the host there between two checkpoints: kill -9"
        )
        machines.aws.set_account(refusals={zone: NO_CAPACITY})
        run = _run(host)
        known = _heartbeat(run).checkpoint_step or 0
        self.wait_until(run, lambda beat: _between_checkpoints(beat, known), "the middle of a save interval")
        last, now = _heartbeat(run), time.time()
        host.kill()
        age = now - (last.checkpoint_at or 0.0)
        self.show(f"killed at step {last.step:,}, {age:.1f} s after the checkpoint of step {last.checkpoint_step:,}")
        return {
            "host": host.record.instance_id,
            "zone": zone,
            "at": now,
            "step": last.step,
            "checkpoint_step": last.checkpoint_step,
            "since_checkpoint_s": age,
        }

    def _replaced(self, machines: Hypervisor, killed: dict[str, Any]) -> dict[str, Any]:
        self.show("\n4. Nobody does anything: the group replaces the host, which goes on with the run")
        deadline, goal = time.monotonic() + TIMEOUT_S, killed["step"]
        while (name := self._member(machines)) in (None, killed["host"]):
            if time.monotonic() > deadline:
                raise RedoxError("the group does not replace the host", hint=f"see {machines.aws.log}")
            time.sleep(POLL_S)
        host = machines.host(str(name))
        self.wait_until(_run(host), lambda beat: beat.status == "training", "the training on the new host")
        back_s = time.time() - killed["at"]
        resumed = int(RESUMING.findall(self.terminal.python("ops", "logs", "--lines", 20))[-1].replace(",", ""))
        self.wait_until(_run(host), lambda beat: (beat.pushed_step or 0) > goal, f"a checkpoint beyond step {goal:,}")
        self.terminal.python("ops", "status", "--run", demo_settings.RUN)
        zone = machines.zone(str(name))
        self.show(
            f"{killed['host']} in {killed['zone']} was replaced by {name} in {zone}, training after {back_s:.0f} s"
        )
        return {"host": name, "zone": zone, "step": resumed, "lost_steps": goal - resumed, "back_s": back_s}

    def _idle(self, machines: Hypervisor, name: str) -> None:
        self.show(
            "\n5. End the training; after an idle hour, which is skipped, the host ends itself: the group is at 0"
        )
        self.terminal.python("ops", "stop", "--keep-host", "--instance", name)
        host = machines.host(name)
        for command in (("python3", "-I", "-c", SKIP_AN_HOUR), ("systemctl", "restart", contract.WATCH)):
            host.run(*command).check_returncode()
        deadline = time.monotonic() + TIMEOUT_S
        while host.record.alive or self._member(machines):
            if time.monotonic() > deadline:
                raise RedoxError("the idle host did not end itself", hint=f"see {machines.aws.log}")
            time.sleep(POLL_S)
        self.terminal.python("ops", "health", "--run", demo_settings.RUN, expected=1)
        self.terminal.python("ops", "cost", "--run", demo_settings.RUN)

    def _fetch(self) -> dict[str, Any]:
        self.show("\n6. Fetch the result, and report it")
        local = self.folder / "experiments" / demo_settings.RUN
        self.terminal.python("ops", "checkpoints", "--run", demo_settings.RUN)
        self.terminal.python("ops", "pull-checkpoints", "--run", demo_settings.RUN, "--to", local)
        self.terminal.run(Path(sys.executable).with_name("redox"), "report", local, "--episodes", EPISODES)
        step = max(int(path.name.removeprefix("step_")) for path in local.glob("step_*"))
        return {"step": step, "report": str(local / "report.html")}

    def _member(self, machines: Hypervisor) -> str | None:
        """Return the instance of the host's group; None if it has none."""
        found = machines.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[HOST_GROUP])
        members = found["AutoScalingGroups"][0]["Instances"]
        return str(members[0]["InstanceId"]) if members else None

    def _outputs(self, machines: Hypervisor, stack: str) -> dict[str, str]:
        found = machines.aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
        return {output["OutputKey"]: output["OutputValue"] for output in found}

    def wait_until(self, run: Path, condition: Callable[[Heartbeat], bool], description: str) -> None:
        """Wait until the heartbeat of a run meets a condition."""
        self.show(f"... waiting for {description}")
        deadline = time.monotonic() + TIMEOUT_S
        while not ((beat := read_heartbeat(run)) and condition(beat)):
            if time.monotonic() > deadline:
                raise RedoxError(
                    f"waited {TIMEOUT_S:.0f} s for {description}: {beat or 'no heartbeat'}",
                    hint=f"see {self.terminal.log}",
                )
            time.sleep(POLL_S)


def _run(host: SimulatedHost) -> Path:
    return host.disk / "data" / "experiments" / demo_settings.RUN


def _heartbeat(run: Path) -> Heartbeat:
    beat = read_heartbeat(run)
    if beat is None:
        raise RedoxError(f"{run} has no heartbeat", hint="was it removed?")
    return beat


def _between_checkpoints(beat: Heartbeat, known: int) -> bool:
    """Whether a training is between two checkpoints, and has written one after that of step `known`."""
    return (
        beat.checkpoint_at is not None
        and (beat.checkpoint_step or 0) > known
        and beat.step > (beat.checkpoint_step or 0)
        and time.time() - beat.checkpoint_at >= MIDDLE * demo_settings.SAVE_INTERVAL_S
    )
