"""`make dash`: TensorBoard and Ray's dashboard of the host in a local browser."""

import os
import shlex
import socket
import sys
import webbrowser
from typing import Annotated

import typer

from infra.machine import contract
from ops.remote import training
from ops.remote.host import RemoteHost
from ops.session import CommandResult, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops dash --no-browser"
BOARD, BOARD_LIFETIME = "redox-tensorboard", "12h"
GET_TOKEN = f"sudo docker exec {contract.TRAINER} ray get-auth-token"  # not run here: a token belongs in no log


def dash(
    session: Session, *, browser: Annotated[bool, typer.Option(help="Open the pages in a browser.")] = True
) -> CommandResult | None:
    """Forward TensorBoard and Ray's dashboard from the host to this machine until Ctrl-C.

    TensorBoard runs in a container of its own beside the trainer and stops by itself after twelve hours. Ray's
    dashboard is part of the trainer, so it is available while a run is training.
    """
    ports, container = session.settings.ports, session.settings.container
    remote = {"TensorBoard": ports.tensorboard, "Ray": ports.dashboard}
    with RemoteHost(session) as host:
        state = training.inspect(host)
        shown = ", ".join(map(str, remote.values()))
        if not session.announce(f"run TensorBoard on {host.name} and forward ports {shown}"):
            return CommandResult({"pages": {}})
        host.run(_tensorboard(state.image, container.experiments, ports.tensorboard), shown="TensorBoard's container")
        local = {name: _free_port(port) for name, port in remote.items()}
        pages = {name: f"http://127.0.0.1:{port}/" for name, port in local.items()}
        forwards = [f"{local[name]}:127.0.0.1:{port}" for name, port in remote.items()]
        with host.forward(*forwards) as process:
            for name, page in pages.items():
                session.note(f"{name}: {page}")
            if state.unit_active:
                session.note(f"Ray asks for a token: python -m ops shell -- {GET_TOKEN}")
            else:
                session.note("no run is training, so Ray's dashboard is not available")
            if browser and not _open(pages["TensorBoard"]):
                session.note("no browser found: open the pages yourself")
            session.note("Ctrl-C ends the forwarding")
            try:
                process.wait()
            except KeyboardInterrupt:
                return CommandResult({"pages": pages})
        raise RedoxError(f"the connection to {host.name} was lost", hint="repeat the command to connect again")


def _tensorboard(image: str, runs: str, port: int) -> str:
    """Return the command that runs TensorBoard in a container that stops by itself, unless one is running."""
    isolated = ["--read-only", "--tmpfs=/tmp:size=100m", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    mounts = [f"--volume={runs}:{runs}:ro", f"--publish=127.0.0.1:{port}:{port}"]
    options = ["--detach", "--rm", "--pull=never", "--name", BOARD, *isolated, *mounts, "--entrypoint=tini"]
    within = "0.0.0.0"  # noqa: S104 - within the container
    program = ["timeout", BOARD_LIFETIME, "tensorboard", "--logdir", runs, "--host", within, "--port", str(port)]
    start = shlex.join(["sudo", "-n", "docker", "run", *options, image, "--", *program])
    # What is neither running nor gone was left by a loss of power.
    return (
        f"sudo -n docker top {BOARD} >/dev/null 2>&1 || "
        f"{{ sudo -n docker rm --force {BOARD} >/dev/null 2>&1; {start}; }}"
    )


def _free_port(port: int) -> int:
    """Return this local port, or a free one if it is in use."""
    for wanted in (port, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            found: int = trial.getsockname()[1]
            return found
    raise RedoxError("this machine has no free port")


def _open(page: str) -> bool:
    """Open a page in a browser; False if there is no browser or no display."""
    display = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(display) and webbrowser.open(page)
