"""`make dash`: TensorBoard and Ray's dashboard of the host, in a browser here."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from typing import Annotated

import typer

from ops.remote import training
from ops.session import Answer, Session
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: python -m ops dash --no-browser"
ASK_RAY = "sudo docker exec redox-trainer ray get-auth-token"  # prints it, which a log should not have by itself


def dash(
    session: Session,
    *,
    browser: Annotated[bool, typer.Option(help="Open the pages here.")] = True,
) -> Answer | None:
    """Forward TensorBoard and Ray's dashboard from the host to this machine, until Ctrl-C.

    TensorBoard runs in a container of its own on the host, beside the trainer, and ends by itself after half a day.
    Ray's dashboard is the trainer's, so it is there while one runs.
    """
    ports, container = session.settings.ports, session.settings.container
    seen = training.look(session, "")
    there = {"TensorBoard": ports.tensorboard, "Ray": ports.dashboard}
    asked = {"image": seen.image, "runs": container.experiments, "port": str(ports.tensorboard)}
    if not session.change(
        f"run TensorBoard on {session.host} and forward ports {', '.join(map(str, there.values()))}"
    ):
        return Answer({"pages": {}})
    session.on_host().python("board", asked)
    here = {name: _free(port) for name, port in there.items()}
    pages = {name: f"http://127.0.0.1:{port}/" for name, port in here.items()}
    forwards = [f"{here[name]}:127.0.0.1:{port}" for name, port in there.items()]
    with session.on_host().forward(session, *forwards) as process:
        for name, page in pages.items():
            session.say(f"{name}: {page}")
        if seen.at_work:
            session.say(f"Ray asks for its token: python -m ops shell -- {ASK_RAY}")
        else:
            session.say("no run is at work, so Ray has no dashboard now")
        if browser and not _open(pages["TensorBoard"]):
            session.say("there is no browser here: open them yourself")
        session.say("Ctrl-C ends it")
        try:
            process.wait()
        except KeyboardInterrupt:
            return Answer({"pages": pages})
    raise RedoxError(f"the line to {session.host} broke off", hint="the same command again opens another")


def _free(port: int) -> int:
    """Return the port itself where nobody has it here, else one that is free."""
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
    """Open a page in a browser; False where there is none with a window."""
    windows = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(windows) and webbrowser.open(page)
