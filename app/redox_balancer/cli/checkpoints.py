"""`redox checkpoints`: list, pull and push the checkpoints of a run in a bucket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.options import AsJson
from redox_balancer.cli.progress import status_progress, transfer_progress
from redox_balancer.cli.tables import notes, out, table
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.runs.remote.listing import CheckpointRow
    from redox_balancer.runs.remote.run import PulledCheckpoint

app = typer.Typer(help="List, pull and push the checkpoints of a run in an S3 bucket.", no_args_is_help=True)

Url = Annotated[str, typer.Argument(help="s3://BUCKET/experiments/RUN.", metavar="URL")]

# Text for the states of a row; the JSON output has the states themselves.
STATES = {"whole": "verified", "unfinished": "incomplete"}


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
    from redox_balancer.runs.remote.listing import damage  # noqa: PLC0415 - loads NumPy

    rows = read_rows(place, verify=verify)
    if as_json:
        typer.echo(json.dumps(as_data(place, rows)))
    else:
        out().print(as_table(place, rows))
    if (error := damage(rows)) is not None:
        raise error


def read_rows(location: str, *, verify: bool) -> list[CheckpointRow]:
    """List the checkpoints of a run in a bucket or a folder, with a spinner."""
    from redox_balancer.runs.remote.listing import list_checkpoints  # noqa: PLC0415 - loads NumPy

    with notes().status(f"reading {location}") as status:
        return list_checkpoints(location, verify=verify, progress=status_progress(status))


def as_data(location: str, rows: Sequence[CheckpointRow]) -> dict[str, Any]:
    """Return a list for `--json`."""
    return {"run": location, "checkpoints": [{**asdict(row), "age_s": row.age_s} for row in rows]}


def as_table(location: str, rows: Sequence[CheckpointRow]) -> Any:
    """Return a list as a table."""
    if not rows:
        return f"no checkpoint in {location}"
    headings = {"step": "right", "bytes": "right", "age": "right", "state": "left"}
    cells = [
        (f"{row.step:,}", f"{row.bytes:,}", age_text(row.age_s), row.problem or STATES.get(row.state, row.state))
        for row in rows
    ]
    return table(headings, cells)


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
    pulled = pull_verified(url, to, step)
    if as_json:
        typer.echo(json.dumps(pulled_data(pulled)))
    else:
        typer.echo(f"step {pulled.step:,}: {pulled.path}, verified")


def pull_verified(url: str, to: Path, step: int | None) -> PulledCheckpoint:
    """Fetch a checkpoint with a progress bar, and warn of newer ones that are damaged."""
    from redox_balancer.runs.remote.listing import fetch  # noqa: PLC0415 - loads NumPy

    with transfer_progress(f"fetching {url}") as progress:
        pulled = fetch(url, to, step, progress)
    for reason in pulled.damaged.values():
        notes().print(f"warning: {reason}; using an older one", markup=False)
    return pulled


def pulled_data(pulled: PulledCheckpoint) -> dict[str, Any]:
    """Return the result of a pull for `--json`."""
    return {"step": pulled.step, "checkpoint": str(pulled.path), "damaged": dict(pulled.damaged)}


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
        synced = RemoteRun(url).sync(folder, lambda text: console.print(text, markup=False))
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


def age_text(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
