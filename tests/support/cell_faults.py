"""A training in cells whose processes get signals: which rollouts were used, and the states that cells reported."""

import signal
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import psutil

from redox_balancer.impala.cell import CellReport
from redox_balancer.impala.cell_pool import UNREPORTED, CellPool
from redox_balancer.impala.learner import Learner, Update
from redox_balancer.impala.rollout import Rollout, RolloutCollector
from sinks import Recorder
from toy_envs import Shelves

Over = Callable[[dict[int, int]], bool]
"""Whether the processes that replace those of a fault have learned, given the newest incarnation of each actor."""
Fault = Callable[[], Over]

_ACTOR, _INCARNATION, _SEQUENCE = 50, 28, 10  # bits below them in the number of an episode


class TracedCollector(RolloutCollector):
    """Gives each episode a number of its own, that names its rollout, in place of the one of its construct."""

    def collect(self) -> Rollout:
        rollout = super().collect()
        first = (rollout.actor << _ACTOR) + (rollout.incarnation << _INCARNATION) + (rollout.sequence << _SEQUENCE)
        keys = first + np.arange(len(rollout.episodes.keys))
        return replace(rollout, episodes=rollout.episodes._replace(keys=keys))


@dataclass(frozen=True)
class StuckOnce(Shelves):
    """Shelves that let the first update of the first learner that has them never end; a file tells that it was."""

    marker: str = ""

    def __reduce__(self) -> Any:
        return _stuck_once, (self.marker,)


def _stuck_once(marker: str) -> StuckOnce:
    """Unpickle shelves: learners do that before they learn."""

    def update(learner: Learner, rollouts: Sequence[Rollout]) -> Update:
        with suppress(FileExistsError):
            Path(marker).touch(exist_ok=False)
            threading.Event().wait()
        return learn(learner, rollouts)

    learn, Learner.update = Learner.update, update  # type: ignore[method-assign]
    return StuckOnce(marker=marker)


class Process(NamedTuple):
    """Process of an actor, by its incarnation."""

    actor: int
    incarnation: int


@dataclass
class Trace:
    """What the trainer has been told by its cells.

    `episodes` counts how often each was used, `states` the checksums of each version that any cell has reported, and
    `told` how many cells have reported it.
    """

    episodes: Counter[int] = field(default_factory=Counter)
    processes: set[Process] = field(default_factory=set)
    states: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    told: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def note(self, cell: int, report: CellReport) -> None:
        version = report.state.updates
        self.states[version].add(zlib.crc32(b"".join(np.asarray(each).tobytes() for each in report.state)))
        self.told[version].add(cell)

    def use(self, updates: Sequence[Update]) -> None:
        for key in (key for update in updates for part in update.episodes for key in part.keys.tolist()):
            self.episodes[key] += 1
            self.processes.add(Process(key >> _ACTOR, (key >> _INCARNATION) % (1 << _ACTOR - _INCARNATION)))

    @property
    def doubled(self) -> int:
        """Episodes that were used more than once."""
        return sum(count - 1 for count in self.episodes.values())

    @property
    def compared(self) -> int:
        """Versions that more than one cell has reported."""
        return sum(len(cells) > 1 for cells in self.told.values())

    @property
    def newest(self) -> dict[int, int]:
        """The newest incarnation of each actor whose rollouts were used."""
        return {process.actor: process.incarnation for process in sorted(self.processes)}


@contextmanager
def traced() -> Iterator[Trace]:
    """Record what the cells of a training tell."""
    trace = Trace()

    class Watched(CellPool):
        def _note(self, place: Any, report: CellReport) -> None:
            super()._note(place, report)
            trace.note(place.number, report)

        def _taken(self, state: Any) -> list[Update]:
            updates = super()._taken(state)
            trace.use(updates)
            return updates

    with mock.patch("redox_balancer.impala.cell_pool.CellPool", Watched):
        yield trace


def oldest(name: str) -> psutil.Process:
    """The oldest process of this name among those of Ray below this one."""
    found = [each for each in psutil.Process().children(recursive=True) if f"ray::{name}" in each.name()]
    return min(found, key=psutil.Process.create_time)


class Faults(Recorder):
    """Lets each fault happen once the one before is over and cells reported a common version, then ends the run."""

    def __init__(self, trace: Trace, actors: int, faults: Sequence[Fault]) -> None:
        super().__init__()
        self.faults, self.left, self._trace = faults, list(faults), trace
        self._over: Over = lambda newest: len(newest) == actors
        self._ended, self._compared = False, 0

    def advance(self, steps: int) -> None:
        super().advance(steps)
        if self._ended or not self._over(self._trace.newest) or self._trace.compared <= self._compared:
            return
        self._compared = self._trace.compared
        if self.left:
            self._over = self.left.pop(0)()
        else:
            self._ended = True  # a second signal would end the process at once
            signal.raise_signal(signal.SIGINT)  # a node that is added takes SIGTERM for itself


def actor_gets(fault: signal.Signals, trace: Trace) -> Fault:
    """An actor gets a signal; it is over when a new incarnation of one has returned rollouts."""

    def happen() -> Over:
        before = trace.newest
        oldest("CollectorActor").send_signal(fault)
        return lambda newest: newest != before

    return happen


def cell_gets(fault: signal.Signals, trace: Trace, actors: int) -> Fault:
    """The oldest cell gets a signal; it is over when all actors of one have others in their place."""

    def happen() -> Over:
        before = trace.newest
        oldest("LearnerCell").send_signal(fault)
        return lambda newest: sum(newest[actor] >= before[actor] + UNREPORTED for actor in newest) >= actors

    return happen
