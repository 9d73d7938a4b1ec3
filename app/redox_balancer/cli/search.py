"""`redox search`: searches the agent is measured against."""

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.options import AsJson, takes_task

if TYPE_CHECKING:
    from redox_balancer.design.task import Task

app = typer.Typer(help="Search for constructs without learning.", no_args_is_help=True)


@app.callback()
def searches() -> None:
    """Search for constructs without learning."""


@app.command(epilog="Example: redox search exhaustive --placements 2 --conditions healthy,hypoxia --top 3")
@takes_task
def exhaustive(
    *,
    task: "Task",
    top: Annotated[int, typer.Option(min=1, help="How many of the best constructs to show.")] = 5,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = os.cpu_count() or 1,
    as_json: AsJson = False,
) -> None:
    """Value every construct within the budget and show the best under each condition."""
    from redox_balancer.cli.tables import construct_text, notes, out, table  # noqa: PLC0415
    from redox_balancer.search import exhaustive as search  # noqa: PLC0415

    space = task.space()
    console = notes()
    found = search.exhaustive(
        space,
        task.placements,
        keep=top,
        processes=processes,
        progress=lambda y: console.print(f"{y.condition}: {y.constructs:,} constructs, {y.solves:,} LPs"),
    )
    if as_json:
        answer = {
            name: {
                "constructs": yardstick.constructs,
                "mean": yardstick.mean,
                "solves": yardstick.solves,
                "best": [
                    {
                        "value": ranked.outcome.value,
                        "growth": ranked.outcome.growth,
                        "capacity": ranked.outcome.capacity,
                        "construct": space.describe(ranked.construct),
                    }
                    for ranked in yardstick.best
                ],
            }
            for name, yardstick in found.items()
        }
        typer.echo(json.dumps(answer))
        return
    out().print(
        table(
            {"condition": "left", "value": "right", "growth": "right", "capacity": "right", "construct": "left"},
            [
                (
                    name if rank == 0 else "",
                    f"{ranked.outcome.value:.4f}",
                    f"{ranked.outcome.growth:.5f}",
                    f"{ranked.outcome.capacity:.4f}",
                    construct_text(space.describe(ranked.construct)),
                )
                for name, yardstick in found.items()
                for rank, ranked in enumerate(yardstick.best)
            ],
        )
    )
