"""The pool of actors: requests and receives rollouts, and replaces actors that die, hang or outgrow their memory."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.actor import ActorHealth, ActorLostError, ActorStartup, CollectorActor, fetch
from redox_balancer.impala.cluster import actor_memory, free_cores
from redox_balancer.impala.config import MAX_PENDING, TrainConfig
from redox_balancer.impala.links import Link, Transport
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector
from redox_balancer.resources import MEBIBYTE, ProcessStats

MAX_DEATHS = 5  # of one actor with no rollout in between; the next start would fail as well
MAX_BACKOFF_S = 60.0
# A starting actor imports its modules and loads a model, perhaps beside a hundred others that do the same. Replacing
# it for being slow at that would only start over.
START_TIMEOUT_S = 300.0
# SPREAD takes the nodes in turn; the default fills one node before it uses the next.
ANYWHERE: Mapping[str, Any] = {"num_cpus": 1, "scheduling_strategy": "SPREAD"}


@dataclass(eq=False)
class _Slot:
    """Place of one actor in the pool, with its current process."""

    incarnation: int
    handle: Any = None
    startup: Any = None  # reference to the pending startup report
    link: Link | None = None  # once it has its environments
    pending: int = 0  # rollouts requested and not received
    since: float = 0.0  # time of the last result or, where nothing was pending, of the request
    pid: int | None = None
    startup_bytes: float = 0.0
    received: int = 0  # rollouts, which the collector numbers 0, 1, 2, ...
    health: ActorHealth | None = None
    retiring: str = ""  # why it is about to be replaced, if it is
    deaths: int = 0  # since the last rollout
    start_at: float = 0.0  # when a dead actor may start again

    @property
    def references(self) -> Sequence[Any]:
        """Ray's references to what it does."""
        if self.link is not None:
            return self.link.references
        return () if self.startup is None else (self.startup,)

    @property
    def awaited(self) -> bool:
        """Whether it has something to do."""
        return self.startup is not None or self.pending > 0

    def request(self) -> None:
        """Request a rollout; the actor must have its environments."""
        if not self.pending:
            self.since = time.monotonic()
        if self.link is not None:
            self.link.request()
            self.pending += 1

    def accepts(self, rollout: Rollout, actor: int) -> bool:
        """Note that a rollout was received; whether it is the one that comes next."""
        self.pending -= 1
        self.since, self.deaths = time.monotonic(), 0
        expected = actor, self.incarnation, self.received
        self.received += (rollout.actor, rollout.incarnation, rollout.sequence) == expected
        return self.received > expected[-1]

    def timeout_s(self, timeout_s: float) -> float:
        """Return the seconds that this actor may take for its next result."""
        return timeout_s if self.startup is None else max(timeout_s, START_TIMEOUT_S)


class ActorPool:
    """The actors of a run and their pending rollouts.

    An actor that dies, returns nothing for `config.actor_timeout_s` (at its start `START_TIMEOUT_S`, if longer) or
    outgrows its memory is replaced by its next incarnation, which draws other random numbers. Pending rollouts of a
    dead or hanging actor are discarded.

    Parameters
    ----------
    config
        Settings of the run.
    factory
        Creates the environments.
    incarnations
        Generation of the process of each actor (0, 1, ...); updated in place, so that checkpoints can store it.
    report
        Called with each message to log.
    actors
        Number of actors to start with, the first of `incarnations`; all of them if None.
    collector, transport
        Classes of the collector in each actor, and of the ways of weights and rollouts.
    placement
        Ray's options that tell where the actors run and how many cores they need.

    Attributes
    ----------
    used, discarded, refused
        Number of rollouts received, given up together with their actor, and received in another order than requested
        or from a replaced actor: anything but 0 is a bug.
    memory_limits
        Memory limits of the actors.
    publish, wake
        The functions of the transport, for any thread: use these parameters from now on, and end a `receive`.
    restarts, recycled
        Number of actors replaced because they died or hung, and because of their memory.
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
        transport: type[Transport] = Transport,
        placement: Mapping[str, Any] = ANYWHERE,
    ) -> None:
        self._collector, self._transport = collector, transport()
        self.publish, self.wake = self._transport.publish, self._transport.wake
        self._config, self._incarnations, self._report = config, incarnations, report
        self.used = self.discarded = self.refused = self.restarts = self.recycled = 0
        self.memory_limits = actor_memory(config)
        self._cores = placement["num_cpus"]
        self._remote: Any = ray.remote(**placement)(CollectorActor)
        self._factory = ray.put(factory)
        self._shape: PolicyShape | None = None
        self._slots: dict[int, _Slot] = {}
        self.grow(len(incarnations) if actors is None else actors)

    @property
    def size(self) -> int:
        """Number of actors, including those about to start."""
        return len(self._slots)

    @property
    def pending(self) -> int:
        """Number of rollouts requested and not received."""
        return sum(slot.pending for slot in self._slots.values())

    @property
    def pids(self) -> dict[int, int]:
        """Process id of each ready actor, on its own machine."""
        return {actor: slot.pid for actor, slot in self._slots.items() if slot.pid is not None}

    @property
    def ready(self) -> int:
        """Number of actors whose current incarnation has its environments."""
        return len(self.pids)

    @property
    def health(self) -> dict[int, ActorHealth]:
        """Last reported health of each ready actor, at most a log interval and a rollout old."""
        return {actor: slot.health for actor, slot in self._slots.items() if slot.health is not None}

    def process_stats(self) -> dict[str, ProcessStats]:
        """Return the last reported statistics of each ready actor, by actor and incarnation as in `actor 3.0`."""
        return {f"actor {actor}.{self._incarnations[actor]}": health.stats for actor, health in self.health.items()}

    def memory(self) -> tuple[int, int]:
        """Return free and total memory, in bytes, of the machines that the actors run on."""
        nodes = {health.node: health for health in self.health.values()}.values()
        return sum(node.available_bytes for node in nodes), sum(node.total_bytes for node in nodes)

    def metrics(self) -> dict[str, float]:
        """Return the counters of the pool and the largest process statistics, for a row of metrics."""
        stats = self.process_stats().values()
        return {
            "actors": self.ready,
            "actor_uss_mb": max((each.uss_bytes / MEBIBYTE for each in stats), default=math.nan),
            "actor_descriptors": max((each.descriptors for each in stats), default=math.nan),
            "actor_threads": max((each.threads for each in stats), default=math.nan),
            "restarts": self.restarts,
            "recycled": self.recycled,
            "rollouts_used": self.used,
            "rollouts_discarded": self.discarded,
            "rollouts_refused": self.refused,
        }

    def grow(self, size: int) -> None:
        """Start actors until there are `size` of them."""
        for actor in sorted(self._incarnations)[self.size : size]:
            self._slots[actor] = _Slot(self._incarnations[actor])
            self._start(actor)

    def shape(self, stop: threading.Event | None = None) -> PolicyShape:
        """Wait until an actor has its environments and return the sizes of the policy that fits them.

        A RedoxError with exit code 0 where `stop` is set before.
        """
        while self._shape is None:
            if stop is not None and stop.is_set():
                raise RedoxError("stopped before the first actor was ready: there was nothing to save", exit_code=0)
            self.receive(0.1)
        return self._shape

    def request(self, unused: int = 0) -> None:
        """Request rollouts until `config.max_outstanding` are pending or `unused`: received, and in no update yet.

        At most `MAX_PENDING` of each; actors with nothing to play come first, the longest idle before others.
        """
        room = self._config.max_outstanding(self.size) - unused - self.pending
        if room <= 0:
            return
        able = [slot for slot in self._slots.values() if slot.pid is not None and not slot.retiring]
        for pending in range(MAX_PENDING):
            for slot in sorted((s for s in able if s.pending == pending), key=lambda slot: slot.since)[:room]:
                slot.request()
                room -= 1

    def receive(self, timeout_s: float, wanted: int = 1) -> list[Rollout]:
        """Return the rollouts that are ready, after at most `timeout_s` seconds, and replace actors where necessary.

        Where rollouts are `wanted`, it waits for so many or half of those requested, so that actors have something to
        do. A RedoxError if an actor keeps dying; any exception of an environment is raised as it is.
        """
        enough = max(min(wanted, self.pending // 2), 1) if wanted > 0 else math.inf
        filled, ready = self._transport.wait(timeout_s, (slot.references for slot in self._slots.values()), enough)
        if ready is None:
            return self._harvest(filled, set())
        rollouts = self._harvest(self._slots, ready)
        now = time.monotonic()
        for actor, slot in self._slots.items():
            if slot.handle is None:
                if now >= slot.start_at:
                    self._start(actor)
            elif slot.retiring and not slot.pending:
                self._recycle(actor)
            elif slot.awaited and now - slot.since > slot.timeout_s(self._config.actor_timeout_s):
                self._time_out(actor)
        return rollouts

    def _harvest(self, actors: Iterable[int], ready: set[Any]) -> list[Rollout]:
        """Take the results of some actors, those of each in the order of the requests."""
        rollouts: list[Rollout] = []
        for actor in actors:
            slot = self._slots[actor]
            try:
                if slot.startup in ready:
                    self._started(actor, fetch(slot.startup))
                elif slot.link is not None:
                    for rollout, health in slot.link.take(ready):
                        if slot.accepts(rollout, actor):
                            self.used += 1
                            rollouts.append(rollout)
                        else:
                            self.refused += 1
                        if health and slot.health is not None:
                            self._check_memory(slot, slot.health.renewed(health))
            except ActorLostError as lost:
                self._replace(actor, f"died: {lost}")
        return rollouts

    def _started(self, actor: int, report: ActorStartup) -> None:
        slot = self._slots[actor]
        slot.startup, slot.since = None, time.monotonic()
        slot.pid, slot.health = report.pid, report.health
        if self._shape is None:
            self._shape = report.shape
            self._transport.open(self._config, report.shape, len(self._incarnations))
        slot.link = self._transport.connect(actor, slot.handle, shares_memory=report.shares_memory)
        slot.startup_bytes = uss_bytes = report.health.stats.uss_bytes
        if self.memory_limits.exceeded(self.size, uss_bytes):
            raise _too_large(uss_bytes, self.size)

    def _check_memory(self, slot: _Slot, health: ActorHealth) -> None:
        """Retire an actor that outgrew its budget, a tenth of all at a time; its pending rollouts are still used."""
        slot.health = health
        taken, budget = health.stats.uss_bytes, self.memory_limits.budget_bytes(self.size, slot.startup_bytes)
        retiring = sum(bool(each.retiring) for each in self._slots.values())
        if taken > budget and retiring < max(1, self.size // 10):
            slot.retiring = f"takes {taken / MEBIBYTE:.0f} MB, over its budget of {budget / MEBIBYTE:.0f}"

    def _start(self, actor: int) -> None:
        slot = self._slots[actor]
        slot.handle, slot.since = self._remote.remote(), time.monotonic()
        settings = self._config.collector | {"actor": actor, "incarnation": slot.incarnation}
        rest = self._config.log_interval_s, self._collector, self._transport.address
        slot.startup = slot.handle.prepare.remote(self._factory, settings, *rest)

    def _time_out(self, actor: int) -> None:
        """Replace an actor that timed out, unless it still waits for a free core."""
        slot = self._slots[actor]
        if slot.startup is not None and free_cores() < self._cores:
            slot.since = time.monotonic()
            self._report(f"actor {actor} waits for a free core in the cluster")
            return
        self._replace(actor, f"returned nothing for {slot.timeout_s(self._config.actor_timeout_s):g} s")

    def _replace(self, actor: int, reason: str) -> None:
        slot = self._slots[actor]
        slot.deaths += 1
        if slot.deaths >= MAX_DEATHS:
            raise _lost_too_often(actor, slot.deaths, reason)
        wait_s = 0.0 if slot.deaths == 1 else min(2.0 ** (slot.deaths - 2), MAX_BACKOFF_S)
        lost = slot.pending
        self.discarded += lost
        self.restarts += 1
        self._renew(actor, wait_s)
        self._report(
            f"actor {actor} {reason}; incarnation {self._incarnations[actor]} takes over"
            f"{f' in {wait_s:g} s' if wait_s else ''}, {lost} pending rollouts are discarded"
        )

    def _recycle(self, actor: int) -> None:
        reason = self._slots[actor].retiring
        self.recycled += 1
        self._renew(actor, 0.0)
        self._report(f"actor {actor} {reason}; incarnation {self._incarnations[actor]} takes over")

    def _renew(self, actor: int, wait_s: float) -> None:
        """Kill the process of an actor, whatever its state, and let the next one start after `wait_s` seconds."""
        slot = self._slots[actor]
        ray.kill(slot.handle)
        incarnation = slot.incarnation + 1
        self._slots[actor] = _Slot(incarnation, deaths=slot.deaths, start_at=time.monotonic() + wait_s)
        self._incarnations[actor] = incarnation
        if not wait_s:
            self._start(actor)


def _too_large(uss_bytes: float, actors: int) -> RedoxError:
    return RedoxError(
        f"a new actor takes {uss_bytes / MEBIBYTE:.0f} MB, too much for {actors} actors",
        hint="raise the memory of an actor where it is limited, or start fewer actors",
        settings=("actor_memory_mb", "num_actors"),
    )


def _lost_too_often(actor: int, deaths: int, reason: str) -> RedoxError:
    return RedoxError(
        f"actor {actor} was lost {deaths} times without a rollout in between; the last one {reason}",
        hint="check the limits of this machine; with 0 actors the error shows in this process",
        settings=("num_actors",),
    )
