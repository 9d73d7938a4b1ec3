"""Metrics of a run: one row per logging interval in `metrics.csv`, and the same figures for TensorBoard."""

from __future__ import annotations

import csv
import errno
import io
import math
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from redox_balancer.files import write_whole
from redox_balancer.impala.learner import LearnerState, Update
from redox_balancer.impala.rollout import Episodes

# Columns whose figures depend on the clock; all others repeat in a serial run that is repeated.
TIME_COLUMNS = ("seconds", "steps_per_s")
COLUMNS = (
    "steps", "updates", *TIME_COLUMNS, "episodes", "return_mean", "length_mean",
    "policy_loss", "baseline_loss", "entropy", "rho_mean", "rho_max", "rho_clipped", "grad_norm",
    "explained_variance", "learning_rate", "entropy_cost", "lag_min", "lag_mean", "lag_max", "dropped",
    "failed_saves",
)  # fmt: skip
ENVIRONMENT = "env/"  # begins the columns of what the environment reports at the end of an episode


class Window:
    """Sums up the updates of one logging interval.

    Of the learner's states it keeps the newest alone: each is three vectors of the policy's size.
    """

    def __init__(self) -> None:
        self._state: LearnerState | None = None
        self._begin()

    def _begin(self) -> None:
        self._metrics: list[Mapping[str, float]] = []
        self._lags: list[int] = []
        self._episodes: list[Episodes] = []

    def add(self, update: Update) -> None:
        """Take in an update."""
        self._state = update.state
        self._metrics.append(update.metrics)
        self._lags += update.lags
        self._episodes += update.episodes

    @property
    def empty(self) -> bool:
        """Whether nothing was taken in since the last row."""
        return not self._metrics

    def row(self, *, seconds: float, steps_per_s: float, failed_saves: int = 0) -> dict[str, float]:
        """Return the figures of the interval and begin a new one; NaN for what did not happen in it.

        Losses are means over updates, returns and the environment's figures means over episodes, `rho_max` is the
        largest; lags count over the rollouts used.

        Parameters
        ----------
        seconds
            Training time of the run so far, over all its processes.
        steps_per_s
            Steps of this process over its seconds.
        failed_saves
            Checkpoints that this process could not write so far.
        """
        state, metrics, lags, episodes = self._state, self._metrics, self._lags, self._episodes
        if state is None or not metrics:
            raise RuntimeError("a row of an interval without updates")
        self._begin()
        returns = np.concatenate([batch.returns for batch in episodes])
        row = {
            "steps": state.steps,
            "updates": state.updates,
            "seconds": seconds,
            "steps_per_s": steps_per_s,
            "episodes": len(returns),
            "return_mean": _mean(returns),
            "length_mean": _mean(np.concatenate([batch.lengths for batch in episodes])),
            **{name: _mean([figures[name] for figures in metrics]) for name in metrics[-1]},
            "rho_max": max(figures["rho_max"] for figures in metrics),
            "learning_rate": metrics[-1]["learning_rate"],
            "entropy_cost": metrics[-1]["entropy_cost"],
            "lag_min": min(lags),
            "lag_mean": _mean(lags),
            "lag_max": max(lags),
            "dropped": state.dropped,
            "failed_saves": failed_saves,
        }
        reported: dict[str, list[float]] = {}
        for batch in episodes:
            for figures in batch.metrics:
                for name, figure in figures.items():
                    reported.setdefault(name, []).append(float(figure))
        return row | {f"{ENVIRONMENT}{name}": _mean(reported[name]) for name in sorted(reported)}


def _mean(figures: Iterable[float]) -> float:
    array = np.asarray(list(figures), dtype=np.float64)
    return float(array.mean()) if array.size else math.nan


class MetricsLog:
    """`metrics.csv` and `tensorboard/` of a run.

    The columns are `COLUMNS`, then those of the environment in the order in which they first came up. Rows of a
    resumed run are appended; those beyond the restored step are removed first.

    Parameters
    ----------
    run
        Folder of the run.
    step
        The restored environment step, 0 for a new run.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / "metrics.csv"
        self._columns = list(COLUMNS)
        rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                reader = csv.DictReader(file)
                rows = [row for row in reader if _step_of(row) <= step]
            self._columns += [name for name in reader.fieldnames or () if name not in COLUMNS]
        self._rewrite(rows)
        self._board = Board(run / "tensorboard", step)

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row; an OSError (disk full) leaves the files as they were."""
        new = [name for name in row if name not in self._columns]
        if new:
            with self.path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self._columns += new
            self._rewrite(rows)
        _append(self.path, self._lines([{name: _text(figure) for name, figure in row.items()}]))
        self._board.write(row)

    def _rewrite(self, rows: Iterable[Mapping[str, str]]) -> None:
        header = self._lines([{name: name for name in self._columns}])
        write_whole(self.path, header + self._lines(rows))

    def _lines(self, rows: Iterable[Mapping[str, str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


class Board:
    """Event files for TensorBoard.

    Written at once and by ourselves: the thread of TensorBoard's own writer dies of a full disk, and its last record,
    cut short, hides all that follow.

    Parameters
    ----------
    folder
        Where TensorBoard looks.
    step
        The restored environment step: TensorBoard forgets what earlier files hold beyond it.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names, which must be that of their making.
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        self._path = folder / f"events.out.tfevents.{seconds:010d}.{nanoseconds:09d}.{uuid.uuid4().hex}"
        self._write(
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START)),
        )

    def write(self, row: Mapping[str, float]) -> None:
        """Add the figures of a row at its step."""
        values = [
            Summary.Value(tag=name, simple_value=figure)
            for name, figure in row.items()
            if name != "steps" and math.isfinite(figure)
        ]
        self._write(Event(wall_time=time.time(), step=int(row["steps"]), summary=Summary(value=values)))

    def _write(self, *events: Event) -> None:
        records = io.BytesIO()
        writer = RecordWriter(records)
        for event in events:
            writer.write(event.SerializeToString())
        _append(self._path, records.getvalue())


def _append(path: Path, content: bytes) -> None:
    """Append all of the content or, with an OSError, nothing of it."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            written = file.write(content)
        except OSError:
            file.truncate(size)
            raise
        if written != len(content):
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _step_of(row: Mapping[str, str | None]) -> float:
    """Return the step of a row, infinity for one that is not whole."""
    try:
        return int(row["steps"] or "") if None not in {*row, *row.values()} else math.inf
    except ValueError:
        return math.inf


def _text(figure: float) -> str:
    """Write a figure so that it reads back exactly; empty for NaN."""
    return "" if math.isnan(figure) else repr(figure)
