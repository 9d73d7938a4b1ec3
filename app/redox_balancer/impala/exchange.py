"""The loop between actors and learner: rollouts from the ones to the other, more actors as memory allows."""

import time
from collections.abc import Callable
from operator import attrgetter
from typing import Protocol

from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.learner import Update
from redox_balancer.impala.learner_thread import LearnerThread
from redox_balancer.impala.rollout import Rollout
from redox_balancer.impala.scale_up import ScaleUp

POLL_S = 0.1  # time that the loop waits for the learner or rollouts before it looks after everything else


class Recorder(Protocol):
    """What becomes of updates, and of rollouts before the learner has them."""

    def record(self, update: Update) -> None:
        """Note an update."""
        ...

    def check(self, rollout: Rollout) -> None:
        """Look at a rollout; an exception where the learner must not have it."""
        ...


def exchange(recorder: Recorder, pool: ActorPool, learner: LearnerThread) -> None:
    """Record the updates, request rollouts, and pass those that are ready to the learner, the oldest first."""
    record(recorder, learner)
    pool.request(learner.unused)
    for rollout in sorted(pool.receive(POLL_S, learner.missing), key=attrgetter("version")):
        recorder.check(rollout)
        learner.put(rollout)


def record(recorder: Recorder, learner: LearnerThread) -> None:
    """Record the updates since the last call."""
    for update in learner.updates():
        recorder.record(update)


def grow(pool: ActorPool, scale_up: ScaleUp, report: Callable[[str], None], share: float = 1.0) -> None:
    """Start more actors when it is time to and this share of the memory allows."""
    now = time.monotonic()
    if not scale_up.due(now):
        return
    available, total = pool.memory()
    decision = scale_up.consider(
        now,
        running=pool.size,
        uss_bytes=[stats.uss_bytes for stats in pool.process_stats().values()],
        available_bytes=int(share * available),
        total_bytes=int(share * total),
    )
    if decision is not None:
        report(decision.reason)
        pool.grow(decision.actors)
