"""The actors that collect rollouts with Ray, and the pool that keeps their number.

An actor's process imports NumPy, Gymnasium and what its environments need, but not torch.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError

from redox_balancer.errors import RedoxError
from redox_balancer.impala.cluster import MEBIBYTE, actor_memory_bytes, free_cores
from redox_balancer.impala.config import ROLLOUTS_OWED, TrainConfig
from redox_balancer.impala.ledger import RolloutLedger
from redox_balancer.impala.policy import Float32, PolicyShape
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector
from redox_balancer.resources import ProcessStats, memory, process_stats

MAX_DEATHS = 5  # of one actor with no rollout in between; the next start would fail too
MAX_BACKOFF_S = 60.0
# An actor that starts loads Python and a model, perhaps beside a hundred others that do the same; one that was ended
# for being slow at it would only begin anew.
START_TIMEOUT_S = 300.0


class Health(NamedTuple):
    """What an actor's process takes, and the memory of the machine it runs on."""

    stats: ProcessStats
    node: str
    available_bytes: int
    total_bytes: int


class Prepared(NamedTuple):
    """What a new actor tells: the sizes of the policy that fits its environments, its process and its health."""

    shape: PolicyShape
    pid: int
    health: Health


class CollectorActor:
    """A `RolloutCollector` in a process of its own.

    It makes its environments in `prepare` and not when it is created: Ray hands on the error of a method, but turns
    one of the constructor into text.
    """

    _collector: RolloutCollector

    def prepare(
        self,
        factory: EnvFactory,
        settings: Mapping[str, Any],
        health_interval_s: float,
        collector: type[RolloutCollector] = RolloutCollector,
    ) -> Prepared:
        """Make the environments; from then on tell the health every so many seconds."""
        self._collector = collector(factory, **settings)
        self._node = str(ray.get_runtime_context().get_node_id())
        self._health_interval_s = health_interval_s
        return Prepared(self._collector.shape, os.getpid(), self._health())

    def collect(self, parameters: Float32, version: int) -> tuple[Rollout, Health | None]:
        """Play one rollout with these parameters; the health comes along where it is due."""
        self._collector.set_weights(parameters, version)
        rollout = self._collector.collect()
        due = time.monotonic() - self._told_at >= self._health_interval_s
        return rollout, self._health() if due else None

    def _health(self) -> Health:
        self._told_at = time.monotonic()
        return Health(process_stats(), self._node, *memory())


class ActorLostError(Exception):
    """The process of an actor is gone, or its result with the node that held it."""


@dataclass(eq=False)
class _Member:
    """An actor of the pool: its process and what that owes.

    `pending` holds the rollouts it was asked for, oldest first. `since` is when it last gave something or, where it
    owed nothing, was asked. `deaths` counts since the last rollout, `start_at` is when a dead one may start again.
    """

    incarnation: int
    handle: Any = None
    prepared: Any = None
    pending: deque[Any] = field(default_factory=deque)
    since: float = 0.0
    pid: int | None = None
    health: Health | None = None
    retiring: bool = False
    deaths: int = 0
    start_at: float = 0.0

    @property
    def owes(self) -> list[Any]:
        """Everything it was asked for and has not given."""
        return [*([self.prepared] if self.prepared is not None else []), *self.pending]


class ActorPool:
    """The actors of a run and their unfinished rollouts.

    An actor that dies, gives nothing for `config.actor_timeout_s` (while it starts: `START_TIMEOUT_S`, if that is
    more) or outgrows its memory is replaced by its next incarnation, which draws other random numbers. What a dead or
    hanging one owed is discarded.

    Parameters
    ----------
    config
        Settings of the run.
    factory
        Makes the environments.
    incarnations
        Which process of its name each actor is; kept up to date here, so that a checkpoint knows it.
    report
        Takes a line for each thing worth one.
    actors
        How many to start with, the first of `incarnations`; all of them if None.
    collector
        What collects in each of them.

    Attributes
    ----------
    ledger
        Which rollouts were used.
    restarts, recycled
        Actors replaced because they died or hung, and because of their memory.
    """

    def __init__(
        self,
        config: TrainConfig,
        factory: EnvFactory,
        incarnations: MutableMapping[int, int],
        report: Callable[[str], None] = lambda _: None,
        actors: int | None = None,
        *,
        collector: type[RolloutCollector] = RolloutCollector,
    ) -> None:
        self._collector = collector
        self._config, self._incarnations, self._report = config, incarnations, report
        self.ledger = RolloutLedger()
        self.restarts = self.recycled = 0
        self.budget_bytes = actor_memory_bytes(config)
        # Over the nodes in turn: the default fills one node before it takes the next.
        self._remote: Any = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(CollectorActor)
        self._factory = ray.put(factory)
        self._shape: PolicyShape | None = None
        self._weights: Any = None
        self._version = -1
        self._members: dict[int, _Member] = {}
        self.grow(len(incarnations) if actors is None else actors)

    @property
    def size(self) -> int:
        """Actors that there are, also those about to start."""
        return len(self._members)

    @property
    def ready(self) -> int:
        """Actors whose present incarnation has its environments."""
        return sum(member.pid is not None for member in self._members.values())

    @property
    def pids(self) -> dict[int, int]:
        """Process of each ready actor, on its own machine."""
        return {actor: member.pid for actor, member in self._members.items() if member.pid is not None}

    def process_stats(self) -> dict[str, ProcessStats]:
        """Return what each ready actor, named with its incarnation, last told of its process.

        At most a log interval and a rollout old.
        """
        return {
            f"actor {actor}.{self._incarnations[actor]}": health.stats for actor, health in self._health().items()
        }

    def memory(self) -> tuple[int, int]:
        """Return the free and the whole memory, in bytes, of the machines that actors run on."""
        nodes = {health.node: health for health in self._health().values()}.values()
        return sum(node.available_bytes for node in nodes), sum(node.total_bytes for node in nodes)

    def _health(self) -> dict[int, Health]:
        return {actor: member.health for actor, member in self._members.items() if member.health is not None}

    def figures(self) -> dict[str, float]:
        """Return the counts of the pool, and the most that an actor takes, for a row of metrics."""
        stats = self.process_stats().values()
        return {
            "actors": self.ready,
            "actor_uss_mb": max((each.uss_bytes / MEBIBYTE for each in stats), default=math.nan),
            "actor_descriptors": max((each.descriptors for each in stats), default=math.nan),
            "actor_threads": max((each.threads for each in stats), default=math.nan),
            "restarts": self.restarts,
            "recycled": self.recycled,
            "rollouts_used": self.ledger.used,
            "rollouts_discarded": self.ledger.discarded,
            "rollouts_refused": self.ledger.refused,
        }

    def grow(self, size: int) -> None:
        """Start actors until there are `size` of them."""
        for actor in sorted(self._incarnations)[self.size : size]:
            self._members[actor] = _Member(self._incarnations[actor])
            self._start(actor)

    def shape(self, stop: threading.Event | None = None) -> PolicyShape:
        """Wait until an actor has its environments and return the sizes of the policy that fits them.

        A RedoxError of exit code 0 where `stop` is set before.
        """
        while self._shape is None:
            if stop is not None and stop.is_set():
                raise RedoxError("stopped before the first actor was ready: there was nothing to save", exit_code=0)
            self.receive(0.1)
        return self._shape

    def publish(self, parameters: Float32, version: int) -> None:
        """Give these parameters to every rollout that is asked for from now on."""
        if version != self._version:
            self._weights, self._version = ray.put(parameters), version

    def request(self) -> None:
        """Ask every actor that has room in its queue for rollouts."""
        for member in self._members.values():
            if member.handle is None or member.retiring:
                continue
            if not member.owes:
                member.since = time.monotonic()
            while len(member.pending) < ROLLOUTS_OWED:
                member.pending.append(member.handle.collect.remote(self._weights, self._version))

    def receive(self, timeout_s: float) -> list[Rollout]:
        """Return the rollouts that are ready, after `timeout_s` seconds at most, and replace who needs it.

        A RedoxError of an environment is raised here, and one where an actor keeps dying.
        """
        rollouts = self._harvest(timeout_s)
        now = time.monotonic()
        for actor, member in self._members.items():
            if member.handle is None:
                if now >= member.start_at:
                    self._start(actor)
            elif member.retiring and not member.pending:
                self._recycle(actor)
            elif member.owes and now - member.since > self._patience_s(member):
                self._give_up(actor)
        return rollouts

    def _harvest(self, timeout_s: float) -> list[Rollout]:
        """Take what is ready, each actor's results in the order in which they were asked for."""
        owed = [reference for member in self._members.values() for reference in member.owes]
        if not owed:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(owed, num_returns=1, timeout=timeout_s)
        if not ready:
            return []
        ready, _ = ray.wait(owed, num_returns=len(owed), timeout=0)
        here, rollouts = set(ready), []
        for actor, member in self._members.items():
            try:
                if member.prepared in here:
                    self._greet(actor, fetch(member.prepared))
                while member.prepared is None and member.pending and member.pending[0] in here:
                    rollout, health = fetch(member.pending[0])
                    member.pending.popleft()
                    member.since, member.deaths = time.monotonic(), 0
                    if self.ledger.accept(rollout.actor, rollout.incarnation, rollout.sequence):
                        rollouts.append(rollout)
                    self._check_memory(actor, health)
            except ActorLostError as lost:
                self._replace(actor, f"died: {lost}")
        return rollouts

    def _greet(self, actor: int, prepared: Prepared) -> None:
        member = self._members[actor]
        member.prepared, member.since, member.pid, member.health = (
            None,
            time.monotonic(),
            prepared.pid,
            prepared.health,
        )
        self._shape = prepared.shape
        taken = prepared.health.stats.uss_bytes
        if taken > self.budget_bytes:
            raise RedoxError(
                f"a new actor takes {taken / MEBIBYTE:.0f} MB, over its budget of {self.budget_bytes / MEBIBYTE:.0f}",
                hint="raise --actor-memory-mb, or ask for fewer actors with --num-actors",
            )

    def _check_memory(self, actor: int, health: Health | None) -> None:
        """Retire an actor that outgrew its budget, a tenth of them at a time; it still gives what it owes."""
        if health is None:
            return
        self._members[actor].health = health
        retiring = sum(member.retiring for member in self._members.values())
        if health.stats.uss_bytes > self.budget_bytes and retiring < max(1, self.size // 10):
            self._members[actor].retiring = True

    def _start(self, actor: int) -> None:
        member = self._members[actor]
        self.ledger.open(actor, member.incarnation)
        member.handle, member.since = self._remote.remote(), time.monotonic()
        settings = {
            "count": self._config.envs_per_actor,
            "length": self._config.rollout_length,
            "hidden_sizes": self._config.hidden_sizes,
            "seed": self._config.seed,
            "actor": actor,
            "incarnation": member.incarnation,
        }
        member.prepared = member.handle.prepare.remote(
            self._factory, settings, self._config.log_interval_s, self._collector
        )

    def _patience_s(self, member: _Member) -> float:
        timeout_s = self._config.actor_timeout_s
        return timeout_s if member.prepared is None else max(timeout_s, START_TIMEOUT_S)

    def _give_up(self, actor: int) -> None:
        """Replace an actor that has given nothing for too long, unless it still waits for a core to run on."""
        member = self._members[actor]
        if member.prepared is not None and free_cores() < 1:
            member.since = time.monotonic()
            self._report(f"actor {actor} waits for a free core in the cluster")
            return
        self._replace(actor, f"gave nothing for {self._patience_s(member):g} s")

    def _replace(self, actor: int, why: str) -> None:
        member = self._members[actor]
        member.deaths += 1
        if member.deaths >= MAX_DEATHS:
            raise RedoxError(
                f"actor {actor} was lost {member.deaths} times without a rollout in between; the last one {why}",
                hint="redox doctor looks at the limits; --num-actors 0 shows what happens in one process",
            )
        wait_s = 0.0 if member.deaths == 1 else min(2.0 ** (member.deaths - 2), MAX_BACKOFF_S)
        lost = len(member.pending)
        self.ledger.discard(lost)
        self.restarts += 1
        self._renew(actor, wait_s)
        self._report(
            f"actor {actor} {why}; incarnation {self._incarnations[actor]} takes over"
            f"{f' in {wait_s:g} s' if wait_s else ''}, {lost} unfinished rollouts are discarded"
        )

    def _recycle(self, actor: int) -> None:
        member = self._members[actor]
        taken = member.health.stats.uss_bytes if member.health else 0
        self.recycled += 1
        self._renew(actor, 0.0)
        self._report(
            f"actor {actor} takes {taken / MEBIBYTE:.0f} MB, over its budget of {self.budget_bytes / MEBIBYTE:.0f}; "
            f"incarnation {self._incarnations[actor]} takes over"
        )

    def _renew(self, actor: int, wait_s: float) -> None:
        """End the process of an actor, whatever state it is in, and let the next one start after `wait_s` seconds."""
        member = self._members[actor]
        ray.kill(member.handle)
        number = member.incarnation + 1
        self._members[actor] = _Member(number, deaths=member.deaths, start_at=time.monotonic() + wait_s)
        self._incarnations[actor] = number
        if not wait_s:
            self._start(actor)


def fetch(reference: Any) -> Any:
    """Return a result that is ready; raise the RedoxError of an actor, or `ActorLostError` where it is lost."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, RedoxError):
            raise error.cause from error
        if isinstance(error.cause, MemoryError):
            raise ActorLostError("it had no memory left") from error
        raise
    except RayError as error:
        raise ActorLostError(str(error).splitlines()[0]) from error
