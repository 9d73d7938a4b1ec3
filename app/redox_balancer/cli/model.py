"""`redox model`: download public models and test a model."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from redox_balancer.cli.curate import EXAMPLE, curate
from redox_balancer.cli.functions import show_functions
from redox_balancer.cli.model_page import page_lines
from redox_balancer.cli.options import AsPublished, Biomass, CellsFile, Curation, Medium
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import transfer_progress
from redox_balancer.terminal.tables import notes, out

app = typer.Typer(help="Download, describe, test and curate metabolic models.", no_args_is_help=True)
app.command(
    "functions", epilog="Example: redox model functions Human-GEM.yml --functions metabolicTasks_Essential.txt --json"
)(show_functions)
app.command(epilog=EXAMPLE)(curate)


@app.command(epilog="Example: redox model fetch recon3d; redox model fetch recon3d --from Recon3D.json.gz --json")
def fetch(
    name: Annotated[str, typer.Argument(help="recon3d, human-gem, e_coli_core or ijo1366.")],
    *,
    file: Annotated[
        Path | None, typer.Option("--from", help="Use this file instead of a download, with the same checks.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--to", help="Folder for the file; REDOX_CACHE or the user's cache by default.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(envvar="REDOX_MIRROR", help="URL of a folder with the file, instead of its own server."),
    ] = None,
    repin: Annotated[
        bool, typer.Option("--repin", help="Accept a file whose checksum differs from the pinned one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download a public model, check its content and pin its sha256.

    An interrupted download is resumed.
    """
    from redox_balancer.cell.fetch import fetch_model, load_catalogue  # noqa: PLC0415 - takes half a second

    with transfer_progress(f"fetching {name}") as progress:
        fetched = fetch_model(name, file=file, mirror=mirror, folder=folder, repin=repin, progress=progress)
    answer = {
        "model": fetched.model,
        "path": str(fetched.path),
        "sha256": fetched.sha256,
        **asdict(fetched.content),
        "new": fetched.new,
        "license": load_catalogue()[name].license,
    }
    if as_json:
        typer.echo(json.dumps(answer))
        return
    verb = "downloaded, checked and pinned" if fetched.new else "already in the cache, as pinned"
    typer.echo(f"{name}: {verb}")
    for key, value in answer.items():
        if key not in ("model", "new"):
            typer.echo(f"{key:<13}{f'{value:,}' if isinstance(value, int) else value}")


@app.command(
    epilog="Example: redox model info Recon3D.json.gz --medium human_minimal --biomass BIOMASS_reaction --json"
)
def info(
    file: Annotated[
        Path | None, typer.Argument(help="JSON, SBML, MAT or YAML, also compressed; the embedded core by default.")
    ] = None,
    *,
    medium: Medium = "model",
    biomass: Biomass = None,
    as_published: AsPublished = False,
    curation: Curation = None,
    cell: Annotated[str | None, typer.Option(help="Cell line whose measured rates limit the exchanges.")] = None,
    cells_file: CellsFile = None,
    as_json: AsJson = False,
) -> None:
    """Describe a model on one page: growth and what limits it, what is recognised, what is wrong, what can be placed.

    Growth comes first; infeasible cycles, reactions that carry flux with every exchange, sink and demand closed, come
    last, for at most half a minute. Exit code 2 if the model does not grow.
    """
    from redox_balancer.cell.cell_lines import load_cell_lines  # noqa: PLC0415
    from redox_balancer.cell.embedded import core_json  # noqa: PLC0415
    from redox_balancer.cell.records import pick  # noqa: PLC0415
    from redox_balancer.design.model_info import model_info  # noqa: PLC0415 - loads SciPy's solvers

    answer: dict[str, Any] = {}
    failure = None
    console = notes()
    with console.status("reading the model") as status:

        def show(phase: str, _done: int = 0, _total: int | None = None, /) -> None:
            status.update(phase)
            if not console.is_terminal:
                console.print(phase)

        try:
            line = pick(load_cell_lines(cells_file), cell, "cell line") if cell else None
            given = {"as_published": as_published, "curation": curation, "line": line}
            for section in model_info(file or core_json(), medium, biomass, show, **given):
                answer |= section
                if not as_json:
                    status.stop()
                    out().print("\n".join(page_lines(section)))
                    status.start()
        except RedoxError as error:
            if "growth" not in answer:
                raise
            failure = error
    if as_json:
        typer.echo(json.dumps(answer))
    if failure is not None:
        raise failure
