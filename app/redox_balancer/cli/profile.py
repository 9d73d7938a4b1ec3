"""`redox profile`: flame graphs of the memory or time of an actor."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from redox_balancer.cli.options import takes_config, takes_task, writable_file
from redox_balancer.errors import RedoxError
from redox_balancer.files import written_atomically
from redox_balancer.impala.config import TrainConfig
from redox_balancer.resources import require_address_space
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.tables import notes, out

if TYPE_CHECKING:
    from redox_balancer.design.task import Task

EXAMPLE = "Example: redox profile --seconds 10 --output flame.html"


# The settings that change the work of an actor.
@takes_config("envs_per_actor", "rollout_length", "hidden_sizes", "seed", "object_store_bytes")
@takes_task
def profile(
    *,
    task: "Task",
    config: TrainConfig,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Path of the flame graph; flame.html (memory) or flame.svg (time) by default.",
            callback=writable_file,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Duration of the profile, in seconds.")] = 10.0,
    kind: Annotated[
        Literal["memory", "time"], typer.Option(help="memory: memray inside the actor; time: py-spy, where allowed.")
    ] = "memory",
    leaks: Annotated[
        bool, typer.Option("--leaks", help="With --kind memory: only allocations that were not freed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draw a flame graph of a live actor with the environments and settings of a training."""
    from redox_balancer.bench.profiling import profile_memory, profile_time  # noqa: PLC0415 - loads Ray

    require_address_space("a training with actors")
    if leaks and kind != "memory":
        raise RedoxError("--leaks needs a memory profile", hint="use --kind memory --leaks")
    target = output or Path("flame.html" if kind == "memory" else "flame.svg")
    environments = task.environments()
    with notes().status(f"profiling an actor for {seconds:g} s"), written_atomically(target) as temporary:
        if kind == "memory":
            steps = profile_memory(config, environments, seconds, temporary, leaks=leaks)
        else:
            steps = profile_time(config, environments, seconds, temporary)
    if as_json:
        typer.echo(json.dumps({"output": str(target), "kind": kind, "seconds": seconds, "steps": steps}))
    else:
        out().print(f"{target}: {kind} of an actor over {steps:,} environment steps")
