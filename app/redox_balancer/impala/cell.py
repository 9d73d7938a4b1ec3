"""A cell: a learner and its share of the actors in processes on one host, as a Ray actor."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.cluster import own_address
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.exchange import exchange, grow, record
from redox_balancer.impala.learner import Learner, LearnerState, Update
from redox_balancer.impala.learner_group import LearnerGroup, LeftGroupError, RendezvousAddress
from redox_balancer.impala.learner_thread import LearnerThread
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import EnvFactory, Episodes, Rollout, RolloutCollector
from redox_balancer.impala.scale_up import ActorMemory, ScaleUp
from redox_balancer.resources import ProcessStats, process_stats

TURN_S = 0.2  # between two reports
_NOTHING = np.zeros(0, np.float32)


class CellSettings(NamedTuple):
    """What a cell is made of: actors by `incarnations`, `initial` of which start at once, and their memory limits.

    `share` is how much of the memory of its machine the cell may use.
    """

    config: TrainConfig
    incarnations: dict[int, int]
    initial: int
    limits: ActorMemory
    share: float
    collector: type[RolloutCollector]


class CellReport(NamedTuple):
    """What a cell has done since its last report.

    `state` is that after the newest update, and `update` all updates as one, None without any. `outstanding` rollouts
    were requested and are in no update yet. `silent_s` is the time since the learner showed a sign of life, 0 where
    it has nothing to do.
    """

    state: LearnerState
    update: Update | None
    messages: Sequence[str]
    incarnations: Mapping[int, int]
    outstanding: int
    silent_s: float
    metrics: Mapping[str, float]
    actors: Mapping[str, ProcessStats]
    stats: ProcessStats


def together(updates: Sequence[Update], state: LearnerState) -> Update:
    """Return one update for several: means of their metrics, and the largest of what is a maximum."""
    metrics: Mapping[str, float] = {
        name: float((np.max if name.endswith("_max") else np.mean)([update.metrics[name] for update in updates]))
        for name in updates[0].metrics
    }
    lags = [lag for update in updates for lag in update.lags]
    return Update(state, metrics, lags, [Episodes.joined([part for update in updates for part in update.episodes])])


class LearnerCell:
    """A cell in a process of its own; its actors end with it.

    The environments are created in `prepare` for the reason that those of an actor are.
    """

    def prepare(self, settings: CellSettings, factory: EnvFactory) -> PolicyShape:
        """Start the first actors and wait for one of them."""
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)  # Ray's workers are nice, and actors would hold up their learner
        self._settings, self._config = settings, settings.config
        self._incarnations, self._messages, self._updates = settings.incarnations, list[str](), list[Update]()
        self._stats, self._measured_at = process_stats(), time.monotonic()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._pool = ActorPool(
            self._config,
            factory,
            self._incarnations,
            self._messages.append,
            actors=0,
            collector=settings.collector,
            placement={"num_cpus": 0, "scheduling_strategy": here},  # this process holds their cores
        )
        self._pool.memory_limits = settings.limits
        self._scale_up = ScaleUp(self._config.num_actors, settings.limits, initial=settings.initial)
        self._grow()
        torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # the first one loads modules for seconds
        return self._pool.shape()

    def join(self, state: LearnerState, rendezvous: RendezvousAddress, name: str) -> None:
        """Join the group, whose state is taken unless this one is newer, and learn from then on."""
        self._group = LearnerGroup(rendezvous, name, own_address(), self._config.actor_timeout_s)
        try:
            learner = Learner(self._config, self._pool.shape(), state, self._group)
        except LeftGroupError:
            return  # the training has ended meanwhile
        # The others may be within an update: what this one has to learn on, but no state of a version.
        self._pool.publish(learner.state().parameters, learner.version)
        self._whole = state
        self._thread = LearnerThread(learner, self._pool.publish, self._pool.wake)
        self._thread.start()

    def work(self) -> CellReport:
        """Collect and learn for a moment."""
        until = time.monotonic() + TURN_S
        while time.monotonic() < until:
            exchange(self, self._pool, self._thread)
            if not self._pool.ready:  # the others would wait until a new actor has begun to play
                self._thread.skip()
            self._grow()
        return self._report()

    def end(self) -> CellReport:
        """Finish the current update, or give it up where the others do not take part any more."""
        self._thread.__exit__()
        record(self, self._thread)
        return self._report()

    def record(self, update: Update) -> None:
        """Keep an update for the next report."""
        light = update.state._replace(parameters=_NOTHING, exp_avg=_NOTHING, exp_avg_sq=_NOTHING)
        if update.metrics:  # else it is all of the others
            self._updates.append(update._replace(state=light))
        self._whole = update.state

    def check(self, rollout: Rollout) -> None:
        """The driver judges the episodes of the updates."""

    def _grow(self) -> None:
        grow(self._pool, self._scale_up, self._messages.append, self._settings.share)

    def _silent_s(self, now: float) -> float:
        since = self._thread.busy_since
        return 0.0 if since is None else now - max(since, self._group.looked_at)

    def _report(self) -> CellReport:
        now = time.monotonic()
        if now - self._measured_at >= self._config.heartbeat_interval_s:
            self._stats, self._measured_at = process_stats(), now
        updates, messages = self._updates[:], self._messages[:]
        self._updates.clear()
        self._messages.clear()
        pool = self._pool
        return CellReport(
            self._whole,
            together(updates, self._whole) if updates else None,
            messages,
            dict(self._incarnations),
            pool.pending + self._thread.unused,
            self._silent_s(now),
            pool.metrics(),
            pool.process_stats(),
            self._stats,
        )


def start_cell(config: TrainConfig) -> Any:
    """Start the process of a cell on a node that has a core for each of its actors."""
    return ray.remote(num_cpus=config.num_actors, scheduling_strategy="SPREAD")(LearnerCell).remote()
