"""Checkpoints of a run as rows of a list, from a bucket or a local folder, and the download of one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import DamagedCheckpointError
from redox_balancer.runs.remote.run import PulledCheckpoint, RemoteRun


@dataclass
class CheckpointRow:
    """One checkpoint of a list.

    Attributes
    ----------
    step
        Environment steps.
    bytes
        Size of all files.
    written_at
        Unix time of the last write.
    state
        "unverified"; "whole" or "damaged" after verification; "unfinished" if its push has not been completed.
    problem
        What is damaged, empty otherwise.
    """

    step: int
    bytes: int
    written_at: float
    state: Literal["unverified", "whole", "damaged", "unfinished"] = "unverified"
    problem: str = ""

    @property
    def age_s(self) -> float:
        """Time since the last write (s)."""
        return max(time.time() - self.written_at, 0.0)


def list_checkpoints(location: str, *, verify: bool = False, progress: Progress = no_progress) -> list[CheckpointRow]:
    """List the checkpoints of a run, newest first.

    Parameters
    ----------
    location
        `s3://BUCKET/experiments/RUN`, or a run's folder.
    verify
        Read each checkpoint and compare it with its manifest.
    progress
        Receives the number of checkpoints listed so far.

    Raises
    ------
    RedoxError
        Where there is no such folder or bucket.
    """
    phase = f"reading {location}"
    progress(phase)
    rows, read = _remote(location) if location.startswith("s3://") else _local(Path(location))
    for done, row in enumerate(rows):
        if verify and row.state == "unverified":
            try:
                read(row.step)
                row.state = "whole"
            except DamagedCheckpointError as error:
                row.state, row.problem = "damaged", error.message
        progress(phase, done + 1, len(rows))
    return rows


def damage(rows: Sequence[CheckpointRow]) -> RedoxError | None:
    """Return an error that names the damaged checkpoints of a list and the newest intact one, None without damage."""
    damaged = [row for row in rows if row.state == "damaged"]
    if not damaged:
        return None
    intact = next((row.step for row in rows if row.state == "whole"), None)
    return RedoxError(
        f"{len(damaged)} of {len(rows)} checkpoints damaged: {damaged[0].problem}",
        hint=f"step {intact:,} is the newest intact one" if intact is not None else "none is intact",
    )


def fetch(url: str, into: Path, step: int | None = None, progress: Progress = no_progress) -> PulledCheckpoint:
    """Fetch a checkpoint from a bucket, with the run's settings and metrics where the folder lacks them.

    Parameters
    ----------
    url
        `s3://BUCKET/experiments/RUN`.
    into
        Local folder of the run.
    step
        Step of the checkpoint; None fetches the newest intact one.
    progress
        Receives the bytes done and their total.

    Raises
    ------
    DamagedCheckpointError
        Where the checkpoint of this step, or every checkpoint, is damaged.
    RedoxError
        Where the bucket has no such checkpoint.
    """
    remote = RemoteRun(url)
    if step is None:
        pulled = remote.pull_newest(into, progress=progress)
    else:
        try:
            pulled = PulledCheckpoint(step, remote.pull(step, into, progress), {})
        except DamagedCheckpointError as error:
            older = next((other for other in remote.complete_steps() if other < step), None)
            if older is not None:
                error.hint, error.settings = f"fetch the next older one, step {older}", ("step",)
            raise
    if pulled is None:
        raise RedoxError(f"{url} has no checkpoint", hint="check the address: s3://BUCKET/experiments/RUN")
    remote.pull_metadata(into)
    return pulled


def _remote(url: str) -> tuple[list[CheckpointRow], Callable[[int], object]]:
    """Return the rows of a run in a bucket, and the function that verifies a step."""
    remote = RemoteRun(url)
    rows = [
        CheckpointRow(
            found.step, found.size_bytes, found.written_at, "unverified" if found.complete else "unfinished"
        )
        for found in remote.checkpoints().values()
    ]
    return rows, remote.verify


def _local(folder: Path) -> tuple[list[CheckpointRow], Callable[[int], object]]:
    """Return the rows of a run's folder, and the function that verifies a step."""
    if not folder.is_dir():
        raise RedoxError(
            f"folder {folder} does not exist", hint="name a run's folder, or s3://BUCKET/experiments/RUN"
        )
    paths, rows = checkpoint.steps(folder), []
    for step, path in paths.items():
        files = [file.stat() for file in path.iterdir()]
        written_at = max((file.st_mtime for file in files), default=0.0)
        rows.append(CheckpointRow(step, sum(file.st_size for file in files), written_at))
    return rows, lambda step: checkpoint.load(paths[step])
