"""Progress of a transfer, on stderr: a bar on a terminal, a line for each tenth otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redox_balancer.terminal.tables import notes


@contextmanager
def transfer_progress(what: str, then: str) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function that is told the bytes so far and those in all, where that is known; any thread may call it.

    Parameters
    ----------
    what
        What is transferred, "fetching recon3d".
    then
        What is done when all bytes are there, "checking recon3d".
    """
    from rich.progress import (  # noqa: PLC0415 - only these commands draw a bar
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = notes()
    if not console.is_terminal:
        tenth = -1

        def line(done: int, total: int | None) -> None:
            nonlocal tenth
            now = 10 * done // total if total else 0
            if now > tenth:
                tenth = now
                console.print(f"{what}: {done:,}{f' of {total:,}' if total else ''} bytes", markup=False)

        yield line
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=console) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int | None) -> None:
            over = total is not None and done >= total
            bar.update(task, completed=done, total=total, description=then if over else what)

        yield show
