"""A run while it trains: learner state, metrics, monitoring and checkpoints, however rollouts are collected."""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner import Learner, LearnerState, Update
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import Episodes, Rollout
from redox_balancer.resources import ProcessStats, memory, process_stats
from redox_balancer.runs.checkpoint import Checkpoint
from redox_balancer.runs.heartbeat import HeartbeatWriter, Status
from redox_balancer.runs.metrics import Window
from redox_balancer.runs.metrics_log import MetricsLog
from redox_balancer.runs.progress import ProgressSink
from redox_balancer.runs.remote.uploader import Uploader
from redox_balancer.runs.resume import learner_state, next_incarnations, parts_of
from redox_balancer.runs.saving import CheckpointWriter, interval_over
from redox_balancer.runs.watchdog import Alarm, NonsenseError, Watchdog, WatchdogLimits


@dataclass(frozen=True)
class TrainResult:
    """Result of a training."""

    steps: int  # environment steps of the run, over all its processes
    updates: int  # the same of updates
    steps_per_s: float  # of this process; 0 where there was nothing left to do
    checkpoint: Path  # the newest
    finished: bool  # the run has all its steps; False where a signal stopped it
    last_row: Mapping[str, float]  # of metrics of this process


class TrainingRun:
    """One process of a run.

    `fingerprint` is the identity of the environments, stored with each checkpoint, and `known_returns` are those that
    they gave before the run, for the watchdog. `started` is `time.monotonic()` at the start of this process.
    """

    state: LearnerState  # after the last recorded update; from `begin` on
    _shape: PolicyShape

    def __init__(
        self,
        config: TrainConfig,
        *,
        fingerprint: Mapping[str, Any],
        folder: Path,
        restored: Checkpoint | None,
        progress: ProgressSink,
        known_returns: Sequence[float],
        started: float,
        uploader: Uploader | None,
    ) -> None:
        self.config, self.progress = config, progress
        self._uploader = uploader
        self._fingerprint, self._restored = fingerprint, restored
        self._first_step = restored.step if restored else 0
        self._started, self._seconds_before = started, float(restored.state["training_time_s"]) if restored else 0.0
        self.incarnations = next_incarnations(config, restored)  # of the process of each actor
        self.collector_state = restored.state["collector"] if restored else None  # of a serial run
        self.extra_metrics: Callable[[], Mapping[str, float]] = dict  # further columns of each row
        self.actor_stats: Callable[[], Mapping[str, ProcessStats]] = dict
        self.daemon_stats: Callable[[], Mapping[str, ProcessStats]] = dict  # of Ray
        self._watchdog = Watchdog(WatchdogLimits.of(config), known_returns=known_returns)

        self._window = Window()
        self._last_row: Mapping[str, float] = {}
        self._logged_at, self._logged_step = time.monotonic(), self._first_step
        self._checked_at = -math.inf
        self._end: tuple[Status, str] | None = None
        self._checkpoints = CheckpointWriter(folder, config, restored, warn=progress.warning)
        self._metrics = MetricsLog(folder, self._first_step)
        self._heartbeat = HeartbeatWriter(
            folder,
            config.heartbeat_interval_s,
            timesteps=config.timesteps,
            step=self._first_step,
            checkpoint_step=restored.step if restored else None,
            checkpoint_at=restored.path.stat().st_mtime if restored and restored.path.exists() else None,
        )
        if uploader is not None:
            uploader.report_to(self._heartbeat.note)

    def learner(self, shape: PolicyShape) -> Learner:
        """Create the learner in the state of the run, and start to report progress."""
        return Learner(self.config, shape, self.begin(shape))

    def begin(self, shape: PolicyShape) -> LearnerState:
        """Return the state of the run for learners elsewhere, and start to report progress."""
        state = learner_state(shape, self.config.seed, self._restored)
        self.state, self._shape = state, shape
        self.progress.start(state.steps, self.config.timesteps)
        self._heartbeat.note(status="training")
        return state

    @property
    def finished(self) -> bool:
        """Whether the run has all its steps."""
        return self.state.steps >= self.config.timesteps

    @property
    def _seconds(self) -> float:
        """Training time over all processes."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def _steps_per_s(self) -> float:
        """Steps of this process per second."""
        return (self.state.steps - self._first_step) / (time.monotonic() - self._started)

    def check(self, rollout: Rollout) -> None:
        """Check a rollout before the learner uses it; a `NonsenseError` where there is nothing to learn from."""
        self.check_episodes(rollout.episodes)

    def check_episodes(self, episodes: Episodes) -> None:
        """The same of episodes alone."""
        self._report(self._watchdog.episodes(episodes.keys, episodes.returns))

    def _report(self, alarms: Sequence[Alarm]) -> None:
        for alarm in alarms:
            if alarm.level == "stop":
                raise NonsenseError(alarm)
        for alarm in alarms:
            text = f"{alarm.name}: {alarm.text}"
            self.progress.warning(text)
            self._heartbeat.note(alarm=text, alarm_at=time.time())

    def record(self, update: Update) -> None:
        """Record an update, and log a row of metrics when due; a `NonsenseError` where the update makes no sense."""
        state, lag_max = update.state, max(update.lags, default=0)
        self._report(self._watchdog.update(update.metrics, lag_max=lag_max, steps=state.steps, dropped=state.dropped))
        self.state = state
        self._window.add(update)
        for episodes in update.episodes:
            self._checkpoints.add_returns(episodes.returns)
        steps, config = self.state.steps, self.config
        self._heartbeat.note(updated_at=time.time(), step=steps, steps_per_s=self._steps_per_s)
        self.progress.advance(steps)
        if interval_over(steps, self._logged_step, config.log_interval_steps, self._logged_at, config.log_interval_s):
            self._log()

    def _check_health(self) -> None:
        """Check memory, descriptors and threads of all processes, and the age of the newest checkpoint."""
        self._checked_at = time.monotonic()
        own, actors = process_stats(), self.actor_stats()
        left, speed = self.config.timesteps - self.state.steps, self._steps_per_s
        alarms = self._watchdog.health(
            {"trainer": own, **actors, **self.daemon_stats()},
            checkpoint_age_s=self._checked_at - self._checkpoints.written_at,
            available_bytes=memory().available_bytes,
            left_s=left / speed if speed else math.inf,
        )
        self._report(alarms)
        self._heartbeat.note(
            actors_alive=len(actors) if self.config.num_actors else None,
            actor_bytes=max((stats.uss_bytes for stats in actors.values()), default=None),
            trainer_bytes=own.uss_bytes,
            growth_bytes_per_s=sum(self._watchdog.memory_slope.values()),
        )

    def _log(self) -> None:
        if self._window.empty:
            return
        row = self._window.row(
            seconds=self._seconds, steps_per_s=self._steps_per_s, failed_saves=self._checkpoints.failed
        )
        row |= self.extra_metrics()
        if self._uploader is not None:
            row |= self._uploader.metrics
        self._last_row, self._logged_at, self._logged_step = row, time.monotonic(), self.state.steps
        self.progress.row(row)
        try:
            self._metrics.write(row)
        except OSError as error:
            self.progress.warning(f"no row of metrics at step {self.state.steps:,}: {error.strerror or error}")

    @property
    def save_due(self) -> bool:
        """Whether a checkpoint is due."""
        return self._checkpoints.due(self.state.steps)

    def save(self, collector: Mapping[str, Any] | None = None) -> None:
        """Start to write a checkpoint; a failure is reported, and the next interval tries again.

        `collector` is the state of the collector of a serial run. A row of metrics is logged first, so that the rows
        of a resumed run start where those of this process would.
        """
        self.settle()
        self._log()
        arrays, counters = parts_of(self.state)
        rest = {
            **counters,
            "policy_version": self.state.updates,
            "training_time_s": self._seconds,
            "seed": self.config.seed,
            "incarnations": dict(self.incarnations),
            "collector": collector,
            "policy": self._shape.as_dict(),
            "fingerprint": self._fingerprint,
            "settings": self.config.model_dump(mode="json"),
        }
        self._heartbeat.note(status="saving")
        self._checkpoints.start(self.state.steps, arrays, rest)

    def poll(self) -> None:
        """Report a checkpoint finished since the last call, and check the health of the run once per heartbeat."""
        if self._checkpoints.done:
            self.settle()
        if time.monotonic() - self._checked_at >= self.config.heartbeat_interval_s:
            self._check_health()

    def settle(self) -> None:
        """Wait for the checkpoint that is being written, if any, and report the result."""
        try:
            saved = self._checkpoints.settle()
        except OSError as error:
            reason = f"at step {self._checkpoints.started_step:,}: {error.strerror or error}"
            self.progress.warning(f"NO CHECKPOINT {reason}; training continues and tries again")
            failed = self._checkpoints.failed
            self._heartbeat.note(status="training", failed_saves=failed, message=f"no checkpoint {reason}")
            return
        if saved is not None:
            if self._uploader is not None:
                self._uploader.push()
            self._heartbeat.note(status="training", checkpoint_step=saved.step, checkpoint_at=time.time(), message="")

    def save_after_error(self, collector: Mapping[str, Any] | None = None) -> None:
        """Save the state after the last update, before an error that does not concern it ends the run."""
        self.settle()
        if self.state.steps > max(self._first_step, self._checkpoints.newest_step):
            self.save(collector)
            self.settle()
            if self._checkpoints.failure is None:
                self.progress.message(f"saved {self._checkpoints.newest} before the error")

    def finish(self, collector: Mapping[str, Any] | None = None) -> TrainResult:
        """Write the last row and checkpoint; a RedoxError where the checkpoint cannot be written."""
        self.settle()
        checkpoints, state = self._checkpoints, self.state
        if checkpoints.newest_step != state.steps:
            self.save(collector)
            self.settle()
        newest = checkpoints.require_newest()
        if not self.finished:
            self.progress.message(
                f"stopped at step {state.steps:,} of {self.config.timesteps:,}, saved {newest}; "
                "the run can be resumed from there"
            )
        self._end = ("finished" if self.finished else "stopped", "")
        return TrainResult(state.steps, state.updates, self._steps_per_s, newest, self.finished, self._last_row)

    def close(self) -> None:
        """Close the files; the last heartbeat names the exception being handled, if any."""
        self.settle()
        self._checkpoints.close()
        if self._uploader is not None:
            self._uploader.finish(self.config.remote_patience_s, self.progress.message)
        error = sys.exception()
        status, message = self._end or ("failed", f"{type(error).__name__}: {error}" if error else "")
        self._heartbeat.note(status=status, message=message)
        self._heartbeat.close()
        self.progress.close()
