"""Containers of the image under test, run with the flags of `infra.container`."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.models.containers import Container

from infra.container import Flags
from infra.settings import load
from redox_balancer.runs.heartbeat import Heartbeat, read_heartbeat
from waiting import wait_until

SETTINGS = load()
FLAGS = Flags.of(SETTINGS).here()
DOCKER = os.environ.get("DOCKER", "docker")
# Further options of this engine, such as --network host where it has no bridge.
RUN_OPTIONS = shlex.split(os.environ.get("RUN_OPTIONS", ""))


@dataclass
class Engine:
    """A running Docker engine, and the image that was built on it."""

    client: DockerClient
    image: str

    def command(
        self,
        *arguments: str,
        runs: Path | None = None,
        data: Path | None = None,
        flags: Flags = FLAGS,
        options: Sequence[str] = (),
    ) -> list[str]:
        """The command line of `docker run`."""
        given = [
            *RUN_OPTIONS,
            *flags.arguments(SETTINGS.container, runs=str(runs or ""), data=str(data or "")),
            *options,
        ]
        return [DOCKER, "run", *given, self.image, *arguments]

    def run(self, *arguments: str, options: Sequence[str] = (), **how: Any) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        command = self.command(*arguments, options=["--rm", *options], **how)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    @contextmanager
    def training(self, runs: Path, *arguments: str, options: Sequence[str] = (), **how: Any) -> Iterator["Training"]:
        """Train in a container, which is removed afterwards; the run is the folder `first` in `runs`."""
        command = self.command("train", *TRAIN, *arguments, runs=runs, options=["--detach", *options], **how)
        name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        training = Training(self.client.containers.get(name), runs / "first")
        try:
            yield training
        finally:
            training.container.remove(force=True, v=True)


# Checkpoints by seconds, and longer than any test.
SAVE_INTERVAL_S = 3.0
TRAIN = (
    *("--timesteps", "1000000000", "--save-interval-s", str(SAVE_INTERVAL_S)),
    *("--log-interval-s", "1", "--heartbeat-interval-s", "1"),
)


@dataclass
class Training:
    """A training in a container."""

    container: Container
    run: Path

    @property
    def state(self) -> dict[str, Any]:
        """State of the container according to the engine."""
        self.container.reload()
        return self.container.attrs["State"]

    def log(self) -> str:
        """Output of the container."""
        return str(self.container.logs().decode())

    def heartbeat(self, fits: Callable[[Heartbeat], Any], what: str) -> Heartbeat:
        """Wait for a heartbeat of this container that fits."""

        def ask() -> Heartbeat | None:
            state = self.state
            if not state["Running"]:
                raise AssertionError(f"the container ended ({state['ExitCode']}) before {what}: {self.log()[-2000:]}")
            beat = read_heartbeat(self.run)
            started = datetime.fromisoformat(state["StartedAt"]).timestamp()
            return beat if beat and beat.written_at > started and fits(beat) else None

        return wait_until(ask, what)

    def saved(self) -> int:
        """Wait for a checkpoint of this container, and return its step."""
        before = newest(self.run)
        self.heartbeat(lambda _: newest(self.run) > before, "a checkpoint")
        return newest(self.run)

    def inside(self, code: str) -> Any:
        """Run Python in the container and return what it prints as JSON."""
        code_, output = self.container.exec_run(["python3", "-c", code])
        assert code_ == 0, output.decode()
        return json.loads(output)


def newest(run: Path) -> int:
    """The step of the newest checkpoint, -1 where there is none."""
    return max((int(path.name.removeprefix("step_")) for path in run.glob("step_*")), default=-1)
