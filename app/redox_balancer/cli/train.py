"""`redox train`: train a policy that places enzymes."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from redox_balancer.cli.options import (
    PANEL,
    AsJson,
    Biomass,
    Budget,
    Conditions,
    ConditionsFile,
    Enzymes,
    MediumName,
    Model,
    Placements,
    Saturation,
    names,
)
from redox_balancer.learning.config import TrainConfig, help_of

EXAMPLE = "Example: redox train --timesteps 400000 --num-actors 2 --checkpoint-dir experiments/first --resume auto"

RUNS = Path("experiments")


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every setting of `TrainConfig`, in place of its `**settings`."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            setting.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=list(setting.default) if isinstance(setting.default, tuple) else setting.default,
            annotation=Annotated[
                list[int] if isinstance(setting.default, tuple) else type(setting.default),
                typer.Option(help=help_of(setting.name), rich_help_panel="Learning"),
            ],
        )
        for setting in fields(TrainConfig)
    ]
    # typer reads the signature of a command; there is no other way to hand it options made from data.
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return command


@_with_settings
def train(
    *,
    model: Model = None,
    medium: MediumName = "model",
    biomass: Biomass = None,
    enzymes: Enzymes = None,
    conditions: Conditions = None,
    conditions_file: ConditionsFile = None,
    sampling: Annotated[
        Literal["named", "range"],
        typer.Option(help="Limits of a condition: its own figures or its ranges.", rich_help_panel=PANEL),
    ] = "named",
    placements: Placements = 2,
    budget: Budget = 1.5e-3,
    saturation: Saturation = 0.05,
    reward: Annotated[
        Literal["capacity", "sink-flux"],
        typer.Option(help="What a construct is paid for.", rich_help_panel=PANEL),
    ] = "capacity",
    checkpoint_dir: Annotated[
        Path | None, typer.Option(help="Folder of the run; experiments/<model> if not given.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="'auto' goes on where the run stopped, a path goes on from that checkpoint.")
    ] = None,
    as_json: AsJson = False,
    **settings: Any,
) -> None:
    """Train a policy to place enzymes, with actors that explore and a learner that learns from them.

    Checkpoints, metrics and settings go to the run's folder. Ctrl-C saves and ends; `--resume auto` goes on.
    """
    from redox_balancer.design.task import Task  # noqa: PLC0415 - loads the solver
    from redox_balancer.learning.progress import open_progress  # noqa: PLC0415
    from redox_balancer.learning.trainer import train as run_training  # noqa: PLC0415 - loads torch and Ray

    config = TrainConfig(**settings)
    task = Task(
        model=model.resolve() if model else None,
        medium=medium,
        biomass=biomass,
        enzymes=enzymes.resolve() if enzymes else None,
        conditions=names(conditions),
        conditions_file=conditions_file.resolve() if conditions_file else None,
        sampling=sampling,
        placements=placements,
        budget=budget,
        saturation=saturation,
        reward=reward,
    )
    environments = task.environments()
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
