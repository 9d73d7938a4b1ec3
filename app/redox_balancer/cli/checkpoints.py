"""`redox checkpoints`: see, fetch and push the checkpoints of a run in a bucket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from redox_balancer.cli.options import AsJson
from redox_balancer.cli.progress import transfer_progress
from redox_balancer.cli.tables import notes, out, table
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.runs.remote.run import Pulled

app = typer.Typer(help="See, fetch and push the checkpoints of a run in an S3 bucket.", no_args_is_help=True)

Url = Annotated[str, typer.Argument(help="s3://BUCKET/experiments/RUN.", metavar="URL")]
State = Literal["unverified", "whole", "damaged", "unfinished"]


@dataclass
class Row:
    """One checkpoint of a list; `unfinished` is one whose push broke off."""

    step: int
    bytes: int
    written_at: float
    state: State = "unverified"
    problem: str = ""

    @property
    def age_s(self) -> float:
        """Seconds since it was written."""
        return max(time.time() - self.written_at, 0.0)


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
    rows = read_rows(place, verify=verify)
    if as_json:
        typer.echo(json.dumps(as_data(place, rows)))
    else:
        out().print(as_table(place, rows))
    if (damage := damage_of(rows)) is not None:
        raise damage


def read_rows(place: str, *, verify: bool) -> list[Row]:
    """Read the list of a bucket's run or of a run's folder, newest first; `verify` reads each checkpoint."""
    read = _remote_rows if place.startswith("s3://") else _local_rows
    rows: list[Row] = []
    with notes().status(f"reading {place}") as status:
        for row in read(place, verify=verify):
            rows.append(row)
            status.update(f"reading {place}, {len(rows)} so far")
    return rows


def as_data(place: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a list for `--json`."""
    return {"run": place, "checkpoints": [{**asdict(row), "age_s": row.age_s} for row in rows]}


def as_table(place: str, rows: Sequence[Row]) -> Any:
    """Return a list for people."""
    if not rows:
        return f"no checkpoint in {place}"
    headings = {"step": "right", "bytes": "right", "age": "right", "state": "left"}
    cells = [(f"{row.step:,}", f"{row.bytes:,}", age_text(row.age_s), row.problem or row.state) for row in rows]
    return table(headings, cells)


def damage_of(rows: Sequence[Row]) -> RedoxError | None:
    """Return what is damaged in a list and which checkpoint is the newest whole one; None where nothing is."""
    damaged = [row for row in rows if row.state == "damaged"]
    if not damaged:
        return None
    whole = next((row.step for row in rows if row.state == "whole"), None)
    return RedoxError(
        f"{len(damaged)} of {len(rows)} checkpoints damaged: {damaged[0].problem}",
        hint=f"step {whole:,} is the newest whole one" if whole is not None else "none is whole",
    )


def _remote_rows(url: str, *, verify: bool) -> Iterator[Row]:
    from redox_balancer.runs.checkpoint import DamagedCheckpointError  # noqa: PLC0415 - loads NumPy
    from redox_balancer.runs.remote.run import RemoteRun  # noqa: PLC0415

    remote = RemoteRun(url)
    for there in remote.checkpoints().values():
        row = Row(there.step, there.size_bytes, there.written_at)
        if not there.whole:
            row.state = "unfinished"
        elif verify:
            try:
                remote.verify(there.step)
                row.state = "whole"
            except DamagedCheckpointError as error:
                row.state, row.problem = "damaged", error.message
        yield row


def _local_rows(folder: str, *, verify: bool) -> Iterator[Row]:
    from redox_balancer.runs import checkpoint  # noqa: PLC0415 - loads NumPy

    if not Path(folder).is_dir():
        raise RedoxError(f"there is no folder {folder}", hint="name a run's folder, or s3://BUCKET/experiments/RUN")
    for step, path in checkpoint.steps(Path(folder)).items():
        files = [file.stat() for file in path.iterdir()]
        row = Row(step, sum(file.st_size for file in files), max((file.st_mtime for file in files), default=0.0))
        if verify:
            try:
                checkpoint.load(path)
                row.state = "whole"
            except checkpoint.DamagedCheckpointError as error:
                row.state, row.problem = "damaged", error.message
        yield row


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
    pulled = fetch(url, to, step, again=f"redox checkpoints pull {url} --to {to} --step")
    if as_json:
        typer.echo(json.dumps(pulled_data(pulled)))
    else:
        typer.echo(f"step {pulled.step:,}: {pulled.path}, verified")


def fetch(url: str, to: Path, step: int | None, *, again: str) -> Pulled:
    """Fetch a checkpoint with progress, and the run's settings and metrics where the folder lacks them.

    Parameters
    ----------
    url
        `s3://BUCKET/experiments/RUN`.
    to
        Folder of the run here.
    step
        Which one; None takes the newest whole one and names those that are damaged.
    again
        The command that takes the step after it: offers the next older one where `step` is damaged.
    """
    from redox_balancer.runs.checkpoint import DamagedCheckpointError  # noqa: PLC0415 - loads NumPy
    from redox_balancer.runs.remote.run import Pulled, RemoteRun  # noqa: PLC0415

    remote = RemoteRun(url)
    with transfer_progress(f"fetching {url}") as progress:
        if step is None:
            pulled = remote.pull_newest(to, progress=progress)
        else:
            try:
                pulled = Pulled(step, remote.pull(step, to, progress), {})
            except DamagedCheckpointError as error:
                older = next((other for other in remote.whole_steps() if other < step), None)
                if older is None:
                    raise
                error.hint = f"the next older one: {again} {older}"
                raise
    if pulled is None:
        raise RedoxError(f"there is no checkpoint in {url}", hint="check the address: s3://BUCKET/experiments/RUN")
    remote.pull_metadata(to)
    for reason in pulled.damaged.values():
        notes().print(f"warning: {reason}; took an older one", markup=False)
    return pulled


def pulled_data(pulled: Pulled) -> dict[str, Any]:
    """Return what was fetched for `--json`."""
    return {"step": pulled.step, "checkpoint": str(pulled.path), "damaged": dict(pulled.damaged)}


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


def age_text(seconds: float) -> str:
    """Return a time span in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
