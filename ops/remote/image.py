"""The training image: built and tried out on this machine, then pushed to the repository or sent to the host."""

import base64
import os
import shlex
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.container import Flags
from infra.settings import ROOT
from ops.remote import cloud_build
from ops.remote.ssh import socket_folder
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress
from redox_balancer.terminal.progress import transfer_progress

if TYPE_CHECKING:
    from ops.remote.host import RemoteHost

ENGINE_TIMEOUT_S = 3_600  # loading an image of gigabytes over a slow line
SMOKE_S = 30
LAST_LINES = 3
SOCKET = "/var/run/docker.sock"


def _engine() -> Any:
    """Return a client of this machine's engine."""
    from docker.client import DockerClient  # noqa: PLC0415 - needed only to send an image

    return DockerClient.from_env(timeout=ENGINE_TIMEOUT_S)


def name_of_clone() -> str:
    """Return the name of the image that this clone builds; its tag names the commit, or the content of changes."""
    return subprocess.check_output(["make", "--silent", "image-name"], cwd=ROOT, text=True).strip()  # noqa: S607


def build(session: Session) -> str:
    """Build the image of this clone, as `make image` does, try it out, and return its name."""
    answer = subprocess.run(["make", "image"], cwd=ROOT, stdout=sys.stderr, check=False)  # noqa: S607
    if answer.returncode:
        raise RedoxError("the image cannot be built; see the output of make image above", hint="fix it and try again")
    name = name_of_clone()
    smoke_test(session, name)
    return name


def smoke_test(session: Session, name: str, *, seconds: int = SMOKE_S) -> None:
    """Train in the image for some seconds on this machine; a RedoxError if it writes no checkpoint."""
    flags = Flags.of(session.settings).here().arguments(session.settings.container)
    session.note(f"trying {name} out on this machine")
    docker = os.environ.get("DOCKER", "docker")
    command = [docker, "run", "--rm", "--network=none", *flags, name, "smoke", str(seconds)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - built here
    if answer.returncode:
        last = answer.stderr.strip().splitlines()[-LAST_LINES:]
        raise RedoxError(
            f"{name} does not train on this machine: {' | '.join(last) or f'exit code {answer.returncode}'}",
            hint="make image-test runs more tests of it; nothing was sent to the host",
        )


def require_on_host(host: "RemoteHost", name: str) -> None:
    """Raise a RedoxError if the host's engine does not have an image."""
    host.run(shlex.join(["sudo", "-n", "docker", "image", "inspect", "--format", "{{.Id}}", name]), reads=True)


def load(host: "RemoteHost", name: str) -> str:
    """Load an image into the host's engine unless it is there, tag it as the current one, and return its name.

    Through Systems Manager at less than 1 MB/s, while the host costs money.
    """
    from docker.client import DockerClient  # noqa: PLC0415
    from docker.errors import ImageNotFound  # noqa: PLC0415

    session, local = host.session, _engine()
    image = local.images.get(name)
    with socket_folder() as folder:
        socket = Path(folder) / "docker.sock"
        with host.forward(f"{socket}:{SOCKET}"):
            remote = DockerClient(base_url=f"unix://{socket}", timeout=ENGINE_TIMEOUT_S)
            try:
                same = remote.images.get(name).id == image.id
            except ImageNotFound:
                same = False
            if same:
                session.note(f"{name} is already on {host.name}")
            else:
                session.note(f"loading {name} into the engine of {host.name}")
                with transfer_progress(f"sending {name}") as progress:
                    content, size = image.save(named=True), int(image.attrs["Size"])
                    remote.images.load(_compress(content, size, progress, name))
            remote.images.get(name).tag(name.rpartition(":")[0], session.settings.container.current_tag)
    return name


def _compress(content: Iterable[bytes], total: int, progress: Progress, name: str) -> Iterator[bytes]:
    """Compress an image with gzip; an engine unpacks it by itself."""
    compressor, done = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16), 0
    for chunk in content:
        done += len(chunk)
        progress(f"sending {name}", min(done, total), total)
        if packed := compressor.compress(chunk):
            yield packed
    progress(f"loading {name}")
    yield compressor.flush()


def provide(session: Session) -> str:
    """Return the image of this clone in the repository; it is built, tried out and pushed unless it is there.

    Tags are immutable but for the current one, which moves: a second push of a tag would be refused.
    """
    repository, tag = session.deployed.repository, name_of_clone().rpartition(":")[2]
    ecr, name = session.client("ecr"), repository.partition("/")[2]
    if not (found := _pushed(ecr, name, tag)):
        if session.settings.container.image_build == "cloud":
            cloud_build.build(session)
        else:
            _push(session, ecr, build(session))
        found = _pushed(ecr, name, tag)
    else:
        session.note(f"{repository}:{tag} is there already")
    (image,), current = found, session.settings.container.current_tag
    manifest = {"imageManifest": image["imageManifest"], "imageManifestMediaType": image["imageManifestMediaType"]}
    with suppress(ecr.exceptions.ImageAlreadyExistsException):  # it has this tag
        ecr.put_image(repositoryName=name, imageTag=current, **manifest)
    return f"{repository}:{tag}"


def _pushed(ecr: Any, repository: str, tag: str) -> list[dict[str, Any]]:
    """Return the image with a tag in a repository, none if there is none."""
    answer: dict[str, Any] = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
    return list(answer["images"])


def _push(session: Session, ecr: Any, name: str) -> None:
    repository, tag = session.deployed.repository, name.rpartition(":")[2]
    (answer,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
    engine, login = _engine(), {"username": user, "password": password}
    engine.images.get(name).tag(repository, tag)
    session.note(f"pushing {repository}:{tag}")
    for line in engine.images.push(repository, tag=tag, auth_config=login, stream=True, decode=True):
        if "error" in line:
            raise RedoxError(
                f"{repository}:{tag} cannot be pushed: {line['error']}",
                hint='container.image_delivery = "host" in deploy.toml sends images through SSH, slowly',
            )
