"""`make dash`: TensorBoard and Ray's dashboard of the host in a local browser."""

import os
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
        request = {"image": state.image, "runs": container.experiments, "port": str(ports.tensorboard)}
        host.script("tensorboard", request)
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
