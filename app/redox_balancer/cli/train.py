"""`redox train`: train a policy that places enzymes."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.options import RunFolder, takes_config, takes_task
from redox_balancer.impala.config import TrainConfig
from redox_balancer.terminal.options import RUNS, AsJson

EXAMPLE = "Example: redox train --timesteps 2000000 --num-actors 2 --checkpoint-dir experiments/first --resume auto"

if TYPE_CHECKING:
    from redox_balancer.design.space import DesignSpace
    from redox_balancer.design.task import Task


@takes_config()
@takes_task
def train(
    *,
    task: "Task",
    config: TrainConfig,
    checkpoint_dir: RunFolder = None,
    resume: Annotated[
        str | None, typer.Option(help="'auto' goes on where the run stopped, a path goes on from that checkpoint.")
    ] = None,
    supervise: Annotated[
        bool, typer.Option("--supervise", help="Train in a child process that is started again when it crashes.")
    ] = False,
    max_restarts: Annotated[
        int, typer.Option(help="With --supervise: restarts an hour may see before it gives up.", min=0)
    ] = 10,
    exact_check: Annotated[
        bool,
        typer.Option(
            "--exact-check", help="Solve the plain linear programs as well; stop where a value differs by over 1e-8."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a policy to place enzymes, with actors that explore and a learner that learns from them.

    Checkpoints, metrics and settings go to the run's folder. Ctrl-C saves and ends; `--resume auto` goes on.
    """
    if supervise:
        raise typer.Exit(_supervise(checkpoint_dir or RUNS / task.network().id, max_restarts))
    from redox_balancer.runs.progress import open_progress  # noqa: PLC0415
    from redox_balancer.runs.trainer import train as run_training  # noqa: PLC0415 - loads torch and Ray

    environments = task.environments(exact_check=exact_check)
    _tell_left_out(environments.space)
    folder = checkpoint_dir or RUNS / environments.space.network.id
    result = run_training(
        config,
        environments,
        folder,
        resume=None if resume is None else "auto" if resume == "auto" else Path(resume),
        progress=open_progress(),
        about=task.model_dump(mode="json"),
    )
    if as_json:
        answer = {
            "run": str(folder),
            "steps": result.steps,
            "updates": result.updates,
            "steps_per_s": result.steps_per_s,
            "checkpoint": str(result.checkpoint),
            "finished": result.finished,
            "last": {name: figure for name, figure in result.last_row.items() if not math.isnan(figure)},
        }
        typer.echo(json.dumps(answer))


def _tell_left_out(space: "DesignSpace") -> None:
    """Say on stderr how much of the library this model takes, and what of the rest is at fault."""
    for entry in space.excluded:
        if entry.at_fault:
            typer.echo(f"{entry.id} is left out: {entry.detail}", err=True)
    offered = len(space.placements)
    typer.echo(
        f"{offered} of the library's {offered + len(space.excluded)} placements are offered; redox enzymes says why "
        "the others are not",
        err=True,
    )


def _supervise(folder: Path, max_restarts: int) -> int:
    """Run this very command without `--supervise` as a child, and return its exit code."""
    from redox_balancer.runs import checkpoint  # noqa: PLC0415
    from redox_balancer.runs.supervisor import supervise  # noqa: PLC0415

    def command(restart: bool) -> list[str]:  # noqa: FBT001 - the supervisor calls it
        # Before its first checkpoint a run begins as it was told to: anew, or from another run's checkpoint.
        goes_on = restart and bool(checkpoint.steps(folder))
        return [sys.executable, "-m", "redox_balancer", *child_arguments(sys.argv[1:], goes_on=goes_on)]

    return supervise(
        command, max_restarts=max_restarts, report=lambda text: typer.echo(f"supervisor: {text}", err=True)
    )


def child_arguments(arguments: Sequence[str], *, goes_on: bool) -> list[str]:
    """Return the arguments of `redox` without the supervisor's own; one that goes on gets `--resume auto`."""
    dropped = {"--max-restarts"} | ({"--resume"} if goes_on else set())
    left: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in dropped:
            next(rest, None)
        elif argument != "--supervise" and argument.split("=")[0] not in dropped:
            left.append(argument)
    return [*left, "--resume", "auto"] if goes_on else left
