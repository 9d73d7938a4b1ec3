"""The cells of a run: watches and replaces them, says who belongs to the group, and gathers what they report."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.actor import ActorLostError, fetch
from redox_balancer.impala.actor_pool import MAX_DEATHS, START_TIMEOUT_S
from redox_balancer.impala.cell import CellReport, CellSettings, start_cell, together
from redox_balancer.impala.cluster import actor_memory, cores_of_nodes, own_address
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner import LearnerState, Update
from redox_balancer.impala.learner_group import Rendezvous
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.impala.rollout import EnvFactory, RolloutCollector
from redox_balancer.resources import ProcessStats

POLL_S = 0.05  # between two looks at the group
AHEAD = 2  # turns asked of a cell at a time: it goes on while this process takes its report
END_S = 60.0  # for the last update of a cell
# An actor of a lost cell may have been replaced since the cell's last report, though not as often as this.
UNREPORTED = 1000


@dataclass(eq=False)
class _Place:
    """Place of one cell, with its current process."""

    number: int
    config: TrainConfig
    actors: Sequence[int]
    initial: int  # number of them to start with
    generation: int = 0
    handle: Any = None
    pending: deque[Any] = field(default_factory=deque)  # references to what it does, in this order
    since: float = 0.0  # time of its last answer or, where nothing was pending, of the request
    prepared: bool = False
    joined: bool = False
    report: CellReport | None = None  # the last one
    deaths: int = 0  # since the last report

    @property
    def name(self) -> str:
        return f"{self.number}.{self.generation}"

    def ask(self, method: str, *arguments: Any) -> None:
        """Let the process do something once it has done what is pending."""
        if not self.pending:
            self.since = time.monotonic()
        self.pending.append(getattr(self.handle, method).remote(*arguments))

    def work(self) -> None:
        """Keep the process at work."""
        while len(self.pending) < AHEAD:
            self.ask("work")


class CellPool:
    """The cells of a run, each with its share of the actors.

    A cell that dies, or does not report for `config.actor_timeout_s`, is replaced, and so are its actors; the others
    go on meanwhile. This process has no learner, so that any of them may die.

    Parameters are those of `ActorPool`, but `initial` is the number of actors to start with in all cells together.
    """

    def __init__(
        self,
        config: TrainConfig,
        factory: EnvFactory,
        incarnations: MutableMapping[int, int],
        report: Callable[[str], None],
        *,
        initial: int,
        collector: type[RolloutCollector] = RolloutCollector,
    ) -> None:
        self._config, self._incarnations, self._report, self._collector = config, incarnations, report, collector
        self._factory = ray.put(factory)
        self._rendezvous = Rendezvous(own_address())
        self._shape: PolicyShape | None = None
        self._state: LearnerState | None = None  # the newest
        self._updates, self._recorded = list[Update](), 0  # not returned yet, and the version that was
        self._lost = Counter[str]()
        limits, cells = actor_memory(config), config.learner_cells
        self._limits = limits._replace(total_bytes=limits.total_bytes / cells)
        nodes = sum(cores >= config.num_actors // cells for cores in cores_of_nodes())
        self._share = 1 / math.ceil(cells / max(nodes, 1))  # of the memory of its node, for each
        self._places = []
        for number in range(config.learner_cells):
            actors = range(number, config.num_actors, config.learner_cells)
            settings = config.changed(num_actors=len(actors), learner_cells=1)
            self._places.append(_Place(number, settings, actors, max(1, initial // config.learner_cells)))
            self._start(self._places[-1])

    @property
    def _reports(self) -> dict[str, CellReport]:
        return {place.name: place.report for place in self._places if place.report is not None}

    def metrics(self) -> dict[str, float]:
        """Return the counters of all cells, those of lost ones included, and their largest process statistics."""
        found = [report.metrics for report in self._reports.values()]
        largest = "actor_uss_mb", "actor_descriptors", "actor_threads"
        row = {name: max((each[name] for each in found), default=math.nan) for name in largest}
        counts = Counter(self._lost)
        for each in found:
            counts.update({name: int(count) for name, count in each.items() if name not in largest})
        return {"cells": len(found), "cells_lost": self._lost["cells_lost"]} | row | dict(counts)

    def actor_stats(self) -> dict[str, ProcessStats]:
        """Return the last reported statistics of each actor, by actor and incarnation as in `actor 3.0`."""
        return {name: stats for report in self._reports.values() for name, stats in report.actors.items()}

    def cell_stats(self) -> dict[str, ProcessStats]:
        """Return those of each cell itself, as in `cell 1.0`."""
        return {f"cell {name}": report.stats for name, report in self._reports.items()}

    def shape(self, stop: threading.Event) -> PolicyShape:
        """Wait until a cell has an actor and return the sizes of the policy that fits it.

        A RedoxError with exit code 0 where `stop` is set before.
        """
        while self._shape is None:
            if stop.is_set():
                raise RedoxError("stopped before the first cell was ready: there was nothing to save", exit_code=0)
            self.receive()
        return self._shape

    def learn(self, state: LearnerState) -> None:
        """Let the cells learn from this state on, each as soon as it has an actor."""
        self._state, self._recorded = state, state.updates

    def receive(self) -> list[Update]:
        """Return the updates that all cells have reported, as one, and replace cells where necessary.

        It takes a moment. A RedoxError if a cell keeps dying; any exception of an environment is raised as it is.
        """
        busy = {place.pending[0]: place for place in self._places if place.pending}
        ready = ray.wait(list(busy), timeout=POLL_S)[0] if busy else ()
        changed = self._rendezvous.broken
        for reference in ready:
            place = busy[reference]
            try:
                self._take(place, fetch(reference))
            except ActorLostError as lost:
                changed |= place.joined
                self._replace(place, f"died: {lost}")
        now = time.monotonic()
        for place in self._places:
            timeout_s, silent_s = self._config.actor_timeout_s, now - place.since
            if place.report is None:
                timeout_s = max(timeout_s, START_TIMEOUT_S)
            else:
                silent_s = max(silent_s, place.report.silent_s)
            if place.pending and silent_s > timeout_s:
                changed |= place.joined
                self._time_out(place)
        joining = [place for place in self._places if place.prepared and not place.joined]
        if self._state is not None and (joining or changed):
            for place in joining:
                place.joined = True
            reported = [place.report.state.updates for place in self._places if place.joined and place.report]
            # A lost cell may have reported an update whose end the others have not seen.
            ahead = self._state.updates > max(reported, default=-1)
            members = [place.name for place in self._places if place.joined]
            self._rendezvous.form(members, self._state.packed(self._config.passes) if ahead else None)
            state = ray.put(self._state)
            for place in joining:
                place.ask("join", state, self._rendezvous.address, place.name)
        working = [place.report.state for place in self._places if place.report and place.joined]
        return self._taken(min(working, key=lambda state: state.updates, default=None))

    def end(self) -> Iterator[Update]:
        """End all cells after their current update, and yield the last updates; then raise an error of a cell."""
        self._rendezvous.form(())
        ending = [place for place in self._places if place.report is not None]
        for place in ending:
            place.ask("end")
        last = [place.pending[-1] for place in ending]
        ready = set(ray.wait(last, num_returns=len(last), timeout=END_S)[0]) if last else set()
        errors = list[Exception]()
        for place in ending:
            for reference in place.pending if place.pending[-1] in ready else ():
                try:
                    self._note(place, fetch(reference))
                except ActorLostError as lost:
                    self._report(f"cell {place.name} died: {lost}")
                    break
                except Exception as error:  # noqa: BLE001 - raised after the reports of the others
                    errors.append(error)
        yield from self._taken(self._state)
        if errors:
            raise errors[0]

    def _taken(self, state: LearnerState | None) -> list[Update]:
        """Return all updates as one with this state, if it is a new one."""
        if state is None or state.updates <= self._recorded or not self._updates:
            return []
        update, self._recorded = together(self._updates, state), state.updates
        self._updates = []
        return [update]

    def _start(self, place: _Place) -> None:
        place.handle = start_cell(place.config)
        incarnations = {actor: self._incarnations[actor] for actor in place.actors}
        memory = self._limits, self._share
        settings = CellSettings(place.config, incarnations, place.initial, *memory, self._collector)
        place.ask("prepare", settings, self._factory)

    def _take(self, place: _Place, answer: Any) -> None:
        """Take what a cell has answered, and let it go on."""
        place.pending.popleft()
        place.since = time.monotonic()
        if isinstance(answer, PolicyShape):
            place.prepared = True
            self._shape = answer
            return
        if isinstance(answer, CellReport):
            self._note(place, answer)
        place.work()

    def _note(self, place: _Place, report: CellReport) -> None:
        place.report, place.deaths = report, 0
        self._incarnations.update(report.incarnations)
        for message in report.messages:
            self._report(f"cell {place.number}: {message}")
        if self._state is None or report.state.updates > self._state.updates:
            self._state = report.state
        if report.update is not None:
            self._updates.append(report.update)

    def _time_out(self, place: _Place) -> None:
        """Replace a cell that timed out, unless it still waits for free cores."""
        needed = place.config.num_actors
        if not place.prepared and max(cores_of_nodes(free=True), default=0.0) < needed:
            place.since = time.monotonic()
            self._report(f"cell {place.number} waits for {needed} free cores on one node of the cluster")
            return
        self._replace(place, "does not answer")

    def _replace(self, place: _Place, reason: str) -> None:
        place.deaths += 1
        if place.deaths >= MAX_DEATHS:
            raise RedoxError(
                f"cell {place.number} was lost {place.deaths} times without a report in between; the last {reason}",
                hint="check the limits of the machines; one cell needs no other process for its learner",
                settings=("learner_cells",),
            )
        ray.kill(place.handle)
        outstanding = 0
        if place.report is not None:
            outstanding, metrics = place.report.outstanding, place.report.metrics
            place.initial = max(place.initial, int(metrics["actors"]))  # for which there was memory
            counters = "restarts", "recycled", "rollouts_used", "rollouts_discarded", "rollouts_refused"
            self._lost.update({name: int(metrics[name]) for name in counters})
        self._lost.update(cells_lost=1, rollouts_discarded=outstanding)
        for actor in place.actors:
            self._incarnations[actor] += UNREPORTED
        place.generation += 1
        place.prepared = place.joined = False
        place.report = None
        place.pending.clear()
        self._start(place)
        self._report(
            f"cell {place.number} {reason}; generation {place.generation} takes over, the rollouts of its actors in "
            f"no update yet, {outstanding} at its last report, are discarded"
        )
