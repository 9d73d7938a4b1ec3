"""Progress of a training on stderr: a bar on a terminal, plain lines elsewhere."""

import logging
import math
import time
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from redox_balancer.runs.metrics import ENVIRONMENT

SHOWN = {"return": "return_mean", "growth": f"{ENVIRONMENT}growth", "value": f"{ENVIRONMENT}value"}
"""Columns shown beside the progress, where a run reports them."""


class ProgressSink:
    """Receiver of the progress of a training; this one reports nothing but warnings, which it logs."""

    def start(self, steps: int, total: int) -> None:
        """Training starts at `steps` of `total` environment steps."""

    def advance(self, steps: int) -> None:
        """The run now has this many steps."""

    def row(self, row: Mapping[str, float]) -> None:
        """A row of metrics was logged."""

    def message(self, text: str) -> None:
        """An event to log."""

    def warning(self, text: str) -> None:
        """A problem that does not stop the training."""
        logging.getLogger("redox_balancer").warning(text)

    def close(self) -> None:
        """Training has ended."""


def open_progress(console: Console | None = None) -> ProgressSink:
    """Return a bar if stderr is a terminal, plain lines otherwise."""
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    return BarProgress(console) if console.is_terminal else PlainProgress(console)


def format_metrics(row: Mapping[str, float]) -> str:
    """Return the metrics of a row that are shown beside the progress, without those that are missing."""
    shown = {name: row.get(column, math.nan) for name, column in SHOWN.items()}
    return "  ".join(f"{name} {value:.4g}" for name, value in shown.items() if not math.isnan(value))


class PlainProgress(ProgressSink):
    """One line per row of metrics."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._first = 0
        self._started = time.monotonic()

    def start(self, steps: int, total: int) -> None:
        """Start counting time and steps."""
        self._first, self._total, self._started = steps, total, time.monotonic()

    def row(self, row: Mapping[str, float]) -> None:
        """Print the row."""
        steps = int(row["steps"])
        elapsed = time.monotonic() - self._started
        left = elapsed / max(steps - self._first, 1) * max(self._total - steps, 0)
        self._console.print(
            f"{steps:>10,} steps  {100 * steps / self._total:5.1f} %  {row['steps_per_s']:7,.0f} steps/s  "
            f"{_clock(left)} left  {format_metrics(row)}"
        )

    def message(self, text: str) -> None:
        """Print a line."""
        self._console.print(escape(text))

    def warning(self, text: str) -> None:
        """Print a highlighted line."""
        self._console.print(f"[bold yellow]warning:[/] {escape(text)}")


class BarProgress(PlainProgress):
    """A bar with steps, percentage, speed, time left and the metrics of the newest row."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bar = Progress(
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=console,
        )
        self._task = self._bar.add_task("training", total=None, visible=False, speed="", metrics="")

    def start(self, steps: int, total: int) -> None:
        """Show the bar."""
        self._bar.update(self._task, completed=steps, total=total, visible=True)
        self._bar.start()

    def advance(self, steps: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=steps)

    def row(self, row: Mapping[str, float]) -> None:
        """Show the metrics of the row beside the bar."""
        self._bar.update(
            self._task,
            completed=int(row["steps"]),
            speed=f"{row['steps_per_s']:,.0f} steps/s",
            metrics=format_metrics(row),
        )

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
