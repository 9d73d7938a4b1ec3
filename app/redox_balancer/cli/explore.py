"""`redox explore`: a page on this machine, with sliders, enzymes and a map that answer at once."""

import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.options import flag, given, report_repairs, takes_task_without
from redox_balancer.terminal.tables import notes

if TYPE_CHECKING:
    from redox_balancer.design.task import Task
    from redox_balancer.explore.state import ExploreState

EXAMPLE = (
    "Example: redox explore; redox explore experiments/first; "
    "redox explore --model core.json --medium culture --cell HT29 --no-browser"
)
PORT = 8765


@takes_task_without(
    *("sampling", "observation", "hidden_condition", "measurement_noise", "measurement_cost", "exact_rates"),
    *("held_ratios", "concentrations"),
)
def explore(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run to watch, also while it trains.")] = None,
    *,
    task: "Task",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of this machine; 0 for any free one.")] = PORT,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Explore a cell on a page of your browser: move its bounds, put enzymes in, see what they do.

    The page is served to this machine alone, loads nothing from elsewhere and works without a network. Its address
    holds what it shows, so that a copied link shows the same again. With a run, also while it trains, its learning
    curve and the constructs of its policy are shown, too. Ctrl-C ends it.
    """
    from redox_balancer.explore.server import listen, serve  # noqa: PLC0415 - loads NiceGUI

    listener = listen(port)
    from redox_balancer.designer.trained_run import TrainedRun  # noqa: PLC0415 - loads the solver
    from redox_balancer.explore.desk import Desk, models_beside  # noqa: PLC0415
    from redox_balancer.explore.run_view import RunView  # noqa: PLC0415

    opened = None if run is None else TrainedRun.open(run)
    if opened is not None:
        plain: dict[str, Any] = {
            "sampling": "named",
            "held_ratios": None,
            "concentrations": None,
            "exact_rates": False,
        }
        plain |= {"hidden_condition": False, "measurement_noise": 0.0, "measurement_cost": 0.0}
        task = opened.task.changed(**plain | given(task))
    desk = Desk(
        task,
        partial(command_of, task),
        models_beside(task, Path.cwd()),
        None if opened is None else RunView(opened),
    )
    with notes().status("reading the model"):
        cell = desk.open()
    report_repairs(cell.space.network.repairs)
    serve(desk, listener, browser=browser, ready=lambda address: notes().print(f"{address} (Ctrl-C ends it)"))


def command_of(task: "Task", state: "ExploreState", chosen: Mapping[str, Any]) -> str:
    """The command that analyses the cell and the construct of a state, and writes the model; `chosen` chooses it."""
    from redox_balancer.design.named_construct import NamedConstruct  # noqa: PLC0415 - loads the solver
    from redox_balancer.explore.desk import CONDITIONS_FILE  # noqa: PLC0415
    from redox_balancer.explore.numbers import EXPLORED  # noqa: PLC0415

    settings = given(task) | {**chosen, "cells": state.cell}
    condition = EXPLORED if state.bounds else state.condition
    if state.bounds:
        settings |= {"conditions_file": CONDITIONS_FILE, "conditions": EXPLORED}
    words = ["redox", "design"]
    for name, value in settings.items():
        if isinstance(value, bool):
            words.append(flag(name) if value else f"--no-{flag(name)[2:]}")
        elif value not in (None, ""):
            words += [flag(name), ",".join(value) if isinstance(value, tuple) else str(value)]
    words += ["--condition", condition, "--construct", str(NamedConstruct(state.enzymes)), "--output", EXPLORED]
    return shlex.join(words)
