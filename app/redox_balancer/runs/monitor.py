"""The monitor of a run: samples its rollouts, updates and processes for the watchdog, and reports the alarms."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redox_balancer.errors import EXIT_NONSENSE, RedoxError
from redox_balancer.impala.learner import Update
from redox_balancer.impala.rollout import Rollout
from redox_balancer.resources import ProcessStats
from redox_balancer.runs.watchdog import Alarm, Watchdog


class NonsenseError(RedoxError):
    """A training that learns from nonsense: its state must not be saved, and a restart would not help."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(
            f"stopped by the watchdog ({alarm.name}): {alarm.text}",
            hint="check the reward signal of the environment; the checkpoints before this are kept",
            exit_code=EXIT_NONSENSE,
        )


class EpisodeTracker:
    """Reassembles the episodes of actors from their rollouts, which cut them at any step."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[tuple[int, int], list[list[int]]]] = {}

    def ended(self, rollout: Rollout) -> list[tuple[tuple[int, ...], float]]:
        """Return construct and value of the episodes that ended in this rollout and of which every step was seen."""
        follows, taken = self._open.get(rollout.actor, ((-1, -1), []))
        if follows != (rollout.incarnation, rollout.sequence):
            taken = [[] for _ in range(rollout.actions.shape[1])]
        found = []
        episodes = zip(rollout.episodes.returns.tolist(), rollout.episodes.lengths.tolist(), strict=True)
        over = rollout.terminated | rollout.truncated
        for actions, ends in zip(rollout.actions.tolist(), over.tolist(), strict=True):
            for b, (action, end) in enumerate(zip(actions, ends, strict=True)):
                taken[b].append(action)
                if end:
                    value, length = next(episodes)
                    # More actions than steps: the collector dropped an episode and started another. Fewer: the
                    # episode started in a rollout that was not seen.
                    if len(taken[b]) >= length:
                        found.append((tuple(sorted(taken[b][-length:])), value))
                    taken[b] = []
        self._open[rollout.actor] = (rollout.incarnation, rollout.sequence + 1), taken
        return found


class Monitor:
    """Watches a run from one process.

    `warn` is called with each alarm that does not stop the run; one that does is raised as a `NonsenseError`.
    """

    def __init__(self, watchdog: Watchdog, warn: Callable[[str], Any]) -> None:
        self._watchdog, self._warn = watchdog, warn
        self._episodes = EpisodeTracker()

    def rollout(self, rollout: Rollout) -> None:
        """Check the episodes that ended in a rollout."""
        for construct, value in self._episodes.ended(rollout):
            self._report(self._watchdog.episode(construct, value))

    def update(self, update: Update) -> None:
        """Check an update of the learner."""
        state, lag_max = update.state, max(update.lags, default=0)
        self._report(self._watchdog.update(update.metrics, lag_max=lag_max, steps=state.steps, dropped=state.dropped))

    def health(self, processes: Mapping[str, ProcessStats], **run: Any) -> float:
        """Check all processes of the run, and the run as a whole; `run` is as for `Watchdog.health`.

        Returns the growth of all processes together, in bytes per second; those with too few samples count as 0.
        """
        self._report(self._watchdog.health(processes, **run))
        return sum(self._watchdog.memory_slope.values())

    def _report(self, alarms: Sequence[Alarm]) -> None:
        for alarm in alarms:
            if alarm.level == "stop":
                raise NonsenseError(alarm)
        for alarm in alarms:
            self._warn(f"{alarm.name}: {alarm.text}")
