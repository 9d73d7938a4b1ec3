"""`make pull-checkpoints`: a checkpoint of a run downloaded from the bucket and verified."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.session import CommandResult, RunName, Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.checkpoints import pull_checkpoint, pulled_data, read_list
from redox_balancer.terminal.options import RUNS

if TYPE_CHECKING:
    from redox_balancer.runs.remote.listing import ListedCheckpoint

EXAMPLE = "Example: python -m ops pull-checkpoints --run production --step 932960 --json"


def pull_checkpoints(
    session: Session,
    *,
    run: RunName = None,
    step: Annotated[int | None, typer.Option(help="Step of the checkpoint; by default, the newest one.")] = None,
    to: Annotated[Path | None, typer.Option(help="Local folder of the run; experiments/RUN by default.")] = None,
) -> CommandResult:
    """Download a checkpoint of a run, and give it its name once it is verified.

    An interrupted download continues where it stopped. A damaged checkpoint is reported; without `--step`, the next
    older one is taken.
    """
    name = session.run_name(run)
    url, folder = session.run_url(name), to or RUNS / name
    if session.dry_run:
        found = newest_complete(url, step)
        session.announce(f"download step {found.step:,}, {found.bytes:,} bytes, to {folder}")
        return CommandResult({"step": found.step, "bytes": found.bytes, "to": str(folder)})
    pulled = pull_checkpoint(url, folder, step)
    return CommandResult(pulled_data(pulled), f"step {pulled.step:,}: {pulled.path}, verified")


def newest_complete(url: str, step: int | None = None) -> "ListedCheckpoint":
    """Return the newest complete checkpoint of a run, or that of a step; a RedoxError without it."""
    for each in read_list(url, verify=False):
        if each.state != "unfinished" and step in (None, each.step):
            return each
    wanted = "checkpoint" if step is None else f"complete checkpoint of step {step:,}"
    raise RedoxError(f"there is no {wanted} in {url}", hint="python -m ops checkpoints lists them")
