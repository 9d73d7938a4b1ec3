"""The loop between actors and learner: weights to the ones, rollouts to the other, more actors as memory allows."""

import time
from collections.abc import Callable
from typing import Protocol

from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.learner import LearnerState, Update
from redox_balancer.impala.learner_thread import LearnerThread
from redox_balancer.impala.rollout import Rollout
from redox_balancer.impala.scale_up import ScaleUp

POLL_S = 0.01  # time that the loop waits for rollouts before it checks the learner again


class Recorder(Protocol):
    """What becomes of updates, and of rollouts before the learner has them."""

    state: LearnerState

    def record(self, update: Update) -> None:
        """Note an update; its state is `state` from then on."""
        ...

    def check(self, rollout: Rollout) -> None:
        """Look at a rollout; an exception where the learner must not have it."""
        ...


def exchange(recorder: Recorder, pool: ActorPool, learner: LearnerThread) -> None:
    """Record the updates, request rollouts of the newest policy, and pass those that are ready to the learner."""
    record(recorder, learner)
    pool.publish(recorder.state.parameters, recorder.state.updates)
    pool.request(learner.unused)
    for rollout in pool.receive(POLL_S):
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
