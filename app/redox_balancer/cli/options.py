"""The options of a task and of a training, made from the fields of `TaskSettings` and `TrainConfig`."""

import functools
import inspect
import textwrap
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from annotated_types import Ge, Le

from redox_balancer.design.settings import RENAMED_FIELDS, TaskSettings
from redox_balancer.errors import RedoxError
from redox_balancer.files import require_writable, write_atomically
from redox_balancer.impala.config import TrainConfig
from redox_balancer.settings import SettingsModel
from redox_balancer.terminal.options import with_options
from redox_balancer.terminal.tables import notes

if TYPE_CHECKING:
    from redox_balancer.design.task import Task
    from redox_balancer.drawing import Drawing

RENAMED = RENAMED_FIELDS | {"save_interval": "save_interval_s"}
"""Options by their names in version 0.1 or in the predecessor of this project: hidden, accepted for one version."""

RunFolder = Annotated[
    Path | None, typer.Option(help="Folder of the run; experiments/<model> by default.", show_default=False)
]
PolicyRun = Annotated[
    Path | None, typer.Argument(help="Folder of a training run, whose policy the search starts from.")
]
ConditionName = Annotated[str, typer.Option(help="Id of a condition; a+b for two at once.")]
StartSeed = Annotated[int, typer.Option(min=0, help="Seed of the constructs that the search starts from.")]

# Cell lines are given one at a time.
_FLAGS = {"cells": "--cell", "learner_cells": "--cells"}


def flag(name: str) -> str:
    """The option of a setting."""
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def _parameter(name: str, kind: Any, default: Any, *flags: str, **option: Any) -> inspect.Parameter:
    chosen = typer.Option(*flags, **option)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, chosen]
    )


# What is one text for several ids, a file for a model, or a list.
_KINDS: dict[str, Any] = dict.fromkeys(("conditions", "held_ratios", "concentrations", "without_enzymes"), str | None)
_KINDS |= {"model": Path | None, "cells": list[str] | None, "hidden_sizes": list[int]}


def _options_of(settings: type[SettingsModel], panel: str) -> tuple[inspect.Parameter, ...]:
    """Options of settings: same defaults, same inclusive limits, their descriptions as help."""
    made = []
    for name, field in settings.model_fields.items():
        limits: dict[str, Any] = {}
        for limit in field.metadata:  # exclusive limits are checked by the settings themselves
            if isinstance(limit, Ge):
                limits["min"] = limit.ge
            if isinstance(limit, Le):
                limits["max"] = limit.le
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        flags = [flag(name)] if name in _FLAGS else []
        text = {"help": field.description, "rich_help_panel": panel}
        made.append(_parameter(name, _KINDS.get(name, field.annotation), default, *flags, **text, **limits))
    return tuple(made)


TASK_OPTIONS = _options_of(TaskSettings, "Cell and constructs")
CONFIG_OPTIONS = _options_of(TrainConfig, "Training")

_TYPES = {option.name: option.annotation for option in TASK_OPTIONS}
Model, Medium, Biomass, Enzymes = (_TYPES[name] for name in ("model", "medium", "biomass", "enzymes"))
CellsFile, AsPublished, Curation = (_TYPES[name] for name in ("cells_file", "as_published", "curation"))
HeldRatios = _TYPES["held_ratios"]


def _drawable(file: Path | None) -> Path | None:
    if file is not None and file.suffix not in (".svg", ".png"):
        raise RedoxError(f"cannot draw {file.name}", hint="end its name in .svg or .png", settings=("figure",))
    return writable_file(file)


def writable_file(file: Path | None) -> Path | None:
    """The file itself; a RedoxError where it cannot be written, which is better known before the work."""
    if file is not None:
        require_writable(file)
    return file


def writable_folder(folder: Path | None) -> Path | None:
    """The same for a folder."""
    if folder is not None:
        require_writable(folder, folder=True)
    return folder


Figure = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw the result (SVG or PNG).", callback=_drawable)
]


def write_figure(drawing: "Drawing", file: Path) -> None:
    """Write a drawing to a file, in the format of its suffix."""
    write_atomically(file, drawing.svg().encode() if file.suffix == ".svg" else drawing.png())


def takes_task_without(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a task except these, and pass it the `Task` as its argument `task`.

    Fields of the task are set where their options were given: `given`.
    """
    options = [option for option in TASK_OPTIONS if option.name not in names]

    def build(chosen: Mapping[str, Any]) -> Any:
        from redox_balancer.design.task import Task  # noqa: PLC0415 - loads the solver

        return Task(**chosen)

    return _takes("task", options, build)


def given(task: "Task") -> dict[str, Any]:
    """The settings of a task that were given."""
    return {name: getattr(task, name) for name in task.model_fields_set}


def takes_config(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these settings of `TrainConfig`, or for all, and pass it `config`."""
    options = [option for option in CONFIG_OPTIONS if not names or option.name in names]
    return _takes("config", options, lambda chosen: TrainConfig(**chosen))


def report_repairs(repairs: Iterable[str]) -> None:
    """Say on stderr what of a model was mended, or is read otherwise than its file says."""
    for repair in repairs:
        notes().print(f"note: {textwrap.shorten(repair, 160, placeholder=' ...')}")


def _takes(
    argument: str, options: Iterable[inspect.Parameter], build: Callable[[Mapping[str, Any]], Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace an argument of a command by options, and pass it what `build` makes of them."""
    current = {option.name: option for option in options}
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    asks = [context] if argument == "task" else []  # which of the options were given; typer has one for a command
    old = {
        name: _parameter(name, typing.Optional[_bare(current[new])], None, hidden=True)  # noqa: UP045 - a runtime type
        for name, new in RENAMED.items()
        if new in current
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in current}
            if asks:
                source = given.pop("context").get_parameter_source
                chosen = {name: value for name, value in chosen.items() if source(name).name != "DEFAULT"}
            for name in old:
                value = given.pop(name)
                if value is not None:
                    chosen[RENAMED[name]] = value
                    notes().print(f"note: {flag(name)} is called {flag(RENAMED[name])} now")
            command(**{argument: build(chosen)}, **given)

        return with_options(run, [*asks, *current.values(), *old.values()], instead_of=argument)

    return decorate


def _bare(option: inspect.Parameter) -> Any:
    return typing.get_args(option.annotation)[0]


takes_task = takes_task_without()
