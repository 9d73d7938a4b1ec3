"""Progress on stderr: bars and spinners on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.status import Status

from redox_balancer.progress import Progress
from redox_balancer.terminal.tables import notes

LINE_S = 10.0  # least time between two lines of a computation whose spinner has no terminal, s


def status_progress(status: Status) -> Progress:
    """Show the current phase beside a spinner, or in a line now and then where there is no terminal."""
    shown = time.monotonic()

    def show(phase: str, done: int = 0, total: int | None = None, /) -> None:
        nonlocal shown
        text = f"{phase}: {done:,} of {total:,}" if total else phase
        status.update(text)
        if not status.console.is_terminal and time.monotonic() - shown >= LINE_S:
            shown = time.monotonic()
            status.console.print(text, markup=False)

    return show


@contextmanager
def transfer_progress(first: str) -> Iterator[Progress]:
    """Show the bytes transferred: a bar on a terminal, a line for each tenth of a phase otherwise.

    Parameters
    ----------
    first
        Description shown until the first phase is reported, "fetching recon3d".
    """
    from rich.progress import (  # noqa: PLC0415 - only these commands draw a bar
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar  # noqa: PLC0415

    console = notes()
    if not console.is_terminal:
        shown: tuple[str, int] | None = None

        def line(phase: str, done: int = 0, total: int | None = None, /) -> None:
            nonlocal shown
            now = (phase, 10 * done // total if total else 0)
            # A damaged file is fetched again, so the bytes that are done may decrease.
            if shown is None or now[0] != shown[0] or now[1] > shown[1]:
                shown = now
                amount = f": {done:,}{f' of {total:,}' if total else ''} bytes" if done or total else ""
                console.print(f"{phase}{amount}")

        yield line
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(TextColumn("{task.description}"), *columns, console=console) as bar:
        task = bar.add_task(first, total=None)

        def show(phase: str, done: int = 0, total: int | None = None, /) -> None:
            bar.update(task, completed=done, total=total, description=phase)

        yield show


@contextmanager
def phase_progress(first: str) -> Iterator[Progress]:
    """Show the phases of a computation: a bar on a terminal, else a line for each after the seconds so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    console, started = notes(), time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, last = bar.add_task(first, total=None), ""

        def show(phase: str, done: int = 0, total: int | None = None, /) -> None:
            nonlocal last
            bar.update(task, description=phase, completed=done, total=total)
            if phase != last:
                bar.refresh()  # a solve holds the interpreter lock, so nothing is drawn until it ends
                if not console.is_terminal:
                    console.print(f"{time.perf_counter() - started:6.1f} s  {phase}")
            last = phase

        show(first)
        yield show
