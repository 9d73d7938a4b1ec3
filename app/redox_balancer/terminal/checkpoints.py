"""Lists and downloads of checkpoints as commands show them; `redox` and `python -m ops` have the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.errors import RedoxError
from redox_balancer.terminal.progress import transfer_progress
from redox_balancer.terminal.tables import age_text, notes, table

if TYPE_CHECKING:
    from redox_balancer.runs.remote.listing import ListedCheckpoint
    from redox_balancer.runs.remote.run import Pulled


def read_list(place: str, *, verify: bool) -> list[ListedCheckpoint]:
    """List the checkpoints of a bucket's run or of a run's folder, newest first; `verify` reads each of them."""
    from redox_balancer.runs.remote.listing import list_checkpoints  # noqa: PLC0415 - loads NumPy

    listed: list[ListedCheckpoint] = []
    with notes().status(f"reading {place}") as status:
        for one in list_checkpoints(place, verify=verify):
            listed.append(one)
            status.update(f"reading {place}, {len(listed)} so far")
    return listed


def list_data(place: str, listed: Sequence[ListedCheckpoint]) -> dict[str, Any]:
    """Return a list for `--json`."""
    return {"run": place, "checkpoints": [one.as_dict() for one in listed]}


def list_table(place: str, listed: Sequence[ListedCheckpoint]) -> Any:
    """Return a list as a table."""
    if not listed:
        return f"no checkpoint in {place}"
    headings = {"step": "right", "bytes": "right", "age": "right", "state": "left"}
    cells = [(f"{one.step:,}", f"{one.bytes:,}", age_text(one.age_s), one.problem or one.state) for one in listed]
    return table(headings, cells)


def pull_checkpoint(url: str, to: Path, step: int | None, *, again: str) -> Pulled:
    """Download a checkpoint with progress, and the run's settings and metrics where the folder lacks them.

    Parameters
    ----------
    url
        `s3://BUCKET/experiments/RUN`.
    to
        Local folder of the run.
    step
        Which one; None takes the newest complete one and warns of damaged ones.
    again
        Start of a command that a step completes: the hint where `step` is damaged and an older one is not.
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
    """Return a download for `--json`."""
    return {"step": pulled.step, "checkpoint": str(pulled.path), "damaged": dict(pulled.damaged)}
