"""`make profile`: where an actor's memory or time goes, on the host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from infra.container import Flags
from ops.remote import training
from ops.session import Answer, Session
from redox_balancer.files import write_atomically

EXAMPLE = "Example: python -m ops profile --kind time --seconds 20 --output flame.svg"

# py-spy reads the memory of a process that is not its child; memray needs no leave, as it is in the actor.
SWITCHES: dict[str, dict[str, str]] = {"time": {"kernel.yama.ptrace_scope": "0"}, "memory": {}}
MARGIN_S = 180.0  # for Ray to start, and for the drawing


def profile(
    session: Session,
    *,
    options: Annotated[
        list[str] | None, typer.Argument(help="After --: further options of redox profile.", metavar="OPTIONS")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The flame graph here; flame.html (memory) or flame.svg (time) if not given.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long to look at the actor.")] = 10.0,
    kind: Annotated[Literal["memory", "time"], typer.Option(help="memory: memray; time: py-spy.")] = "memory",
) -> Answer:
    """Draw a flame graph of an actor on the host, in a container of its own beside the run.

    The kernel switches that this takes are set for as long, and set back whatever happens.
    """
    container = session.settings.container
    target = output or Path("flame.html" if kind == "memory" else "flame.svg")
    seen = training.look(session, "")
    folder = f"{container.data}/profiles"
    path = f"{folder}/flame{target.suffix}"
    flags = [*Flags.of(session.settings).arguments(container, data=container.data)]
    words = ["profile", "--kind", kind, "--seconds", f"{seconds:g}", "--output", path, *(options or [])]
    asked = {
        "switches": SWITCHES[kind],
        "command": ["docker", "run", "--rm", "--pull=never", *flags, seen.image, *words],
        "folder": folder,
        "uid": container.uid,
    }
    switched = "".join(f" with {name}={value}" for name, value in SWITCHES[kind].items())
    if not session.change(f"profile an actor's {kind} for {seconds:g} s on {session.host}{switched}"):
        return Answer({"output": str(target), "kind": kind, "seconds": seconds})
    session.on_host().python("profile", asked, timeout_s=seconds + MARGIN_S)
    write_atomically(target, session.on_host().get(path))
    return Answer({"output": str(target), "kind": kind, "seconds": seconds}, f"{target}: {kind} of an actor there")
