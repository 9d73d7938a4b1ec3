"""The learner in a thread of its own, so that collecting and learning do not wait for each other."""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from redox_balancer.impala.learner import Learner, Update
from redox_balancer.impala.learner_group import LeftGroupError
from redox_balancer.impala.policy import Float32
from redox_balancer.impala.rollout import Rollout


class LearnerThread(threading.Thread):
    """Runs a learner in a `with` block, at most until the run has all its steps.

    Rollouts are passed in with `put`, those that are too old are dropped, and `updates` returns the results. In the
    thread, `publish` is called with the parameters and version after each update, and `tell` when the rollouts passed
    in do not suffice for the next one, or the thread ends.
    """

    def __init__(
        self,
        learner: Learner,
        publish: Callable[[Float32, int], None] = lambda *_: None,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="learner", daemon=True)
        self._learner, self._publish, self._tell = learner, publish, tell
        self._inbox: queue.SimpleQueue[Rollout | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._batch: list[Rollout] = []  # taken from the inbox for the next update
        self._passed_in = self._done = 0  # rollouts; each counter is written by one thread
        self.busy_since: float | None = None  # time at which the present update began
        self._stopping = threading.Event()
        self._error: BaseException | None = None

    @property
    def unused(self) -> int:
        """Rollouts that were passed in and neither dropped nor taken by an update."""
        return self._passed_in - self._done

    @property
    def missing(self) -> int:
        """Rollouts that its next batch lacks; 0 or less where they have been passed in."""
        return self._learner.config.rollouts_per_batch - self.unused

    def put(self, rollout: Rollout) -> None:
        """Pass in a rollout."""
        self._passed_in += 1
        self._inbox.put(rollout)

    def skip(self) -> None:
        """Take the next step of the group with what is there, perhaps nothing, and do not wait for a full batch."""
        if self.busy_since is None and self._inbox.empty():
            self._inbox.put(None)

    def updates(self) -> list[Update]:
        """Return the updates since the last call; an error of the thread is raised once they have been returned."""
        found = []
        while not self._outbox.empty():
            found.append(self._outbox.get())
        if not found and self._error is not None:
            error, self._error = self._error, None
            raise error
        return found

    def run(self) -> None:
        """Learn until stopped."""
        try:
            with suppress(LeftGroupError):
                self._learn()
        except BaseException as error:  # noqa: BLE001 - `updates` raises it
            self._error = error
        self._tell()

    def _learn(self) -> None:
        while not self._stopping.is_set() and self._learner.steps < self._learner.config.timesteps:
            rollout = self._inbox.get()
            if not self._stopping.is_set():
                self.take(rollout)

    def take(self, rollout: Rollout | None) -> None:
        """Add a rollout to the batch and, once it is full without those that are too old, learn from it.

        Without one, learn from what is there.
        """
        learner, batch = self._learner, self._batch if rollout is None else [*self._batch, rollout]
        done, wanted = self._done, 0 if rollout is None else learner.config.rollouts_per_batch
        if len(batch) >= wanted:
            # The lag counts when the data is used, not when it arrives.
            fresh = [r for r in batch if learner.version - r.version <= learner.config.max_lag]
            learner.dropped += sum(r.transitions for r in batch) - sum(r.transitions for r in fresh)
            self._done += len(batch) - len(fresh)
            batch = fresh
        due = len(batch) >= wanted
        self._done += len(batch) if due else 0
        if self._done > done and self.missing > 0:
            self._tell()
        if due:
            self.busy_since, version = time.monotonic(), learner.version
            update = learner.update(batch)
            self.busy_since = None
            batch = []
            if learner.version > version:  # else nobody had anything to learn from
                self._publish(update.state.parameters, update.state.updates)
                self._outbox.put(update)
                if self.missing > 0:
                    self._tell()
        self._batch = batch

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the current update and end; rollouts not used by then are never used."""
        self._stopping.set()
        self._inbox.put(None)
        self.join()
