"""A run as it goes on: its counters, rows of metrics and checkpoints, however its rollouts are collected."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner import Learner, LearnerState, Update
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import Rollout
from redox_balancer.resources import ProcessStats, memory, process_stats
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import Checkpoint
from redox_balancer.runs.heartbeat import HeartbeatWriter, Status
from redox_balancer.runs.metrics import MetricsLog, Window
from redox_balancer.runs.monitor import Monitor
from redox_balancer.runs.progress import ProgressSink
from redox_balancer.runs.remote.uploader import Uploader
from redox_balancer.runs.watchdog import HealthSample, Watchdog, WatchdogLimits

# The fields of `LearnerState`: those in a checkpoint's arrays and those in its state.
VECTORS = ("parameters", "exp_avg", "exp_avg_sq")
COUNTERS = ("updates", "steps", "dropped")

# Below this many episodes since the save before, luck decides which mean return is the best.
BEST_EPISODES = 100


@dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes
    ----------
    steps, updates
        Environment steps and updates of the run, over all its processes.
    steps_per_s
        Steps of this process over its seconds; 0 where there was nothing left to do.
    checkpoint
        The newest checkpoint.
    finished
        Whether the run has all its steps; False where a signal ended it.
    last_row
        The last row of metrics of this process.
    """

    steps: int
    updates: int
    steps_per_s: float
    checkpoint: Path
    finished: bool
    last_row: Mapping[str, float]


class Best(NamedTuple):
    """The checkpoint before which episodes had the highest mean return, and that return."""

    step: int
    return_mean: float


class Saved(NamedTuple):
    """A written checkpoint, the best one then, and what kept old ones from being removed."""

    path: Path
    step: int
    best: Best | None
    untidy: OSError | None


class TrainingRun:
    """Bookkeeping of one process of a run.

    Parameters
    ----------
    config
        Settings.
    fingerprint
        What the environments are, stored with each checkpoint.
    folder
        Folder of the run.
    restored
        The checkpoint to go on from.
    progress
        Where to report.
    seen
        Returns that the environment gave before the run, for the watchdog.
    started
        `time.monotonic()` when this process began.
    uploader
        Pushes what is saved to a bucket.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        fingerprint: Mapping[str, Any],
        folder: Path,
        restored: Checkpoint | None,
        progress: ProgressSink,
        seen: Sequence[float],
        started: float,
        uploader: Uploader | None = None,
    ) -> None:
        self.config, self.progress = config, progress
        self._mirror = uploader
        self._fingerprint, self._folder, self._restored, self._started = fingerprint, folder, restored, started
        self._first_step = restored.step if restored else 0
        self._seconds_before = float(restored.state["training_time_s"]) if restored else 0.0
        self.incarnations = self._next_incarnations()
        # From whoever collects: further figures of each row of metrics, and what the actors and Ray's processes take.
        self.gauges: Callable[[], Mapping[str, float]] = dict
        self.actors: Callable[[], Mapping[str, ProcessStats]] = dict
        self.daemons: Callable[[], Mapping[str, ProcessStats]] = dict
        self._oversight = Monitor(Watchdog(WatchdogLimits.of(config), seen=seen), self._alarm)

        self._state: LearnerState | None = None
        self._shape: PolicyShape | None = None
        self._window = Window()
        self._last_row: Mapping[str, float] = {}
        self._logged_at = self._saved_at = self._checkpoint_at = time.monotonic()
        self._looked_at = -math.inf
        self._logged_step = self._saved_step = self._first_step
        self._written = restored.path if restored else None
        self._written_step = restored.step if restored else -1
        self._writing: Future[Saved] | None = None
        self._failure: OSError | None = None
        self._failed_saves = 0
        self._returns: list[NDArray[np.float64]] = []  # of the episodes since the last save
        self._best = self._restored_best()
        self._metrics = MetricsLog(folder, self._first_step)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._end: tuple[Status, str] | None = None
        self._pulse = HeartbeatWriter(
            folder,
            config.heartbeat_interval_s,
            timesteps=config.timesteps,
            step=self._first_step,
            checkpoint_step=restored.step if restored else None,
            checkpoint_at=restored.path.stat().st_mtime if restored and restored.path.exists() else None,
        )
        if uploader is not None:
            uploader.report_to(self._pulse.note)

    @property
    def collector_state(self) -> Mapping[str, Any] | None:
        """State of the serial collector in the restored checkpoint, None where there is none."""
        return self._restored.state["collector"] if self._restored else None

    def _restored_best(self) -> Best | None:
        """Return the best checkpoint so far, None where this folder does not hold it."""
        best = self._restored.state["best"] if self._restored else None
        return Best(**best) if best and best["step"] in checkpoint.steps(self._folder) else None

    def _next_incarnations(self) -> dict[int, int]:
        """Give each actor a process number that no process of its name had, so that no random draw repeats.

        A serial collector whose random state was saved goes on as the process it was.
        """
        before = (
            {int(actor): number for actor, number in self._restored.state["incarnations"].items()}
            if self._restored
            else {}
        )
        if self.config.num_actors == 0 and self.collector_state is not None:
            return before
        return before | {actor: before.get(actor, -1) + 1 for actor in range(max(self.config.num_actors, 1))}

    def learner(self, shape: PolicyShape) -> Learner:
        """Make the learner where the run stands, and begin to report."""
        restored = self._restored
        if restored is None:
            state = LearnerState.fresh(shape, self.config.seed)
        elif restored.state["policy"] == shape.as_dict():
            parameters, exp_avg, exp_avg_sq = (restored.arrays[name] for name in VECTORS)
            updates, steps, dropped = (int(restored.state[name]) for name in COUNTERS)
            state = LearnerState(parameters, exp_avg, exp_avg_sq, updates, steps, dropped)
        else:
            raise RedoxError(
                f"{restored.path} holds a policy of sizes {restored.state['policy']}, not {shape.as_dict()}",
                hint="resume with the environment and the hidden layers of that run (its config.json)",
            )
        self._state, self._shape = state, shape
        self.progress.start(state.steps, self.config.timesteps)
        self._pulse.note(status="training")
        return Learner(self.config, shape, state)

    @property
    def state(self) -> LearnerState:
        """The learner after the last recorded update."""
        if self._state is None:
            raise RuntimeError("the run has no learner yet")
        return self._state

    @property
    def finished(self) -> bool:
        """Whether the run has all its steps."""
        return self.state.steps >= self.config.timesteps

    @property
    def _steps_per_s(self) -> float:
        """Steps of this process over its seconds; what earlier processes did does not count."""
        return (self.state.steps - self._first_step) / (time.monotonic() - self._started)

    @property
    def _left_s(self) -> float:
        """Seconds that the remaining steps take at this speed."""
        speed = self._steps_per_s
        return (self.config.timesteps - self.state.steps) / speed if speed else math.inf

    @property
    def _training_time_s(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def see(self, rollout: Rollout) -> None:
        """Look at a rollout before the learner gets it; a `NonsenseError` where it teaches nothing."""
        self._oversight.see(rollout)

    def _alarm(self, text: str) -> None:
        self.progress.warning(text)
        self._pulse.note(alarm=text, alarm_at=time.time())

    def record(self, update: Update) -> None:
        """Take in an update, and log a row where one is due; a `NonsenseError` where it makes no sense."""
        self._oversight.update(update)
        self._state = update.state
        self._window.add(update)
        self._returns += [batch.returns for batch in update.episodes]
        self._pulse.note(updated_at=time.time(), step=self.state.steps, steps_per_s=self._steps_per_s)
        self.progress.advance(self.state.steps)
        every = self.config.log_interval_steps
        if _due(self.state.steps, self._logged_step, every, self._logged_at, self.config.log_interval_s):
            self._log()

    def _check_health(self) -> None:
        """Look at the memory, descriptors and threads of all processes, and at the age of the newest checkpoint."""
        self._looked_at = time.monotonic()
        own, actors = process_stats(), self.actors()
        growth = self._oversight.health(
            {"trainer": own, **actors, **self.daemons()},
            HealthSample(self._looked_at - self._checkpoint_at, memory().available_bytes, self._left_s),
        )
        self._pulse.note(
            actors_alive=len(actors) if self.config.num_actors else None,
            actor_bytes=max((stats.uss_bytes for stats in actors.values()), default=None),
            trainer_bytes=own.uss_bytes,
            growth_bytes_per_s=growth,
        )

    def _log(self) -> None:
        if self._window.empty:
            return
        row = self._window.row(
            seconds=self._training_time_s, steps_per_s=self._steps_per_s, failed_saves=self._failed_saves
        )
        row |= self.gauges()
        if self._mirror is not None:
            row |= self._mirror.metrics
        self._last_row, self._logged_at, self._logged_step = row, time.monotonic(), self.state.steps
        self.progress.row(row)
        try:
            self._metrics.write(row)
        except OSError as error:
            self.progress.warning(f"no row of metrics at step {self.state.steps:,}: {error.strerror or error}")

    @property
    def save_due(self) -> bool:
        """Whether the interval between checkpoints is over, and the one before is written."""
        if self._writing is not None and not self._writing.done():
            return False  # a slow disk must not hold up the actors
        every = self.config.save_interval_steps
        return self.state.steps > self._saved_step and _due(
            self.state.steps, self._saved_step, every, self._saved_at, self.config.save_interval_s
        )

    def save(self, collector: Mapping[str, Any] | None = None) -> None:
        """Begin to write a checkpoint beside the loop; a failure is reported and the next interval tries again.

        `collector` is the state of the collector of a serial run. A row of metrics comes first, so that the rows of
        a resumed run begin where those of this process would.
        """
        self.settle()
        self._log()
        state, shape = self.state, self._shape
        if shape is None:
            raise RuntimeError("the run has no learner yet")
        self._saved_at, self._saved_step = time.monotonic(), state.steps
        returns, self._returns = np.concatenate([*self._returns, np.zeros(0)]), []
        mean = float(returns.mean()) if returns.size else None
        best = self._best
        if mean is not None and returns.size >= BEST_EPISODES and (best is None or mean > best.return_mean):
            best = Best(state.steps, mean)
        arrays = {name: getattr(state, name) for name in VECTORS}
        rest = {
            **{name: getattr(state, name) for name in COUNTERS},
            "policy_version": state.updates,
            "training_time_s": self._training_time_s,
            "seed": self.config.seed,
            "incarnations": self.incarnations,
            "collector": collector,
            "policy": shape.as_dict(),
            "return_mean": mean,
            "best": best._asdict() if best else None,
            "fingerprint": self._fingerprint,
            "settings": self.config.as_dict(),
        }

        def write() -> Saved:
            path = checkpoint.save(self._folder, state.steps, arrays, rest)
            untidy = None
            try:
                if best is not None and best.step == state.steps:
                    checkpoint.mark_best(path)
                checkpoint.prune(
                    self._folder,
                    self.config.keep_checkpoints,
                    every=self.config.keep_every_steps,
                    best=best.step if best else None,
                )
            except OSError as error:
                untidy = error
            return Saved(path, state.steps, best, untidy)

        self._pulse.note(status="saving")
        self._writing = self._writer.submit(write)

    def poll(self) -> None:
        """Report a checkpoint that was finished since the last call; look at the run's health once a heartbeat."""
        if self._writing is not None and self._writing.done():
            self.settle()
        if time.monotonic() - self._looked_at >= self.config.heartbeat_interval_s:
            self._check_health()

    def settle(self) -> None:
        """Wait for the checkpoint that is being written, if any, and report how it went."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        try:
            saved = writing.result()
        except OSError as error:
            self._failure = error
            self._failed_saves += 1
            self.progress.warning(
                f"NO CHECKPOINT at step {self._saved_step:,}: {error.strerror or error}; "
                "training goes on and tries again"
            )
            self._pulse.note(
                status="training",
                failed_saves=self._failed_saves,
                message=f"no checkpoint at step {self._saved_step:,}: {error.strerror or error}",
            )
            return
        self._written, self._written_step, self._best, self._failure = saved.path, saved.step, saved.best, None
        self._checkpoint_at = time.monotonic()
        if self._mirror is not None:
            self._mirror.push()
        self._pulse.note(status="training", checkpoint_step=saved.step, checkpoint_at=time.time(), message="")
        if saved.untidy is not None:
            self.progress.warning(f"old checkpoints stay in {self._folder}: {saved.untidy.strerror or saved.untidy}")

    def finish(self, collector: Mapping[str, Any] | None = None) -> TrainResult:
        """Write the last row and checkpoint; a RedoxError where the checkpoint cannot be written."""
        self.settle()
        if self._written_step != self.state.steps:
            self.save(collector)
            self.settle()
        if self._failure is not None or self._written is None:
            kept = f"the newest is {self._written}" if self._written else "there is none"
            reason = (self._failure.strerror or self._failure) if self._failure else "nothing was written"
            raise RedoxError(
                f"the last checkpoint, step {self.state.steps:,}, could not be written: {reason}; {kept}",
                hint="free some disk, then --resume auto goes on from there",
            )
        if not self.finished:
            self.progress.message(
                f"stopped at step {self.state.steps:,} of {self.config.timesteps:,}, saved {self._written}; "
                "the same command with --resume auto goes on"
            )
        self._end = ("finished" if self.finished else "stopped", "")
        state = self.state
        return TrainResult(
            state.steps, state.updates, self._steps_per_s, self._written, self.finished, self._last_row
        )

    def close(self) -> None:
        """Close the files and end the report; the heartbeat names the error that is on its way, if any."""
        self.settle()
        self._writer.shutdown()
        if self._mirror is not None:
            self._mirror.finish(self.config.remote_patience_s, self.progress.message)
        error = sys.exception()
        status, message = self._end or ("failed", f"{type(error).__name__}: {error}" if error else "")
        self._pulse.note(status=status, message=message)
        self._pulse.close()
        self.progress.close()


def _due(step: int, last_step: int, every_steps: int, last_at: float, every_s: float) -> bool:
    """Whether an interval is over: a multiple of `every_steps` was passed or, where that is 0, the seconds were."""
    if every_steps:
        return step // every_steps > last_step // every_steps
    return time.monotonic() - last_at >= every_s
