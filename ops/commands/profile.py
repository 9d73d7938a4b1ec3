"""`make profile`: where an actor on the host uses memory or time."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from infra.container import Flags
from ops.remote import training
from ops.remote.host import RemoteHost
from ops.session import CommandResult, Session
from redox_balancer.files import write_atomically

EXAMPLE = "Example: python -m ops profile --kind time --seconds 20 --output flame.svg"

# py-spy reads the memory of a process that is not its child; memray runs within the actor and needs no permission.
SWITCHES: dict[str, dict[str, str]] = {"time": {"kernel.yama.ptrace_scope": "0"}, "memory": {}}
MARGIN_S = 180.0  # for Ray to start, and for the drawing


def profile(
    session: Session,
    *,
    options: Annotated[
        list[str] | None, typer.Argument(help="After --: further options of redox profile.", metavar="OPTIONS")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File of the flame graph; flame.html (memory) or flame.svg (time) by default.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Duration of the measurement.")] = 10.0,
    kind: Annotated[Literal["memory", "time"], typer.Option(help="memory: memray; time: py-spy.")] = "memory",
) -> CommandResult:
    """Draw a flame graph of an actor on the host, in a container of its own beside the run.

    The kernel switches that this needs are set meanwhile and always restored.
    """
    container = session.settings.container
    target = output or Path("flame.html" if kind == "memory" else "flame.svg")
    folder = f"{container.data}/profiles"
    path = f"{folder}/flame{target.suffix}"
    data = {"output": str(target), "kind": kind, "seconds": seconds}
    with RemoteHost(session) as host:
        image = training.inspect(host).image
        flags = [*Flags.of(session.settings).arguments(container, data=container.data)]
        words = ["profile", "--kind", kind, "--seconds", f"{seconds:g}", "--output", path, *(options or [])]
        request = {
            "switches": SWITCHES[kind],
            "command": ["docker", "run", "--rm", "--pull=never", *flags, image, *words],
            "folder": folder,
            "uid": container.uid,
        }
        switches = "".join(f" with {name}={value}" for name, value in SWITCHES[kind].items())
        if not session.announce(f"profile an actor's {kind} for {seconds:g} s on {host.name}{switches}"):
            return CommandResult(data)
        host.script("profile", request, timeout_s=seconds + MARGIN_S)
        write_atomically(target, host.read(f"cat {path}"))
    return CommandResult(data, f"{target}: {kind} of an actor on the host")
