"""`redox checkpoints`: see, fetch and push the checkpoints of a run in a bucket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from redox_balancer.errors import RedoxError
from redox_balancer.terminal.checkpoints import list_data, list_table, pull_checkpoint, pulled_data, read_list
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.tables import notes, out

app = typer.Typer(help="See, fetch and push the checkpoints of a run in an S3 bucket.", no_args_is_help=True)

Url = Annotated[str, typer.Argument(help="s3://BUCKET/experiments/RUN.", metavar="URL")]


@app.command("list", epilog="Example: redox checkpoints list s3://my-bucket/experiments/first --verify --json")
def list_checkpoints(
    place: Annotated[
        str, typer.Argument(help="s3://BUCKET/experiments/RUN, or a run's folder.", metavar="URL_OR_DIR")
    ],
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Read each and compare it with its manifest.")] = False,
    as_json: AsJson = False,
) -> None:
    """List checkpoints with step, size and age, the newest first.

    Exit code 2 where `--verify` finds a damaged one.
    """
    from redox_balancer.runs.remote.listing import damage_of  # noqa: PLC0415 - loads NumPy

    listed = read_list(place, verify=verify)
    if as_json:
        typer.echo(json.dumps(list_data(place, listed)))
    else:
        out().print(list_table(place, listed))
    if (damage := damage_of(listed)) is not None:
        raise damage


@app.command(epilog="Example: redox checkpoints pull s3://my-bucket/experiments/first --to experiments/first --json")
def pull(
    url: Url,
    *,
    to: Annotated[Path, typer.Option(help="Folder of the run here; made where it is missing.")],
    step: Annotated[int | None, typer.Option(help="Which one; the newest whole one if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a checkpoint and verify it, with the run's settings and metrics where the folder lacks them.

    A download that broke off goes on where it stopped. Nothing that is damaged gets a checkpoint's name.
    """
    pulled = pull_checkpoint(url, to, step, again=f"redox checkpoints pull {url} --to {to} --step")
    if as_json:
        typer.echo(json.dumps(pulled_data(pulled)))
    else:
        typer.echo(f"step {pulled.step:,}: {pulled.path}, verified")


@app.command(epilog="Example: redox checkpoints push experiments/first s3://my-bucket/experiments/first --json")
def push(
    folder: Annotated[Path, typer.Argument(help="A run's folder; a trainer may be at work on it.", metavar="DIR")],
    url: Url,
    *,
    as_json: AsJson = False,
) -> None:
    """Push every checkpoint that the bucket lacks, and the run's settings and metrics.

    What is there is left alone, so it can be run at any time and again, for example every hour. Refused while a
    training on another folder writes the run.
    """
    from redox_balancer.runs import checkpoint  # noqa: PLC0415 - loads NumPy
    from redox_balancer.runs.remote.run import RemoteRun  # noqa: PLC0415

    if not checkpoint.steps(folder):
        raise RedoxError(f"there is no checkpoint in {folder}", hint="name a run's folder, like experiments/first")
    console = notes()
    with console.status(f"pushing to {url}"):
        swept = RemoteRun(url).sweep(folder, lambda text: console.print(text, markup=False))
    if as_json:
        answer = {"pushed": swept.pushed, "there": swept.there, "failed": dict(swept.failed)}
        typer.echo(json.dumps(answer))
    else:
        typer.echo(f"{url}: {len(swept.pushed)} checkpoints pushed, {len(swept.there)} were there")
    if swept.failed:
        raise RedoxError(
            f"{len(swept.failed)} checkpoints not pushed: {'; '.join(swept.failed.values())}",
            hint="a damaged one stays here; another one of the same step needs an address of its own",
        )
