"""`make pull-checkpoints`: a run's checkpoint from the bucket to here, verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.options import RunName
from ops.session import Answer, Session
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.checkpoints import pull_checkpoint, pulled_data, read_list
from redox_balancer.terminal.options import RUNS

EXAMPLE = "Example: python -m ops pull-checkpoints --run production --step 932960 --json"


def pull_checkpoints(
    session: Session,
    *,
    run: RunName = None,
    step: Annotated[int | None, typer.Option(help="Which one; the newest whole one if not given.")] = None,
    to: Annotated[Path | None, typer.Option(help="Folder of the run here; experiments/RUN if not given.")] = None,
) -> Answer:
    """Fetch a checkpoint of a run, verify it, and only then give it its name.

    A download that broke off goes on where it stopped. A damaged one is named, and an older one taken or offered.
    """
    name = session.run_or_default(run)
    url, folder = session.run_url(name), to or RUNS / name
    if session.dry_run:
        return _plan(session, url, folder, step)
    pulled = pull_checkpoint(url, folder, step)
    return Answer(pulled_data(pulled), f"step {pulled.step:,}: {pulled.path}, verified")


def _plan(session: Session, url: str, folder: Path, step: int | None) -> Answer:
    """Say which checkpoint would be fetched."""
    whole = [row for row in read_list(url, verify=False) if row.state != "unfinished"]
    found = next((row for row in whole if step in (None, row.step)), None)
    if found is None:
        wanted = "checkpoint" if step is None else f"whole checkpoint of step {step:,}"
        raise RedoxError(f"there is no {wanted} in {url}", hint="python -m ops checkpoints shows what there is")
    session.change(f"fetch step {found.step:,}, {found.bytes:,} bytes, into {folder}")
    return Answer({"step": found.step, "bytes": found.bytes, "to": str(folder)})
