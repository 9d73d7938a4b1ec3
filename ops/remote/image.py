"""The image of the training: built here, tried out here, and brought to where the host takes it from."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.container import Flags
from infra.settings import ROOT
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress
from redox_balancer.terminal.progress import transfer_progress

if TYPE_CHECKING:
    from ops.session import Session

ENGINE_TIMEOUT_S = 3_600  # loading an image of gigabytes through a slow line
SMOKE_S = 30
LAST_LINES = 3
SOCKET = "/var/run/docker.sock"


def _engine() -> Any:
    """Return the engine of this machine; an error of one line where none answers."""
    from docker.client import DockerClient  # noqa: PLC0415 - only who ships an image needs it

    return DockerClient.from_env(timeout=ENGINE_TIMEOUT_S)


def build() -> str:
    """Build the image of this clone, as `make image` does, and return its name with the commit as its tag."""
    answer = subprocess.run(["make", "image"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S607
    sys.stderr.write(answer.stdout)
    if answer.returncode:
        raise RedoxError("the image cannot be built; what make image said is above", hint="mend that, and try again")
    return answer.stdout.strip().splitlines()[-1].split(",")[0]


def smoke(session: Session, name: str, *, seconds: int = SMOKE_S) -> None:
    """Train in the image for some seconds on this machine; an error where it writes no checkpoint."""
    flags = Flags.of(session.settings).here().arguments(session.settings.container)
    session.say(f"trying {name} out on this machine")
    command = [
        os.environ.get("DOCKER", "docker"),
        "run",
        "--rm",
        "--network=none",
        *flags,
        name,
        "smoke",
        str(seconds),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if answer.returncode:
        last = answer.stderr.strip().splitlines()[-LAST_LINES:]
        raise RedoxError(
            f"{name} does not train on this machine: {' | '.join(last) or f'exit code {answer.returncode}'}",
            hint="make image-test tries more of it; nothing was sent to the host",
        )


def deliver(session: Session, name: str) -> str:
    """Bring an image to where the settings say, and return the name by which the host knows it."""
    if session.settings.container.image_delivery == "repository":
        return _push(session, name)
    return _load(session, name)


def _current(session: Session, name: str) -> tuple[str, str]:
    """Return repository and tag of what machines run by default."""
    return name.rpartition(":")[0], session.settings.container.current_tag


def _load(session: Session, name: str) -> str:
    """Load an image into the host's engine unless it is there, and tag it as the current one."""
    from docker.client import DockerClient  # noqa: PLC0415
    from docker.errors import ImageNotFound  # noqa: PLC0415

    host, here = session.on_host(), _engine()
    image = here.images.get(name)
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
        socket = Path(folder) / "docker.sock"
        with host.forward(session, f"{socket}:{SOCKET}"):
            there = DockerClient(base_url=f"unix://{socket}", timeout=ENGINE_TIMEOUT_S)
            try:
                same = there.images.get(name).id == image.id
            except ImageNotFound:
                same = False
            if same:
                session.say(f"{name} is already on {session.host}")
            else:
                session.say(f"loading {name} into the engine of {session.host}")
                with transfer_progress(f"sending {name}") as progress:
                    there.images.load(_packed(image.save(named=True), int(image.attrs["Size"]), progress, name))
            there.images.get(name).tag(*_current(session, name))
    return name


def _packed(content: Iterable[bytes], total: int, progress: Progress, name: str) -> Iterator[bytes]:
    """Pack what is sent: lines are slow, and an engine unpacks by itself."""
    packer, done = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16), 0
    for chunk in content:
        done += len(chunk)
        progress(f"sending {name}", min(done, total), total)
        if packed := packer.compress(chunk):
            yield packed
    progress(f"loading {name}")
    yield packer.flush()


def _push(session: Session, name: str) -> str:
    """Push an image to the deployment's repository, by its commit and as the current one."""
    repository = session.deployed.repository
    (answer,) = session.client("ecr").get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
    engine = _engine()
    image, tag = engine.images.get(name), name.rpartition(":")[2]
    for each in (tag, session.settings.container.current_tag):
        image.tag(repository, each)
        session.say(f"pushing {repository}:{each}")
        login = {"username": user, "password": password}
        for line in engine.images.push(repository, tag=each, auth_config=login, stream=True, decode=True):
            if "error" in line:
                raise RedoxError(f"{repository}:{each} cannot be pushed: {line['error']}", hint="try again")
    return f"{repository}:{tag}"
