"""The demo: deploy, train, lose the host between two checkpoints, restore it, fetch the result.

Each step is the command that a user would type, run in a process of its own against the simulated AWS. Cutting the
power, and waiting for the training by polling its heartbeat, are done here.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.deployed import CDK
from infra.names import LOG, STORAGE, TRAINING
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
IMAGE = "redox-balancer:latest"
RESUMING = re.compile(r"resuming \S+ at step ([\d,]+)")
SET_UP, FAILED = "bring-up: done", "bring-up: failed"
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
            host, volume = self.host(machines)
            run = self.folder / "volumes" / volume / "experiments" / demo_settings.RUN
            self._train(host, run)
            killed = self._kill(host, run)
            restored = self._restore(machines, run, killed)
            pulled = self._fetch()
            hidden, unused = aws.hidden_failures(), aws.unused_statements()
        return {
            "save_interval_s": demo_settings.SAVE_INTERVAL_S,
            "killed": killed,
            "restored": restored,
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

    def _train(self, host: SimulatedHost, run: Path) -> None:
        self.show("\n2. Train on the host, and monitor it")
        self.wait_until_set_up(host)
        self.terminal.python("ops", "logs", "--of", "host", "--lines", 20)
        # For a real host, train-remote builds and sends the image, which takes an engine here and 420 MB of wheels.
        built = host.run("docker", "build", "--tag", IMAGE, str(ROOT))
        if built.returncode:
            raise RedoxError(f"the image cannot be built: {built.stderr.strip()}", hint=f"see {self.terminal.log}")
        options = ("--image", IMAGE, "--detach", "--", *demo_settings.TRAIN_OPTIONS)
        self.terminal.python("ops", "train-remote", "--run", demo_settings.RUN, *options)
        self.wait_until(run, lambda beat: (beat.pushed_step or 0) > 0, "a checkpoint in the bucket")
        self.terminal.python("ops", "status", "--run", demo_settings.RUN)
        self.terminal.python("ops", "snapshot")

    def _kill(self, host: SimulatedHost, run: Path) -> dict[str, Any]:
        self.show("\n3. Cut the power between two checkpoints: kill -9 of the host's first process")
        known = _heartbeat(run).checkpoint_step or 0
        self.wait_until(run, lambda beat: _between_checkpoints(beat, known), "the middle of a save interval")
        host.kill()
        last, now = _heartbeat(run), time.time()
        age = now - (last.checkpoint_at or 0.0)
        self.show(f"killed at step {last.step:,}, {age:.1f} s after the checkpoint of step {last.checkpoint_step:,}")
        self.terminal.python("ops", "health", "--run", demo_settings.RUN, expected=1)
        return {
            "host": host.record.instance_id,
            "at": now,
            "step": last.step,
            "checkpoint_step": last.checkpoint_step,
            "since_checkpoint_s": age,
        }

    def _restore(self, machines: Hypervisor, run: Path, killed: dict[str, Any]) -> dict[str, Any]:
        self.show("\n4. Restore: a new host from the image, with the same volume")
        started = time.time()
        self.terminal.python("ops", "restore", "--run", demo_settings.RUN, "--instance", killed["host"])
        host, _ = self.host(machines)
        log = self.terminal.python("ops", "logs", "--lines", 20)
        resumed = int(RESUMING.findall(log)[-1].replace(",", ""))
        goal = killed["step"]

        def is_beyond(beat: Heartbeat) -> bool:
            return beat.written_at > started and (beat.pushed_step or 0) > goal

        self.wait_until(run, is_beyond, f"a checkpoint beyond step {goal:,} in the bucket")
        self.terminal.python("ops", "status", "--run", demo_settings.RUN)
        self.terminal.python("ops", "stop", "--instance", host.record.instance_id)
        status = _heartbeat(run).status
        return {"host": host.record.instance_id, "step": resumed, "lost_steps": goal - resumed, "status": status}

    def _fetch(self) -> dict[str, Any]:
        self.show("\n5. Fetch the result, and report it")
        local = self.folder / "experiments" / demo_settings.RUN
        self.terminal.python("ops", "checkpoints", "--run", demo_settings.RUN)
        self.terminal.python("ops", "pull-checkpoints", "--run", demo_settings.RUN, "--to", local)
        self.terminal.run(Path(sys.executable).with_name("redox"), "report", local, "--episodes", EPISODES)
        step = max(int(path.name.removeprefix("step_")) for path in local.glob("step_*"))
        return {"step": step, "report": str(local / "report.html")}

    def host(self, machines: Hypervisor) -> tuple[SimulatedHost, str]:
        """Return the host of the deployment, once it is running, and the id of its volume."""
        stacks = machines.aws.client("cloudformation")
        outputs = {
            output["OutputKey"]: output["OutputValue"]
            for name in (STORAGE, TRAINING)
            for output in stacks.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        }
        return machines.host(outputs["InstanceId"]), outputs["VolumeId"]

    def wait_until_set_up(self, host: SimulatedHost) -> None:
        """Wait until the user data of a host has run."""
        self.show("... waiting until the host is set up")
        deadline = time.monotonic() + TIMEOUT_S
        while SET_UP not in (log := host.run("cat", LOG).stdout):
            if FAILED in log or time.monotonic() > deadline or not host.record.alive:
                last = " | ".join(log.strip().splitlines()[-3:])
                raise RedoxError(f"the set-up of the host failed: {last}", hint=f"see {host.disk}{LOG}")
            time.sleep(POLL_S)

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
