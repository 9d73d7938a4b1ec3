"""Profiles of a live actor: memory by memray from inside its process, time by py-spy from outside."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.actor import CollectorActor, fetch
from redox_balancer.impala.cluster import ray_cluster
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.policy import Float32
from redox_balancer.impala.rollout import EnvFactory

INSTALL = "pip install 'redox_balancer[profile]'"


class ProfiledActor(CollectorActor):
    """An actor that can record its memory allocations."""

    _tracker: Any = None
    _folder: tempfile.TemporaryDirectory[str]

    def start_memory_profile(self) -> None:
        """Start recording every allocation of this process."""
        import memray  # noqa: PLC0415 - only where a profile is wanted

        self._folder = tempfile.TemporaryDirectory()
        self._tracker = memray.Tracker(Path(self._folder.name) / "capture.bin")
        self._tracker.__enter__()

    def stop_memory_profile(self) -> bytes:
        """Stop and return memray's capture as bytes, because the actor may run on another host."""
        self._tracker.__exit__(None, None, None)
        self._tracker = None
        with self._folder:
            return (Path(self._folder.name) / "capture.bin").read_bytes()


class _Profiled:
    """One actor in its own cluster, with untrained weights."""

    def __init__(self, config: TrainConfig, factory: EnvFactory) -> None:
        self._actor: Any = ray.remote(num_cpus=1)(ProfiledActor).remote()
        prepared = self.call("prepare", factory, config.collector, config.log_interval_s)
        self.pid: int = prepared.pid
        self._parameters: Float32 = prepared.shape.initial(np.random.default_rng(config.seed))
        self._transitions = config.rollout_length * config.envs_per_actor
        # The first rollout fills the caches.
        self.call("collect", self._parameters, 0)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the actor and wait for its result."""
        reference = getattr(self._actor, method).remote(*arguments)
        ray.wait([reference])
        return fetch(reference)

    def collect_until(self, over: Any) -> int:
        """Collect until `over()`; return the number of environment steps."""
        steps = 0
        while not over():
            self.call("collect", self._parameters, 0)
            steps += self._transitions
        return steps


def profile_memory(config: TrainConfig, factory: EnvFactory, seconds: float, output: Path, *, leaks: bool) -> int:
    """Write memray's flame graph of an actor that collects for a number of seconds, as HTML; return its steps.

    With `leaks` it shows the allocations that were not freed in that time instead of those at the memory peak. A
    RedoxError where memray is not installed or cannot write its flame graph.
    """
    if importlib.util.find_spec("memray") is None:
        raise RedoxError("memray is not installed", hint=INSTALL)
    with ray_cluster(config.changed(num_actors=1)):
        actor = _Profiled(config, factory)
        actor.call("start_memory_profile")
        end = time.monotonic() + seconds
        steps = actor.collect_until(lambda: time.monotonic() >= end)
        capture: bytes = actor.call("stop_memory_profile")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.bin"
        path.write_bytes(capture)
        draw = [sys.executable, "-m", "memray", "flamegraph", "--force", "--output", str(output), str(path)]
        draw += ["--leaks"] if leaks else []
        done = subprocess.run(draw, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    if done.returncode:
        raise RedoxError(f"memray cannot write its flame graph: {_last_line(done.stderr or done.stdout)}")
    return steps


def profile_time(config: TrainConfig, factory: EnvFactory, seconds: float, output: Path) -> int:
    """Write py-spy's flame graph of an actor that collects for a number of seconds, as SVG.

    Arguments and result are those of `profile_memory`; a RedoxError where py-spy may not attach to other processes.
    """
    beside = Path(sys.executable).with_name("py-spy")
    spy = str(beside) if beside.is_file() else shutil.which("py-spy")
    if spy is None:
        raise RedoxError("py-spy is not installed", hint=INSTALL)
    with ray_cluster(config.changed(num_actors=1)):
        actor = _Profiled(config, factory)
        record = [spy, "record", "--pid", str(actor.pid), "--duration", str(max(1, round(seconds)))]
        with subprocess.Popen(  # noqa: S603 - fixed arguments
            [*record, "--format", "flamegraph", "--output", str(output)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            steps = actor.collect_until(lambda: process.poll() is not None)
            errors = process.stderr.read() if process.stderr else ""
    if process.returncode or not output.stat().st_size:
        raise RedoxError(
            f"py-spy cannot read the actor: {_last_line(errors)}",
            hint="run it as root, or in a container with the capability SYS_PTRACE; a memory profile needs neither",
            settings=("kind",),
        )
    return steps


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
