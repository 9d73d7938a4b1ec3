"""Progress of a training: a bar on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from redox_balancer.runs.metrics import ENVIRONMENT

# What a reader wants to see at a glance, where the run reports it.
SHOWN = {"return": "return_mean", "growth": f"{ENVIRONMENT}growth", "value": f"{ENVIRONMENT}value"}


class ProgressSink(Protocol):
    """Where a training reports to."""

    def start(self, steps: int, total: int) -> None:
        """Training begins at `steps` of `total` environment steps."""

    def advance(self, steps: int) -> None:
        """The run has this many steps now."""

    def row(self, row: Mapping[str, float]) -> None:
        """A row of metrics was logged."""

    def message(self, text: str) -> None:
        """Something worth a line happened."""

    def warning(self, text: str) -> None:
        """Something went wrong, training goes on."""

    def close(self) -> None:
        """Training is over."""


class SilentProgress:
    """Reports nothing but warnings, which it logs."""

    def start(self, steps: int, total: int) -> None:
        """Training starts."""

    def advance(self, steps: int) -> None:
        """Training advances."""

    def row(self, row: Mapping[str, float]) -> None:
        """A row of metrics was logged."""

    def message(self, text: str) -> None:
        """An event."""

    def warning(self, text: str) -> None:
        """Pass a warning to the logger of the package."""
        logging.getLogger("redox_balancer").warning(text)

    def close(self) -> None:
        """Training is over."""


def open_progress(console: Console | None = None) -> ProgressSink:
    """Return a bar where stderr is a terminal, plain lines where it is not."""
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    return BarProgress(console) if console.is_terminal else PlainProgress(console)


def figures(row: Mapping[str, float]) -> str:
    """Return the figures of a row that are shown beside the progress, and nothing for those it lacks."""
    shown = {name: row.get(column, math.nan) for name, column in SHOWN.items()}
    return "  ".join(f"{name} {figure:.4g}" for name, figure in shown.items() if not math.isnan(figure))


class PlainProgress:
    """One line for each row of metrics."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._first = 0
        self._started = time.monotonic()

    def start(self, steps: int, total: int) -> None:
        """Training begins."""
        self._first, self._total, self._started = steps, total, time.monotonic()

    def advance(self, steps: int) -> None:
        """Steps alone make no line."""

    def row(self, row: Mapping[str, float]) -> None:
        """Print the row."""
        steps = int(row["steps"])
        elapsed = time.monotonic() - self._started
        left = elapsed / max(steps - self._first, 1) * max(self._total - steps, 0)
        self._console.print(
            f"{steps:>10,} steps  {100 * steps / self._total:5.1f} %  {row['steps_per_s']:7,.0f} steps/s  "
            f"{_clock(left)} left  {figures(row)}"
        )

    def message(self, text: str) -> None:
        """Print a line."""
        self._console.print(escape(text))

    def warning(self, text: str) -> None:
        """Print a line that stands out."""
        self._console.print(f"[bold yellow]warning:[/] {escape(text)}")

    def close(self) -> None:
        """Nothing is left open."""


class BarProgress(PlainProgress):
    """A bar with steps, percent, speed, time left and the figures of the newest row."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bar = Progress(
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
        )
        self._task = self._bar.add_task("training", total=None, visible=False, speed="", figures="")

    def start(self, steps: int, total: int) -> None:
        """Show the bar."""
        self._bar.update(self._task, completed=steps, total=total, visible=True)
        self._bar.start()

    def advance(self, steps: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=steps)

    def row(self, row: Mapping[str, float]) -> None:
        """Show the figures of the row beside the bar."""
        self._bar.update(
            self._task,
            completed=int(row["steps"]),
            speed=f"{row['steps_per_s']:,.0f} steps/s",
            figures=figures(row),
        )

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
