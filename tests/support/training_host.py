"""Fixtures: a host with the real unit of the deployment, whose container engine is `fake_trainer.py`."""

import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import fake_trainer
from fake_host import DEPLOYED, FakeAws, OpenSession
from infra.bring_up import files
from infra.settings import load
from ops.commands.train_remote import train_remote
from ops.remote import attach
from ops.session import Session
from s3_stand_in import S3
from ssh_host import SshHost
from waiting import wait_until

SETTINGS = load()
IMAGE = "redox-balancer:latest"
NEEDED = ("etc/systemd/system/redox-trainer.service", "etc/redox/training.env", "usr/local/lib/redox/infra")
# The host's watch has the jobs take turns; here nothing else of it runs, and there is hardly a pause.
TURNS = "usr/local/lib/redox/turns.py"
TURNS_UNIT = f"""\
[Service]
EnvironmentFile=/etc/redox/machine.env
ExecStart=/usr/bin/python3 /{TURNS}
"""
TURNS_PROGRAM = """\
import pathlib, time
from infra.machine import aws, jobs
queue = jobs.HostQueue(aws.Aws.of_machine(), pathlib.Path("/data/experiments"), lambda run: f"log of {run}")
while True:
    queue.turn()
    time.sleep(0.1)
"""
EMPTY = """\
systemctl stop redox-turns redox-trainer
rm -rf /data/* /etc/redox/* /var/log/journal/* /run/redox-*
touch /data/endless
"""
Train = Callable[..., Any]


@dataclass
class TrainingHost:
    """The host, accessed without the code under test."""

    ssh: SshHost

    def run(self, command: str) -> str:
        """Run a command as root without SSH."""
        return self.ssh.run(command)

    def exists(self, path: str) -> bool:
        return self.ssh.host.run("test", "-s", path).returncode == 0

    def arguments(self, run: str = "mine") -> list[str]:
        """The arguments of `docker run` of a run, once it has started."""
        return self._written(run, "words.json")

    def heartbeat(self, run: str = "mine") -> dict[str, Any]:
        """The heartbeat of a run, once it has one."""
        return self._written(run, "heartbeat.json")

    def _written(self, run: str, name: str) -> Any:
        path = f"/data/experiments/{run}/{name}"
        wait_until(lambda: self.exists(path))
        return json.loads(self.run(f"cat {path}"))

    def record_speeds(self, speeds: Mapping[int, float], run: str = "mine") -> None:
        """Write metrics of a run that had these steps per second with numbers of actors, after a cold start."""
        steps, seconds, rows = 0.0, 0.0, ["steps,seconds,return_mean,actors"]
        for actors, speed in speeds.items():
            steps += 1.0  # while actors start
            seconds += 50.0
            for _ in range(3):
                rows.append(f"{steps},{seconds},0.25,{actors}")
                steps, seconds = steps + 5.0 * speed, seconds + 5.0
        text = "\n".join(rows)
        self.run(f"cat >/data/experiments/{run}/metrics.csv <<'END'\n{text}\nEND")

    def is_training(self) -> bool:
        return self.ssh.host.run("systemctl", "is-active", "redox-trainer").stdout.strip() == "active"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as on a terminal: children of a shell in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def training_host(host: SshHost, fake_aws: FakeAws, interruptible: None) -> Iterator[TrainingHost]:
    """A host with the unit of the deployment, stopped, and an empty volume."""
    del interruptible
    host.run(EMPTY)
    for name, content in files(SETTINGS, "host", DEPLOYED).items():
        if name.startswith(NEEDED):
            path = host.host.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # No restart after a failure while a test inspects it.
            path.write_bytes(content.replace(b"RestartSec=30", b"RestartSec=300"))
    machine = f"REDOX_REGION='us-east-1'\nREDOX_BUCKET='checkpoints'\nREDOX_IMAGE='{IMAGE}'\n"
    address = fake_aws.objects.s3.meta.endpoint_url
    (host.host.root / "etc/redox/machine.env").write_text(f"{machine}AWS_ENDPOINT_URL='{address}'\n")
    (host.host.root / "etc/systemd/system/redox-turns.service").write_text(TURNS_UNIT)
    (host.host.root / TURNS).write_text(TURNS_PROGRAM)
    host.program("docker", f"#!{Path(sys.executable).absolute()} -I\n{Path(fake_trainer.__file__).read_text()}")
    host.run("touch /run/redox-ready; systemctl start redox-turns")
    yield TrainingHost(host)
    host.run("systemctl stop redox-turns redox-trainer")


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of all runs in a bucket of the S3 stand-in."""
    place = f"s3://{s3.bucket}/experiments"
    monkeypatch.setattr(Session, "run_url", lambda _self, run: f"{place}/{run}")
    return place


@pytest.fixture
def train(
    training_host: TrainingHost, open_session: OpenSession, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Train:
    """`train-remote` with an image that is on the host."""
    assert bucket
    assert training_host

    def started(*, dry_run: bool = False, delivery: str = "host", **options: Any) -> Any:
        monkeypatch.setattr(attach, "POLL_S", 0.1)
        given = {"run": "mine", "remote_image": IMAGE} | options
        return train_remote(open_session(dry_run=dry_run, image_delivery=f'"{delivery}"'), **given)

    return started
