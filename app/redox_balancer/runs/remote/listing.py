"""List the checkpoints of a run in a bucket or a folder, and fetch one from a bucket."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import DamagedCheckpointError
from redox_balancer.runs.manifest import MANIFEST
from redox_balancer.runs.remote.run import PulledCheckpoint, RemoteRun

ListedState = Literal["unverified", "whole", "damaged", "unfinished"]


@dataclass(frozen=True)
class ListedCheckpoint:
    """One checkpoint of a list."""

    step: int  # environment steps
    bytes: int  # of all files
    written_at: float  # Unix time of the last write, s
    state: ListedState = "unverified"  # `unfinished`: its push was not; `whole` and `damaged` where it was verified
    problem: str = ""  # what is damaged

    @property
    def age_s(self) -> float:
        """Seconds since the last write."""
        return max(time.time() - self.written_at, 0.0)

    def as_dict(self) -> dict[str, Any]:
        """All of it with the age, ready for JSON."""
        return {**asdict(self), "age_s": self.age_s}


def list_checkpoints(place: str, *, verify: bool = False) -> Iterator[ListedCheckpoint]:
    """Checkpoints of a run, newest first, each compared with its manifest if `verify` is set.

    `place` is `s3://BUCKET/experiments/RUN` or the folder of a run; a RedoxError if there is none.
    """
    return (_in_bucket if place.startswith("s3://") else _in_folder)(place, verify=verify)


def damage_of(listed: Sequence[ListedCheckpoint]) -> RedoxError | None:
    """Error that names the damaged checkpoints and the newest intact one; None where none is damaged."""
    damaged = [one for one in listed if one.state == "damaged"]
    if not damaged:
        return None
    intact = next((one.step for one in listed if one.state == "whole"), None)
    return RedoxError(
        f"{len(damaged)} of {len(listed)} checkpoints damaged: {damaged[0].problem}",
        hint="none is intact" if intact is None else f"step {intact:,} is the newest intact one",
    )


def fetch(url: str, into: Path, step: int | None = None, progress: Progress = no_progress) -> PulledCheckpoint:
    """Fetch a checkpoint from a bucket, with the run's settings and metrics where the folder lacks them.

    `url` is `s3://BUCKET/experiments/RUN`, `into` the local folder of the run. Without a step the newest intact
    checkpoint is fetched. A RedoxError where the bucket has no such checkpoint, or it, or every one, is damaged.
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


def _in_bucket(url: str, *, verify: bool) -> Iterator[ListedCheckpoint]:
    run = RemoteRun(url)
    for step, objects in run.checkpoints().items():
        found = _state(partial(run.verify, step), verify=verify) if MANIFEST in objects else ("unfinished", "")
        size = sum(entry.size for entry in objects.values())
        yield ListedCheckpoint(step, size, max(entry.written_at for entry in objects.values()), *found)


def _in_folder(folder: str, *, verify: bool) -> Iterator[ListedCheckpoint]:
    if not Path(folder).is_dir():
        raise RedoxError(
            f"folder {folder} does not exist", hint="name a run's folder, or s3://BUCKET/experiments/RUN"
        )
    for step, path in checkpoint.steps(Path(folder)).items():
        with suppress(FileNotFoundError):  # a trainer has removed it since
            files = [file.stat() for file in path.iterdir()]
            size, written_at = (
                sum(file.st_size for file in files),
                max((file.st_mtime for file in files), default=0.0),
            )
            found = _state(partial(checkpoint.load, path), verify=verify)
            path.stat()
            yield ListedCheckpoint(step, size, written_at, *found)


def _state(load: Callable[[], object], *, verify: bool) -> tuple[ListedState, str]:
    """State of a complete checkpoint and what is damaged."""
    try:
        if verify:
            load()
    except DamagedCheckpointError as error:
        return "damaged", error.message
    return "whole" if verify else "unverified", ""
