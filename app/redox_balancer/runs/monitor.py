"""Monitor of a run: brings its samples to the watchdog, and the alarms to whoever should hear them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redox_balancer.impala.learner import Update
from redox_balancer.impala.rollout import Rollout
from redox_balancer.resources import ProcessStats
from redox_balancer.runs.watchdog import (
    EpisodeTracker,
    HealthSample,
    ProcessSample,
    Sample,
    UpdateSample,
    Watchdog,
    raise_if_stop,
)


class Monitor:
    """Watches one process of a run.

    Parameters
    ----------
    watchdog
        Judges the samples.
    warn
        Takes a line for each alarm that does not stop the run; one that does is raised as a `NonsenseError`.
    """

    def __init__(self, watchdog: Watchdog, warn: Callable[[str], Any]) -> None:
        self._watchdog, self._warn = watchdog, warn
        self._episodes = EpisodeTracker()
        self._processes: set[str] = set()

    def see(self, rollout: Rollout) -> None:
        """Look at the episodes that ended in a rollout."""
        for sample in self._episodes.samples(rollout):
            self._observe(sample)

    def update(self, update: Update) -> None:
        """Look at an update of the learner."""
        lag_max = max(update.lags, default=0)
        self._observe(UpdateSample(update.metrics, lag_max, update.state.steps, update.state.dropped))

    def health(self, processes: Mapping[str, ProcessStats], run: HealthSample) -> float:
        """Look at the processes of the run, all of them, and at the run as a whole.

        Returns
        -------
        float
            Growth of all processes together, in bytes per second; those watched for too short a time count as 0.
        """
        for process in self._processes - processes.keys():
            self._watchdog.forget(process)
        self._processes = set(processes)
        for process, stats in processes.items():
            self._observe(ProcessSample(process, stats))
        self._observe(run)
        return sum(self._watchdog.memory_slope.values())

    def _observe(self, sample: Sample) -> None:
        alarms = self._watchdog.observe(sample)
        raise_if_stop(alarms)
        for alarm in alarms:
            self._warn(f"{alarm.name}: {alarm.text}")
