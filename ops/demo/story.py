"""The story of `make demo`: deploy, train, lose the host in the middle, bring it back, fetch the result.

Each step is what a user would type, run as a process of its own against the AWS of this machine. What the story does
itself is what nobody types: being AWS, cutting the power, and waiting for the training by looking at its heartbeat.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.deployed import CDK
from infra.names import LOG, STORAGE, TRAINING
from infra.settings import ROOT, VARIABLE
from ops.demo import settings as own
from ops.simulator.aws import ACCOUNT, REGION, StandIn, stand_in
from ops.simulator.host import SimulatedHost, require
from ops.simulator.hypervisor import Hypervisor, hypervisor
from redox_balancer.errors import RedoxError
from redox_balancer.runs.heartbeat import Heartbeat, read_heartbeat

PATIENCE_S = 180.0
LOOK_S = 0.1
EPISODES = 100  # behind each mean of the report
IMAGE = "redox-balancer:latest"
# What a user of a terminal does not need of the CDK and of a progress bar; the log has all of it.
NOISE = re.compile(
    r"^\S+ *\| *(\d+/\d+|\d+ Currently)|^\s*\S+ \| |deprecat|: (start|success): |^ *Redox\w+$|ExportsOutput|^b'!!",
    re.IGNORECASE,
)
RESUMING = re.compile(r"resuming \S+ at step ([\d,]+)")
BROUGHT_UP, FAILED = "bring-up: done", "bring-up: failed"
MIDDLE = 0.4  # of a save interval: when the power goes; a heartbeat may be seconds old by then
BLOCKED = ("AWS_", "REDOX_", "DOCKER_HOST")  # of the user's environment, what could lead to a real account


@dataclass(frozen=True)
class Step:
    """A step: what was typed, and how long it took, s."""

    command: str
    seconds: float


@dataclass
class Story:
    """A telling.

    Attributes
    ----------
    folder
        Where everything of it lies.
    say
        Tells the user a line.
    steps
        What was typed so far.
    """

    folder: Path
    say: Callable[[str], None]
    steps: list[Step] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def tell(self) -> dict[str, Any]:
        """Tell it, and return its figures."""
        began = time.monotonic()
        require()
        if not CDK.exists():
            raise RedoxError("the CDK is not installed", hint="make demo installs it, with node and npm")
        config = own.write(self.folder / "deploy.toml")
        with ExitStack() as stack:
            aws = stack.enter_context(stand_in(self.folder))
            self.say(f"AWS on this machine: {aws.address}; everything lies in {self.folder}")
            machines = stack.enter_context(hypervisor(aws, config.host.ssh_user))
            self._use(aws, machines)
            self._deploy()
            host, volume = self.host(machines)
            run = self.folder / "volumes" / volume / "experiments" / own.RUN
            self._train(host, run)
            killed = self._kill(host, run)
            restored = self._restore(machines, run, killed)
            pulled = self._fetch()
            hidden = aws.hidden_failures()
        return {
            "save_interval_s": own.SAVE_INTERVAL_S,
            "killed": killed,
            "restored": restored,
            "pulled": pulled,
            "hidden_failures": hidden,
            "steps": [asdict(step) for step in self.steps],
            "seconds": time.monotonic() - began,
        }

    @property
    def log(self) -> Path:
        """All that every command said."""
        return self.folder / "demo.log"

    def _use(self, aws: StandIn, machines: Hypervisor) -> None:
        """Have every command see the AWS of this machine and nothing of a real account."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(BLOCKED)}
        self.environment = {
            **kept,
            **aws.environment,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PATH": f"{machines.programs}:{os.environ['PATH']}",
            VARIABLE: str(self.folder / "deploy.toml"),
            "COLUMNS": "110",
            "NO_COLOR": "1",
            # What node says of its own age is not part of the story.
            "NODE_NO_WARNINGS": "1",
        }

    def _deploy(self) -> None:
        self.part("1. Deploy: two stacks, by the CDK itself")
        assembly = self.folder / "assembly"
        self.cdk("synth", "--quiet", "--output", assembly)
        self.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", assembly)
        self.python("ops", "quota")
        self.python("infra.deploy", "--require-approval", "never", "--method", "direct", "--app", assembly)

    def _train(self, host: SimulatedHost, run: Path) -> None:
        self.part("2. Train on the host, and look at it")
        self.brought_up(host)
        self.python("ops", "logs", "--of", "host", "--lines", 20)
        # To a real host train-remote sends the image that it builds: that takes an engine here and 420 MB of wheels.
        built = host.run("docker", "build", "--tag", IMAGE, str(ROOT))
        if built.returncode:
            raise RedoxError(f"the image cannot be built: {built.stderr.strip()}", hint=f"see {self.log}")
        self.python("ops", "train-remote", "--run", own.RUN, "--image", IMAGE, "--detach", "--", *own.TRAIN_OPTIONS)
        self.until(run, lambda beat: (beat.pushed_step or 0) > 0, "a checkpoint in the bucket")
        self.python("ops", "status", "--run", own.RUN)
        self.python("ops", "snapshot")

    def _kill(self, host: SimulatedHost, run: Path) -> dict[str, Any]:
        self.part("3. The power fails between two checkpoints: kill -9 of the host's first process")
        known = _beat(run).checkpoint_step or 0
        self.until(run, lambda beat: _in_the_middle(beat, known), "the middle of a save interval")
        host.kill()
        last, now = _beat(run), time.time()
        age = now - (last.checkpoint_at or 0.0)
        self.say(f"killed at step {last.step:,}, {age:.1f} s after the checkpoint of step {last.checkpoint_step:,}")
        self.python("ops", "health", "--run", own.RUN, expected=1)
        return {
            "host": host.record.instance_id,
            "at": now,
            "step": last.step,
            "checkpoint_step": last.checkpoint_step,
            "since_checkpoint_s": age,
        }

    def _restore(self, machines: Hypervisor, run: Path, killed: dict[str, Any]) -> dict[str, Any]:
        self.part("4. Bring it back: a new host from the image, with the same volume")
        began = time.time()
        self.python("ops", "restore", "--run", own.RUN, "--instance", killed["host"])
        host, _ = self.host(machines)
        said = self.python("ops", "logs", "--lines", 20)
        resumed = int(RESUMING.findall(said)[-1].replace(",", ""))
        goal = killed["step"]

        def beyond(beat: Heartbeat) -> bool:
            return beat.written_at > began and (beat.pushed_step or 0) > goal

        self.until(run, beyond, f"a checkpoint beyond step {goal:,} in the bucket")
        self.python("ops", "status", "--run", own.RUN)
        self.python("ops", "stop", "--instance", host.record.instance_id)
        return {"host": host.record.instance_id, "step": resumed, "lost_steps": goal - resumed}

    def _fetch(self) -> dict[str, Any]:
        self.part("5. Fetch the result, and look at it")
        here = self.folder / "experiments" / own.RUN
        self.python("ops", "checkpoints", "--run", own.RUN)
        self.python("ops", "pull-checkpoints", "--run", own.RUN, "--to", here)
        self.run(Path(sys.executable).with_name("redox"), "report", here, "--episodes", EPISODES)
        step = max(int(path.name.removeprefix("step_")) for path in here.glob("step_*"))
        return {"step": step, "report": str(here / "report.html")}

    def host(self, machines: Hypervisor) -> tuple[SimulatedHost, str]:
        """Return the host that is deployed, once it is up, and the id of its volume."""
        stacks = machines.aws.client("cloudformation")
        outputs = {
            output["OutputKey"]: output["OutputValue"]
            for name in (STORAGE, TRAINING)
            for output in stacks.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        }
        return machines.host(outputs["InstanceId"]), outputs["VolumeId"]

    def brought_up(self, host: SimulatedHost) -> None:
        """Wait until the user data of a host has done its work."""
        self.say("... waiting until the host is set up")
        deadline = time.monotonic() + PATIENCE_S
        while BROUGHT_UP not in (said := host.run("cat", LOG).stdout):
            if FAILED in said or time.monotonic() > deadline or not host.record.alive:
                last = " | ".join(said.strip().splitlines()[-3:])
                raise RedoxError(f"the host is not set up: {last}", hint=f"all of it is in {host.disk}{LOG}")
            time.sleep(LOOK_S)

    def until(self, run: Path, true: Callable[[Heartbeat], bool], what: str) -> None:
        """Wait until the training is where the story wants it."""
        self.say(f"... waiting for {what}")
        deadline = time.monotonic() + PATIENCE_S
        while not ((beat := read_heartbeat(run)) and true(beat)):
            if time.monotonic() > deadline:
                raise RedoxError(
                    f"waited {PATIENCE_S:.0f} s for {what}: {beat or 'no heartbeat'}", hint=f"see {self.log}"
                )
            time.sleep(LOOK_S)

    def part(self, title: str) -> None:
        """Begin a part."""
        self.say(f"\n{title}")

    def cdk(self, *arguments: object) -> str:
        """Run the command line of the CDK."""
        return self.run(CDK, *arguments)

    def python(self, module: str, *arguments: object, expected: int = 0) -> str:
        """Run a command of this clone."""
        return self.run("python", "-m", module, *arguments, expected=expected)

    def run(self, *words: object, expected: int = 0) -> str:
        """Run a command as a user does, show what it says, and return that."""
        typed = " ".join(str(word).replace(f"{ROOT}/", "").replace(f"{self.folder}/", "") for word in words)
        self.say(f"\n$ {typed}")
        command = [sys.executable if word == "python" else str(word) for word in words]
        began, said = time.monotonic(), list[str]()
        with (
            self.log.open("a") as log,
            subprocess.Popen(  # noqa: S603 - our own commands
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            log.write(f"$ {typed}\n")
            assert process.stdout  # noqa: S101 - a pipe
            try:
                for line in process.stdout:
                    said.append(line)
                    log.write(line)
                    if line.strip() and not NOISE.search(line):
                        self.say(f"  {line.rstrip()}")
            except BaseException:
                process.terminate()  # it was us who were told to end
                raise
        seconds = time.monotonic() - began
        self.say(f"  ({seconds:.1f} s)")
        self.steps.append(Step(typed, seconds))
        if process.returncode != expected:
            raise RedoxError(
                f"{typed} ended with exit code {process.returncode}: {' | '.join(said[-3:]).strip()}",
                hint=f"all of it is in {self.log}",
            )
        return "".join(said)


def _beat(run: Path) -> Heartbeat:
    beat = read_heartbeat(run)
    if beat is None:
        raise RedoxError(f"{run} has no heartbeat", hint="was it removed?")
    return beat


def _in_the_middle(beat: Heartbeat, known: int) -> bool:
    """Whether a training is between two checkpoints, and has written one since that of step `known`."""
    return (
        beat.checkpoint_at is not None
        and (beat.checkpoint_step or 0) > known
        and beat.step > (beat.checkpoint_step or 0)
        and time.time() - beat.checkpoint_at >= MIDDLE * own.SAVE_INTERVAL_S
    )
