"""`compose.yaml` starts the trainer and TensorBoard, and stops them as `docker stop` does."""

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from containers import DOCKER, FLAGS, RUN_OPTIONS, Engine, Training
from infra.settings import ROOT
from waiting import wait_until


def compose_command() -> list[str]:
    """`docker compose`, or the standalone docker-compose."""
    plugin = [DOCKER, "compose"]
    if subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0:
        return plugin
    alone = shutil.which("docker-compose")
    if alone:
        return [alone]
    text = "docker compose is not installed, so compose.yaml is not run here"
    if os.environ.get("REDOX_ENGINE") == "required":
        pytest.fail(text)
    pytest.skip(text)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def project(engine: Engine, tmp_path: Path, runs: Path) -> Iterator[list[str]]:
    assert engine.client.ping()
    assert runs.parent == tmp_path
    described = yaml.safe_load((ROOT / "compose.yaml").read_text())
    if "host" in RUN_OPTIONS:  # an engine without a bridge has no ports to publish either
        for service in described["services"].values():
            service["network_mode"] = "host"
        del described["services"]["tensorboard"]["ports"]
    described["services"]["tensorboard"]["command"][-1] = str(free_port())
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(described))
    command = [*compose_command(), "--file", str(tmp_path / "compose.yaml"), "--project-name", tmp_path.name.lower()]
    try:
        yield command
    finally:
        subprocess.run([*command, "down", "--volumes", "--timeout", "10"], capture_output=True, check=True)


def test_compose_trains_shows_and_stops(engine: Engine, project: list[str], tmp_path: Path, runs: Path) -> None:
    environment = os.environ | {
        "REDOX_NOFILE": str(FLAGS.nofile),
        "REDOX_NPROC": str(FLAGS.nproc),
        "REDOX_TIMESTEPS": "1000000000",
    }

    def compose(*arguments: str) -> str:
        command = [*project, *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert answer.returncode == 0, f"{shlex.join(command)}: {answer.stderr}"
        return answer.stdout

    compose("up", "--detach")
    training = Training(engine.client.containers.get(compose("ps", "--quiet", "trainer").strip()), runs / "first")
    training.heartbeat(lambda beat: beat.actors_alive == 2 and beat.updated_at, "an update")
    port = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]["tensorboard"]["command"][-1]

    def curves() -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{port}/data/runs", timeout=5).json())
        except httpx.HTTPError:
            return False

    wait_until(curves, "the run in TensorBoard")
    compose("stop", "trainer")
    assert training.state["ExitCode"] == 0
    assert (training.run / "latest").is_dir()
