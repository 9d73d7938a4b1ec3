"""`redox train`: train a policy that places enzymes."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.options import RunFolder, report_repairs, takes_config, takes_task
from redox_balancer.impala.config import TrainConfig
from redox_balancer.resources import require_address_space
from redox_balancer.terminal.options import AsJson, run_folder

EXAMPLE = "Example: redox train --timesteps 150000 --num-actors 2 --checkpoint-dir experiments/first --resume auto"

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
        str | None, typer.Option(help="'auto' continues the run from its newest checkpoint, a path from that one.")
    ] = None,
    supervise: Annotated[
        bool, typer.Option("--supervise", help="Train in a child process that is restarted when it crashes.")
    ] = False,
    max_restarts: Annotated[
        int, typer.Option(help="With --supervise: restarts within an hour after which it gives up.", min=0)
    ] = 10,
    exact_check: Annotated[
        bool,
        typer.Option(
            "--exact-check", help="Also solve the plain linear programs; stop if a value differs by more than 1e-8."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a policy that places enzymes (IMPALA: actors collect rollouts, a learner updates the policy).

    Checkpoints, metrics and settings go to the folder of the run. Ctrl-C saves and exits; `--resume auto` continues.
    """
    require_address_space("a training with actors" if config.num_actors else "a training")
    if supervise:
        raise typer.Exit(_supervise(checkpoint_dir or run_folder(task.network().id), max_restarts))
    from redox_balancer.designer.trained_run import fitted, resumed  # noqa: PLC0415 - loads torch
    from redox_balancer.runs.progress import open_progress  # noqa: PLC0415
    from redox_balancer.runs.trainer import train as run_training  # noqa: PLC0415 - loads torch and Ray

    if resume is not None:
        folder = checkpoint_dir or run_folder(task.network().id)
        task, config = resumed(task, config, folder if resume == "auto" else Path(resume))
    config = fitted(task, config)
    environments = task.environments(exact_check=exact_check)
    _report_excluded(environments.space)
    folder = checkpoint_dir or run_folder(environments.space.network.id)
    result = run_training(
        config, environments, folder, resume=resume, progress=open_progress(), about=task.model_dump(mode="json")
    )
    if not result.finished:
        typer.echo("the same command with --resume auto continues", err=True)
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


def _report_excluded(space: "DesignSpace") -> None:
    """Report on stderr how many placements of the library fit the model, and which entries are faulty."""
    report_repairs(space.network.repairs)
    for entry in space.excluded:
        if entry.at_fault:
            typer.echo(f"{entry.id} is excluded: {entry.detail}", err=True)
    offered = len(space.placements)
    typer.echo(
        f"{offered} of the library's {offered + len(space.excluded)} placements are offered; redox enzymes lists "
        "the others with their reasons",
        err=True,
    )


def _supervise(folder: Path, max_restarts: int) -> int:
    """Run this command without `--supervise` in a child process, and return its exit code."""
    from redox_balancer.runs import checkpoint  # noqa: PLC0415
    from redox_balancer.runs.supervisor import supervise  # noqa: PLC0415

    def command(restart: bool) -> list[str]:  # noqa: FBT001 - the supervisor calls it
        # Before its first checkpoint a run starts as the first process did: new, or from another run's checkpoint.
        resumes = restart and bool(checkpoint.steps(folder))
        return [sys.executable, "-m", "redox_balancer", *child_arguments(sys.argv[1:], resumes=resumes)]

    return supervise(
        command, max_restarts=max_restarts, report=lambda text: typer.echo(f"supervisor: {text}", err=True)
    )


def child_arguments(arguments: Sequence[str], *, resumes: bool) -> list[str]:
    """Return the arguments of `redox` for a child process; one that resumes gets `--resume auto`."""
    dropped = {"--max-restarts"} | ({"--resume"} if resumes else set())
    left: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in dropped:
            next(rest, None)
        elif argument != "--supervise" and argument.split("=")[0] not in dropped:
            left.append(argument)
    return [*left, "--resume", "auto"] if resumes else left
