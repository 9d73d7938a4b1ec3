"""`redox map`: a picture of where the electrons of a cell go, and the files that Escher loads."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.options import (
    ConditionName,
    PolicyRun,
    StartSeed,
    given,
    report_repairs,
    takes_task_without,
    writable_file,
)
from redox_balancer.pathways import State
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import notes, out

if TYPE_CHECKING:
    from redox_balancer.design.task import Task

EXAMPLE = "Example: redox map --condition complex_i_closed --output map.svg --escher map.json --fluxes fluxes.json"


@takes_task_without("sampling")
def redox_map(
    run: PolicyRun = None,
    *,
    task: "Task",
    condition: ConditionName = "healthy",
    construct: Annotated[
        str | None, typer.Option(help="Construct to draw, without a search: 'LBNOX_c 0.1 % + AOX_m 0.03 %'.")
    ] = None,
    state: Annotated[
        State,
        typer.Option(help="The cell at largest growth, at the capacity of the construct, or without the construct."),
    ] = "growth",
    output: Annotated[Path, typer.Option(help="File of the picture (SVG).", callback=writable_file)] = Path(
        "map.svg"
    ),
    escher: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the map for Escher (JSON).", callback=writable_file)
    ] = None,
    fluxes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the fluxes for Escher (JSON or CSV).", callback=writable_file),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Time for the search of a construct.")] = None,
    seed: StartSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Draw a cell with a construct: fluxes as widths and arrows, the enzymes put in and how much of them is used.

    The construct is found as by `redox design`, or given. Fluxes are parsimonious. The map shows the cytosol and the
    mitochondrion; what the model lacks of it is dashed.
    """
    from redox_balancer.designer.design import make_design  # noqa: PLC0415
    from redox_balancer.designer.proposal import propose  # noqa: PLC0415
    from redox_balancer.designer.redox_map import RedoxMap  # noqa: PLC0415
    from redox_balancer.designer.trained_run import TrainedRun  # noqa: PLC0415

    opened = None if run is None else TrainedRun.open(run).elsewhere(**given(task))
    task = task if opened is None else opened.task
    proposal = propose(opened or task, condition, construct, seconds=seconds, seed=seed)
    report_repairs(proposal.space.network.repairs)
    with notes().status("analysing the cell") as status:
        made = make_design(proposal, linked=False, progress=status_progress(status))
        drawn = RedoxMap.of(made, state)
    files = [drawn.save(output)]
    files += [drawn.save_escher(escher)] if escher else []
    files += [drawn.save_fluxes(fluxes)] if fluxes else []
    if as_json:
        typer.echo(json.dumps({"title": drawn.title, "state": state, "files": [str(file) for file in files]}))
        return
    out().print(f"{drawn.title}\n{', '.join(map(str, files))}")
