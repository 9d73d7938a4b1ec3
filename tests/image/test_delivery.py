"""The image of `train-remote` is tested here and sent to the engine of the host."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
from docker import DockerClient

from containers import SETTINGS, Engine
from ops.remote import image
from ops.session import Session
from redox_balancer.errors import RedoxError
from waiting import wait_until

DAEMON = "/usr/sbin/dockerd"
SMALL = "redox-delivery:0123456789ab"


class ForwardedHost:
    """A host whose engine is reached without SSH; the tests of the host cover forwarding."""

    name = "i-0123456789abcdef0"

    def __init__(self, socket: Path) -> None:
        self.session, self._socket = Session(SETTINGS), socket

    @contextmanager
    def forward(self, forward: str) -> Iterator[None]:
        local = Path(forward.split(":", maxsplit=1)[0])
        local.symlink_to(self._socket)
        yield
        local.unlink()


@pytest.fixture(scope="module")
def remote_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of another engine, which has no image."""
    if os.geteuid() or not Path(DAEMON).exists():
        pytest.skip(f"an engine of a host needs root and {DAEMON}")
    folder = tmp_path_factory.mktemp("engine")
    socket, log = folder / "docker.sock", folder / "docker.log"
    names = {"data-root": "data", "exec-root": "exec", "pidfile": "docker.pid"}
    closed = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
    with log.open("w") as output:
        daemon = subprocess.Popen(
            [
                DAEMON,
                *closed,
                *(f"--{option}={folder / name}" for option, name in names.items()),
                f"-Hunix://{socket}",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: daemon.poll() is not None or answers(socket), f"the engine answers: {log}")
        assert daemon.poll() is None, log.read_text()
        yield socket
    finally:
        daemon.terminate()
        daemon.wait()
        subprocess.run(["umount", folder / "exec/netns/default"], check=False, capture_output=True)
        shutil.rmtree(folder / "data", ignore_errors=True)


def answers(socket: Path) -> bool:
    try:
        return bool(docker.DockerClient(base_url=f"unix://{socket}").ping())
    except docker.errors.DockerException:
        return False


@pytest.fixture
def small(engine: Engine) -> Iterator[str]:
    """A small image here."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("content")
        entry.size = 1_000_000
        archive.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    name, tag = SMALL.split(":")
    engine.client.api.import_image_from_data(packed.getvalue(), repository=name, tag=tag)
    yield SMALL
    engine.client.images.remove(SMALL)


def tags(client: DockerClient, name: str) -> set[str]:
    return set(client.images.get(name).tags)


def test_an_image_is_loaded_into_the_engine_of_the_host_once_and_is_the_one_it_runs(
    small: str, engine: Engine, remote_socket: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    remote: Any = ForwardedHost(remote_socket)
    assert image.load(remote, small) == small
    host = docker.DockerClient(base_url=f"unix://{remote_socket}")
    assert host.images.get(small).id == engine.client.images.get(small).id
    assert tags(host, small) == {small, f"{small.split(':', maxsplit=1)[0]}:{SETTINGS.container.current_tag}"}
    assert f"loading {small} into the engine" in capfd.readouterr().err
    image.load(remote, small)
    assert f"{small} is already on" in capfd.readouterr().err


def test_an_image_that_trains_here_passes_and_reports_its_speed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, answers = subprocess.run, list[Any]()
    monkeypatch.setattr(subprocess, "run", lambda *words, **how: answers.append(run(*words, **how)) or answers[-1])
    image.smoke_test(Session(SETTINGS), engine.image, seconds=60)  # beside other tests
    (answer,) = answers
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    assert result["steps"] > 0
    assert result["steps_per_s"] > 0
    assert not result["finished"]


def test_an_image_that_does_not_train_here_is_not_sent(engine: Engine) -> None:
    # Ray takes longer than a second to start.
    with pytest.raises(RedoxError, match="does not train on this machine") as refused:
        image.smoke_test(Session(SETTINGS), engine.image, seconds=1)
    assert "nothing was sent" in refused.value.hint
