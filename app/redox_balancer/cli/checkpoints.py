"""`redox checkpoints`: list, pull and push the checkpoints of a run in a bucket."""

import json
from pathlib import Path
from typing import Annotated

import typer

from redox_balancer.errors import RedoxError
from redox_balancer.terminal.checkpoints import list_data, list_table, pull_checkpoint, pulled_data, read_list
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.tables import notes, out

app = typer.Typer(help="List, pull and push the checkpoints of a run in an S3 bucket.", no_args_is_help=True)

Url = Annotated[str, typer.Argument(help="s3://BUCKET/experiments/RUN.", metavar="URL")]


@app.command("list", epilog="Example: redox checkpoints list s3://my-bucket/experiments/first --verify --json")
def list_checkpoints(
    place: Annotated[
        str, typer.Argument(help="s3://BUCKET/experiments/RUN, or a run's folder.", metavar="URL_OR_DIR")
    ],
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read each checkpoint and compare it with its manifest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List checkpoints with step, size and age, newest first.

    Exits with code 2 if `--verify` finds a damaged one.
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
    to: Annotated[Path, typer.Option(help="Local folder of the run; created if missing.")],
    step: Annotated[
        int | None, typer.Option(help="Step of the checkpoint; the newest intact one if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a checkpoint and verify it, with the run's settings and metrics where the folder lacks them.

    An interrupted download is resumed. A damaged checkpoint never gets its final name.
    """
    pulled = pull_checkpoint(url, to, step)
    if as_json:
        typer.echo(json.dumps(pulled_data(pulled)))
    else:
        typer.echo(f"step {pulled.step:,}: {pulled.path}, verified")


@app.command(epilog="Example: redox checkpoints push experiments/first s3://my-bucket/experiments/first --json")
def push(
    folder: Annotated[Path, typer.Argument(help="A run's folder; a trainer may be running in it.", metavar="DIR")],
    url: Url,
    *,
    as_json: AsJson = False,
) -> None:
    """Push every checkpoint that the bucket lacks, and the run's settings and metrics.

    Existing checkpoints are never rewritten, so this can be run at any time, for example hourly from cron. It is
    refused while a training in another folder holds the run's lock.
    """
    from redox_balancer.runs import checkpoint  # noqa: PLC0415 - loads NumPy
    from redox_balancer.runs.remote.run import RemoteRun  # noqa: PLC0415

    if not checkpoint.steps(folder):
        raise RedoxError(f"no checkpoint in {folder}", hint="name a run's folder, such as experiments/first")
    console = notes()
    with console.status(f"pushing to {url}"):
        synced = RemoteRun(url).sync(folder, console.print)
    if as_json:
        answer = {"pushed": synced.pushed, "there": synced.present, "failed": dict(synced.failed)}
        typer.echo(json.dumps(answer))
    else:
        typer.echo(f"{url}: {len(synced.pushed)} checkpoints pushed, {len(synced.present)} already present")
    if synced.failed:
        raise RedoxError(
            f"{len(synced.failed)} checkpoints not pushed: {'; '.join(synced.failed.values())}",
            hint="a damaged one is not pushed; a different one of the same step needs another address",
        )
