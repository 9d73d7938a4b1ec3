"""Saving checkpoints of a running training, in a background thread so that a slow disk does not delay it."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import Checkpoint

BEST_EPISODES = 100  # with fewer episodes since the previous save, chance decides which mean return is the best


class BestCheckpoint(NamedTuple):
    """Step of the checkpoint with the highest mean return of the episodes before it, and that return."""

    step: int
    return_mean: float


class SavedCheckpoint(NamedTuple):
    """A written checkpoint, the best one at that time, and what could not be tidied up after it."""

    path: Path
    step: int
    best: BestCheckpoint | None
    problems: list[str]


class CheckpointWriter:
    """Writes the checkpoints of a run, which resumes from `restored`.

    `warn` is called where old checkpoints cannot be removed or links not be set, once for each reason.
    """

    def __init__(
        self, folder: Path, config: TrainConfig, restored: Checkpoint | None, *, warn: Callable[[str], Any]
    ) -> None:
        self._folder, self._config, self._warn = folder, config, warn
        self.newest = restored.path if restored else None
        self.newest_step = restored.step if restored else -1
        self.written_at = self._started_at = time.monotonic()  # the last successful save, or the start
        self.started_step = restored.step if restored else 0  # of the last save that was started
        self.failed = 0  # number of failed saves
        self.failure: OSError | None = None  # of the last save
        best = restored.state["best"] if restored else None  # which this folder may not contain
        self._best = BestCheckpoint(**best) if best and best["step"] in checkpoint.steps(folder) else None
        self._returns: list[NDArray[np.float64]] = []  # of the episodes since the last save
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[SavedCheckpoint] | None = None
        self._warned: set[str] = set()

    def add_returns(self, returns: NDArray[np.float64]) -> None:
        """Record the returns of episodes, shape (E,), for the choice of the best checkpoint."""
        self._returns.append(returns)

    def due(self, step: int) -> bool:
        """Whether a checkpoint is due at this step; never before the previous one is written."""
        config, started = self._config, self.started_step
        over = interval_over(step, started, config.save_interval_steps, self._started_at, config.save_interval_s)
        return over and step > started and (self._writing is None or self._writing.done())

    def start(self, step: int, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]) -> None:
        """Start to write a checkpoint; `settle` comes before, and again for its result.

        The mean return since the previous save and the best checkpoint so far are added to `state`.
        """
        self._started_at, self.started_step = time.monotonic(), step
        returns, self._returns = np.concatenate([*self._returns, np.zeros(0)]), []
        mean = float(returns.mean()) if returns.size else None
        best = self._best
        if mean is not None and returns.size >= BEST_EPISODES and (best is None or mean > best.return_mean):
            best = BestCheckpoint(step, mean)
        complete = {**state, "return_mean": mean, "best": best._asdict() if best else None}
        self._writing = self._executor.submit(self._write, step, arrays, complete, best)

    def _write(
        self, step: int, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any], best: BestCheckpoint | None
    ) -> SavedCheckpoint:
        path = checkpoint.save(self._folder, step, arrays, state)
        # The checkpoint is safe now; neither a link nor an old one that stays may endanger the training.
        problems = []
        saved, best_step = checkpoint.steps(self._folder), best.step if best else None
        for name, pointed in ((checkpoint.LATEST, step), (checkpoint.BEST, best_step)):
            if pointed in saved:
                try:
                    checkpoint.point(name, saved[pointed])
                except OSError as error:
                    problems.append(f"no link {self._folder / name}: {error.strerror or error}")
        try:
            keep, every = self._config.keep_checkpoints, self._config.keep_every_steps
            checkpoint.prune(self._folder, keep, every=every, best=best_step)
        except OSError as error:
            problems.append(f"old checkpoints remain in {self._folder}: {error.strerror or error}")
        return SavedCheckpoint(path, step, best, problems)

    @property
    def done(self) -> bool:
        """Whether a checkpoint was written, or failed, and `settle` has not been called since."""
        return self._writing is not None and self._writing.done()

    def settle(self) -> SavedCheckpoint | None:
        """Wait for the checkpoint that is being written and return it, None without one; OSError where it failed."""
        if self._writing is None:
            return None
        writing, self._writing = self._writing, None
        try:
            saved = writing.result()
        except OSError as error:
            self.failure = error
            self.failed += 1
            raise
        self.newest, self.newest_step, self._best, self.failure = saved.path, saved.step, saved.best, None
        self.written_at = time.monotonic()
        for problem in saved.problems:
            if problem not in self._warned:
                self._warned.add(problem)
                self._warn(problem)
        return saved

    def require_newest(self) -> Path:
        """Return the newest checkpoint; a RedoxError where the last save failed or there is no checkpoint."""
        if self.failure is None and self.newest is not None:
            return self.newest
        reason = (self.failure.strerror or self.failure) if self.failure else "nothing was written"
        newest = f"the newest is {self.newest}" if self.newest else "there is none"
        raise RedoxError(
            f"the last checkpoint, step {self.started_step:,}, could not be written: {reason}; {newest}",
            hint="free some disk, then resume the run",
            settings=("resume",),
        )

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown()


def interval_over(step: int, last_step: int, every_steps: int, last_at: float, every_s: float) -> bool:
    """Whether an interval is over: a multiple of `every_steps` was passed or, where that is 0, `every_s` seconds."""
    if every_steps:
        return step // every_steps > last_step // every_steps
    return time.monotonic() - last_at >= every_s
