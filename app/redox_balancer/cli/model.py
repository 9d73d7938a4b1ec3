"""`redox model`: download public models and test a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redox_balancer.cli.options import Biomass, Medium
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.progress import transfer_progress

if TYPE_CHECKING:
    from redox_balancer.cell.network import Network

app = typer.Typer(help="Download public metabolic models and test models.", no_args_is_help=True)

LEAST_GROWTH = 1e-6
"""Growth in 1/h below which a model does not grow; solvers are exact to about 1e-9."""
LABELS = {"free_loops": "infeasible cycles"}
"""Labels of the table where they differ from the keys of the JSON."""


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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Download a public model, check its content and pin its sha256.

    An interrupted download is resumed.
    """
    from redox_balancer.cell.fetch import fetch_model, load_catalogue  # noqa: PLC0415 - takes half a second

    with transfer_progress(f"fetching {name}") as progress:
        fetched = fetch_model(name, file=file, mirror=mirror, folder=folder, repin=repin, progress=progress)
    content = fetched.content
    answer = {
        "model": fetched.model,
        "path": str(fetched.path),
        "sha256": fetched.sha256,
        "reactions": content.reactions,
        "metabolites": content.metabolites,
        "genes": content.genes,
        "objective": content.objective,
        "optimum": content.optimum,
        "new": fetched.new,
        "license": load_catalogue()[name].license,
    }
    if as_json:
        typer.echo(json.dumps(answer))
        return
    verb = "downloaded, checked and pinned" if fetched.new else "already in the cache, as pinned"
    typer.echo(f"{name}: {verb}")
    _print_table({key: _text(value) for key, value in answer.items() if key not in ("model", "new")})


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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Test a model: size, growth on a medium, imbalanced reactions, thermodynamically infeasible cycles.

    A reaction in such a cycle carries flux with every exchange, sink and demand closed. Recon3D takes about half a
    minute. Exit code 2 if the model does not grow.
    """
    from redox_balancer.cell.balance import imbalanced_reactions  # noqa: PLC0415 - takes half a second
    from redox_balancer.cell.cycles import reactions_in_cycles  # noqa: PLC0415
    from redox_balancer.cell.embedded import core_json  # noqa: PLC0415
    from redox_balancer.cell.media import apply_medium  # noqa: PLC0415
    from redox_balancer.cell.models import load_model, to_network  # noqa: PLC0415

    with _steps_shown("reading the model") as show:
        loaded = load_model(core_json() if file is None else file)
        network = to_network(loaded.model, biomass)
        fed = apply_medium(network, medium)
        show("growth")
        growth, status = _growth(fed)
        show("infeasible cycles")
        cycles = reactions_in_cycles(network)
    imbalanced = imbalanced_reactions(network)
    answer: dict[str, Any] = {
        "model": network.id,
        "reactions": len(network.reactions),
        "metabolites": len(network.metabolites),
        "genes": len(loaded.model.genes),
        "exchanges": len(network.exchanges),
        "objective": network.objective,
        "medium": medium,
        "growth": growth,
        "status": status,
        "imbalanced": len(imbalanced),
        "free_loops": len(cycles),
        "repairs": [*loaded.repairs, *network.repairs],
    }
    if as_json:
        answer |= {"imbalanced_reactions": imbalanced, "looping_reactions": list(cycles)}
        typer.echo(json.dumps(answer))
    else:
        _print_table({LABELS.get(key, key.replace("_", " ")): _text(value) for key, value in answer.items()})
    if growth < LEAST_GROWTH:
        raise RedoxError(
            f"{network.objective} of {network.id} does not grow on medium {medium!r}"
            + ("" if status == "optimal" else f" ({status})"),
            hint="choose another medium or growth reaction",
            settings=("medium", "biomass"),
        )


def _growth(network: Network) -> tuple[float, str]:
    """Largest growth, 1/h, and the status of its LP; an infeasible problem (maintenance not met) is no growth."""
    from redox_balancer.cell.lp import FluxLP  # noqa: PLC0415 - loads the solver

    with FluxLP(network) as lp:
        solution = lp.maximise()
    return (max(solution.objective, 0.0) if solution.optimal else 0.0), solution.status.value


@contextmanager
def _steps_shown(first: str) -> Iterator[Any]:
    """Report the current step on stderr: a spinner on a terminal, a line for each step otherwise."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.print(first)
        yield console.print
        return
    with console.status(first) as status:
        yield status.update


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return "\n".join(map(str, value)) or "none"
    return str(value)


def _print_table(rows: dict[str, str]) -> None:

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in rows.items():
        table.add_row(key, Text(value))
    Console(highlight=False, soft_wrap=True).print(table)
