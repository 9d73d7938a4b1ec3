"""Options that several subcommands share, written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from redox_balancer.impala.config import TrainConfig, help_of
from redox_balancer.terminal.options import with_options

PANEL = "Cell and constructs"
Model = Annotated[
    Path | None,
    typer.Option(
        help="Model file (JSON, SBML, MAT, YAML, also .gz); the embedded core if not given.", rich_help_panel=PANEL
    ),
]
RunFolder = Annotated[Path | None, typer.Option(help="Folder of the run; experiments/<model> if not given.")]
Enzymes = Annotated[
    Path | None, typer.Option(help="Enzyme library (TOML); the package's if not given.", rich_help_panel=PANEL)
]


def _parameter(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _task_option(name: str, kind: Any, default: Any, text: str, **limits: Any) -> inspect.Parameter:
    return _parameter(name, Annotated[kind, typer.Option(help=text, rich_help_panel=PANEL, **limits)], default)


TASK_OPTIONS = (
    _parameter("model", Model),
    _task_option("medium", str, "model", "Medium, or 'model' for the bounds the model comes with."),
    _task_option("biomass", str | None, None, "Reaction that is growth; the model's objective if not given."),
    _parameter("enzymes", Enzymes),
    _task_option(
        "conditions",
        str | None,
        None,
        "Ids of conditions, separated by commas, a+b for two at once; all that fit if not given.",
    ),
    _task_option("conditions_file", Path | None, None, "File of conditions (TOML); the package's if not given."),
    _task_option(
        "sampling",
        Literal["named", "range", "mixed"],
        "named",
        "Limits of a condition: its own figures, drawn from its ranges, or of several conditions at once.",
    ),
    _task_option("placements", int, 2, "Placements of a construct at most (K).", min=1, max=10),
    _task_option(
        "candidates",
        Literal["distinct", "all"],
        "distinct",
        "Enzymes to choose from; distinct leaves out what another does with less protein.",
    ),
    _task_option("budget", float, 1.5e-3, "Protein budget of soluble enzymes, as a share of the proteome."),
    _task_option("membrane_budget", float, 5e-4, "Protein budget of membrane proteins, likewise."),
    _task_option("saturation", float, 0.05, "Share of kcat at which an enzyme without a known KM runs."),
    _task_option(
        "reward",
        Literal["capacity", "guaranteed", "sink-flux"],
        "capacity",
        "What a construct is paid for: what it can take, or what it takes in any case while the cell grows best.",
    ),
    _task_option("h2o2_price", float, 1.0, "NAD(P)H taken off for each H2O2 that a construct makes and leaves."),
    _task_option(
        "parameter_samples",
        int,
        0,
        "Average the value over so many sampled sets of the library's uncertain figures (64 is a good number).",
        min=0,
        max=1000,
    ),
    _task_option(
        "hidden_condition",
        bool,
        default=False,
        text="Do not tell the condition: it shows in growth and capacity after each placement only.",
    ),
)


def takes_task_without(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that make a `Task`, but for these, in place of its argument `task`."""
    options = [option for option in TASK_OPTIONS if option.name not in names]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            from redox_balancer.design.task import task_from  # noqa: PLC0415 - loads the solver

            chosen = {option.name: given.pop(option.name) for option in options}
            conditions = chosen.get("conditions")
            if conditions is not None:
                chosen["conditions"] = tuple(name.strip() for name in conditions.split(",") if name.strip())
            command(task=task_from(chosen), **given)

        return with_options(run, options, instead_of="task")

    return decorate


takes_task = takes_task_without()


SETTINGS = [
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


def takes_config(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these settings of `TrainConfig` (all if none is named), not `config`."""
    settings = [setting for setting in SETTINGS if not names or setting.name in names]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(config=TrainConfig(**{option.name: given.pop(option.name) for option in settings}), **given)

        return with_options(run, settings, instead_of="config")

    return decorate
