"""`redox explore`: a page on this machine, with sliders, enzymes and a map that answer at once."""

from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.options import report_repairs, takes_task_without
from redox_balancer.terminal.tables import notes

if TYPE_CHECKING:
    from redox_balancer.design.task import Task

EXAMPLE = "Example: redox explore; redox explore --model core.json --medium culture --cell HT29 --no-browser"
PORT = 8765


@takes_task_without(
    *("sampling", "observation", "hidden_condition", "measurement_noise", "measurement_cost", "exact_rates"),
    *("held_ratios", "concentrations"),
)
def explore(
    *,
    task: "Task",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of this machine; 0 for any free one.")] = PORT,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Explore a cell on a page of your browser: move its bounds, put enzymes in, see what they do.

    The page is served to this machine alone, loads nothing from elsewhere and works without a network. Its address
    holds what it shows, so that a copied link shows the same again. Ctrl-C ends it.
    """
    from redox_balancer.explore.server import listen, serve  # noqa: PLC0415 - loads NiceGUI

    listener = listen(port)
    from redox_balancer.explore.desk import Desk  # noqa: PLC0415 - loads the solver

    desk = Desk(task)
    with notes().status("reading the model"):
        cell = desk.open()
    report_repairs(cell.space.network.repairs)
    serve(desk, listener, browser=browser, ready=lambda address: notes().print(f"{address} (Ctrl-C ends it)"))
