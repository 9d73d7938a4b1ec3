"""Writing the metrics of a run: a row per logging interval in `metrics.csv`, and the same values for TensorBoard."""

import csv
import errno
import io
import math
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from redox_balancer.files import write_whole
from redox_balancer.runs.metrics import COLUMNS


class MetricsLog:
    """`metrics.csv` and `tensorboard/` of a run.

    The columns are `COLUMNS`, then those of the environment in the order of their first appearance. A resumed run
    appends its rows, after rows beyond the restored `step` (0 for a new run) were removed.
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
        self._events = EventLog(run / "tensorboard", step)

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row; an OSError (disk full) leaves the files unchanged."""
        new = [name for name in row if name not in self._columns]
        if new:
            with self.path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self._columns += new
            self._rewrite(rows)
        _append(self.path, self._lines([{name: _text(value) for name, value in row.items()}]))
        self._events.write(row)

    def _rewrite(self, rows: Iterable[Mapping[str, str]]) -> None:
        header = self._lines([{name: name for name in self._columns}])
        write_whole(self.path, header + self._lines(rows))

    def _lines(self, rows: Iterable[Mapping[str, str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


class EventLog:
    """Event files for TensorBoard.

    They are written synchronously and not by TensorBoard's own writer, whose thread dies on a full disk and leaves a
    truncated record that hides all later ones. Events of earlier files beyond the restored `step` are ignored.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names, which must be that of their creation.
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        self._path = folder / f"events.out.tfevents.{seconds:010d}.{nanoseconds:09d}.{uuid.uuid4().hex}"
        self._write(
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START)),
        )

    def write(self, row: Mapping[str, float]) -> None:
        """Add the values of a row at its step."""
        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in row.items()
            if name != "steps" and math.isfinite(value)
        ]
        self._write(Event(wall_time=time.time(), step=int(row["steps"]), summary=Summary(value=values)))

    def _write(self, *events: Event) -> None:
        records = io.BytesIO()
        writer = RecordWriter(records)
        for event in events:
            writer.write(event.SerializeToString())
        _append(self._path, records.getvalue())


def _append(path: Path, content: bytes) -> None:
    """Append all of the content or, with an OSError, none of it."""
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
    """Return the steps of a row, infinity for a truncated one."""
    try:
        return int(row["steps"] or "") if None not in {*row, *row.values()} else math.inf
    except ValueError:
        return math.inf


def _text(value: float) -> str:
    """Format a value so that it reads back exactly; empty for NaN."""
    return "" if math.isnan(value) else repr(value)
