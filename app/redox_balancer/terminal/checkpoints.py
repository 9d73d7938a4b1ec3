"""Lists and downloads of checkpoints as commands show them; `redox` and `python -m ops` have the same ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.terminal.progress import transfer_progress
from redox_balancer.terminal.tables import age_text, notes, table

if TYPE_CHECKING:
    from redox_balancer.runs.remote.listing import ListedCheckpoint
    from redox_balancer.runs.remote.run import PulledCheckpoint


# Text for the states of a checkpoint; JSON has the states themselves.
STATES = {"whole": "verified", "unfinished": "incomplete"}


def read_list(place: str, *, verify: bool) -> "list[ListedCheckpoint]":
    """List the checkpoints of a bucket's run or of a run's folder, newest first; `verify` reads each of them."""
    from redox_balancer.runs.remote.listing import list_checkpoints  # noqa: PLC0415 - loads NumPy

    listed: list[ListedCheckpoint] = []
    with notes().status(f"reading {place}") as status:
        for one in list_checkpoints(place, verify=verify):
            listed.append(one)
            status.update(f"reading {place}, {len(listed)} so far")
    return listed


def list_data(place: str, listed: "Sequence[ListedCheckpoint]") -> dict[str, Any]:
    """Return a list for `--json`."""
    return {"run": place, "checkpoints": [one.as_dict() for one in listed]}


def list_table(place: str, listed: "Sequence[ListedCheckpoint]") -> Any:
    """Return a list as a table."""
    if not listed:
        return f"no checkpoint in {place}"
    headings = {"step": "right", "bytes": "right", "age": "right", "state": "left"}
    cells = [
        (f"{one.step:,}", f"{one.bytes:,}", age_text(one.age_s), one.problem or STATES.get(one.state, one.state))
        for one in listed
    ]
    return table(headings, cells)


def pull_checkpoint(url: str, to: Path, step: int | None) -> "PulledCheckpoint":
    """Fetch a checkpoint with a progress bar, and warn of newer ones that are damaged; see `listing.fetch`."""
    from redox_balancer.runs.remote.listing import fetch  # noqa: PLC0415 - loads NumPy

    with transfer_progress(f"fetching {url}") as progress:
        pulled = fetch(url, to, step, progress)
    for reason in pulled.damaged.values():
        notes().print(f"warning: {reason}; using an older one")
    return pulled


def pulled_data(pulled: "PulledCheckpoint") -> dict[str, Any]:
    """Return a download for `--json`."""
    return {"step": pulled.step, "checkpoint": str(pulled.path), "damaged": dict(pulled.damaged)}
