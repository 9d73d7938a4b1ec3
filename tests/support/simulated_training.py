"""A training with many actors on a simulated clock.

Simulated are Ray, the shared memory, the durations of rollouts and updates, and the clock; what requests, orders,
batches and drops rollouts is the product: `exchange`, `ActorPool` and `LearnerThread`, which is not started but
stepped. Cells are such trainings whose updates begin together.
"""

import math
import threading
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from redox_balancer.impala import actor_pool
from redox_balancer.impala.actor import ActorHealth, ActorLostError, ActorStartup
from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.exchange import exchange
from redox_balancer.impala.learner_thread import LearnerThread
from redox_balancer.impala.scale_up import ActorMemory
from redox_balancer.resources import ProcessStats

START_S = 3.0  # of an actor
LOOP_S = 0.5e-3  # of the loop, for a rollout
HEALTH = ActorHealth(ProcessStats(1, 1, 1), "node", 1, 1)


@dataclass(eq=False)
class _Result:
    """When a result is ready, and what it is."""

    at: float
    value: Any


class _Learner:
    """Counts the rollouts of its updates by lag and by actor."""

    def __init__(
        self, config: TrainConfig, seconds: float, clock: Callable[[], float], together: Callable[[float], float]
    ) -> None:
        self.config, self._seconds, self._clock, self._together = config, seconds, clock, together
        self.version = self.steps = self.dropped = 0
        self.free_at = 0.0
        self.used, self.lags = Counter[int](), list[int]()

    def update(self, rollouts: list[Any]) -> Any:
        self.lags += [self.version - rollout.version for rollout in rollouts]
        self.used.update(rollout.actor for rollout in rollouts)
        self.version += 1
        self.steps += sum(rollout.transitions for rollout in rollouts)
        self.free_at = self._together(self._clock()) + self._seconds
        return SimpleNamespace(state=SimpleNamespace(parameters=None, updates=self.version), ended_at=self.free_at)


class _SteppedThread(LearnerThread):
    """Its updates are calculated at once and returned when their time is over."""

    def __init__(self, learner: _Learner, clock: Callable[[], float], training: "SimulatedTraining") -> None:
        super().__init__(cast("Any", learner), training.publish, training.wake)
        self._clock, self._calculated = clock, list[Any]()

    def step(self) -> bool:
        """Do an update, if what waits suffices."""
        before = self._learner.version
        while self._learner.version == before and not self._inbox.empty():
            self.take(cast("Any", self._inbox.get()))
        return self._learner.version > before

    def updates(self) -> list[Any]:
        self._calculated += super().updates()
        ended = [update for update in self._calculated if update.ended_at <= self._clock()]
        self._calculated = self._calculated[len(ended) :]
        return ended


_RUNNING = threading.local()  # the training of this thread


@contextmanager
def simulated() -> Iterator[None]:
    """Let pools of actors use the clock and the actors of the training of their thread."""
    start = SimpleNamespace(remote=lambda: _RUNNING.training.actor())  # noqa: PLW0108 - of the thread that calls it
    fakes = {
        "ray": SimpleNamespace(remote=lambda **_: lambda _: start, put=lambda value: value, kill=lambda _: None),
        "time": SimpleNamespace(monotonic=lambda: _RUNNING.training.now),
        "fetch": lambda startup: startup.value,
        "actor_memory": lambda _: ActorMemory(math.inf, math.inf),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, fake in fakes.items():
            patch.setattr(actor_pool, name, fake)
        yield


class SimulatedTraining:
    """`actors` that need `rollout_s` seconds for a rollout, and a learner that needs `learner_s` for each.

    Durations of rollouts vary by `spread`, the standard deviation of their logarithm; those of actor 0 are `slow`
    times as long, and each kills its actor with the probability `deaths`. `together` tells from the time at which an
    update could begin when it begins.

    Attributes
    ----------
    requested, most_outstanding
        Number of rollouts requested, and of those requested and not yet taken by an update at any time.
    received
        Actor, incarnation and sequence of the rollouts that arrived.
    """

    def __init__(
        self,
        actors: int,
        *,
        rollout_s: float,
        learner_s: float,
        spread: float = 0.2,
        slow: float = 1.0,
        deaths: float = 0.0,
        together: Callable[[float], float] = lambda now: now,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        self._rollout_s, self._spread, self._slow, self._deaths = rollout_s, spread, slow, deaths
        self.config = TrainConfig(num_actors=actors, max_actors=actors, timesteps=2**60, **settings)
        self._rng = np.random.default_rng(seed)
        self._now = 0.0
        self._published = [(0.0, -1)]
        self.requested = self.most_outstanding = 0
        self.received = list[tuple[int, int, int]]()
        update_s = learner_s * self.config.rollouts_per_batch
        self.learner = _Learner(self.config, update_s, lambda: self._now, together)
        self.thread = _SteppedThread(self.learner, lambda: self._now, self)
        self._woken = False

    def run(self, seconds: float) -> None:
        """Train for so long after the actors have started."""
        with simulated():
            self._run(seconds)

    def _run(self, seconds: float) -> None:
        _RUNNING.training = self
        actors = dict.fromkeys(range(self.config.num_actors), 0)
        ways = cast("Any", lambda: self)
        self.pool = ActorPool(self.config, cast("Any", None), actors, transport=ways)
        self.publish(None, 0)
        while self._now < START_S + seconds:
            exchange(cast("Any", self), self.pool, self.thread)

    def record(self, update: Any) -> None:
        """Nothing is made of an update."""

    def check(self, rollout: Any) -> None:
        """Count a rollout that arrived."""
        self.received.append((rollout.actor, rollout.incarnation, rollout.sequence))
        self._sleep(LOOP_S)

    # What the pool asks of a `Transport`:
    address = None

    def open(self, *_: Any) -> None:
        """The memory is simulated."""

    def publish(self, _: Any, version: int) -> None:
        """Give this version to rollouts that begin after the present update, if any."""
        self._published.append((max(self._now, self.learner.free_at), version))

    def connect(self, _: int, actor: Any, **__: Any) -> "_Link":
        """Return the link of an actor that has started."""
        return _Link(self, actor.origin)

    def wake(self) -> None:
        """End the present or the next `wait`."""
        self._woken = True

    def wait(
        self, timeout_s: float, references: Iterable[Sequence[_Result]], enough: float
    ) -> tuple[list[int], set[_Result]]:
        """Wait for enough rollouts, or for a learner that lacks them."""
        expected = [reference for each in references for reference in each]
        ends = [self._now + timeout_s]
        if enough <= len(expected):
            ends.append(sorted(each.at for each in expected)[int(enough) - 1])
        if self._now < self.learner.free_at and self.thread.missing > 0:
            ends.append(self.learner.free_at)
        self._sleep(max(min(ends) - self._now, 0.0), wakes=True)
        self._woken = False
        return [], {each for each in expected if each.at <= self._now}

    # What a link asks:
    def play(self, begin: float, origin: dict[str, int], sequence: int) -> _Result:
        """Return the rollout that an actor plays from a time on, None where it dies of it."""
        self.requested += 1
        arrived_or_lost = self.pool.used + self.pool.discarded
        self.most_outstanding = max(self.most_outstanding, self.requested - arrived_or_lost + self.thread.unused)
        mean_s = self._rollout_s * (self._slow if origin["actor"] == 0 else 1.0)
        end = max(begin, self._now) + mean_s * math.exp(self._spread * self._rng.standard_normal())
        rollout = SimpleNamespace(**origin, sequence=sequence, begin=max(begin, self._now), transitions=256)
        return _Result(end, None if self._rng.random() < self._deaths else rollout)

    def version_at(self, time: float) -> int:
        """Return the newest version at a time."""
        return self._published[bisect_right(self._published, (time, math.inf)) - 1][1]

    @property
    def now(self) -> float:
        """The simulated time."""
        return self._now

    def actor(self) -> Any:
        """Start a process."""
        actor = SimpleNamespace()

        def prepare(_: Any, settings: Any, *__: Any) -> _Result:
            actor.origin = {name: settings[name] for name in ("actor", "incarnation")}
            shape = cast("Any", SimpleNamespace(size=0))
            return _Result(self._now + START_S, ActorStartup(shape, 1, HEALTH, shares_memory=True))

        actor.prepare = SimpleNamespace(remote=prepare)
        return actor

    def _sleep(self, seconds: float, *, wakes: bool = False) -> None:
        """Let time pass, in which the learner works, perhaps only until it `wakes` the loop."""
        until = self._now + seconds
        while not (wakes and self._woken) and (free_at := max(self._now, self.learner.free_at)) <= until:
            self._now = free_at
            if not self.thread.step():
                break
        if not (wakes and self._woken):
            self._now = until


class SimulatedCells:
    """Cells of so many actors each, whose updates begin when the slowest cell has its batch."""

    def __init__(self, cells: int, actors: int, **settings: Any) -> None:
        self._ready = [0.0] * cells
        self._barrier = threading.Barrier(cells)
        self.cells = [
            SimulatedTraining(actors, together=partial(self._together, number), seed=number, **settings)
            for number in range(cells)
        ]

    def _together(self, number: int, now: float) -> float:
        """Return the time at which all are ready; each waits in a thread of its own."""
        self._ready[number] = now
        self._barrier.wait()
        latest = max(self._ready)
        self._barrier.wait()
        return latest

    def run(self, seconds: float) -> None:
        """Train for so long after the actors have started."""

        def train(cell: SimulatedTraining) -> None:
            with suppress(threading.BrokenBarrierError):
                cell._run(seconds)
            self._barrier.abort()  # the others would wait for its next update

        with simulated(), ThreadPoolExecutor(len(self.cells)) as threads:
            list(threads.map(train, self.cells))


class _Link:
    """An actor that plays one rollout after the other, each with the version that is the newest when it begins."""

    def __init__(self, training: SimulatedTraining, origin: dict[str, int]) -> None:
        self._training, self._origin = training, origin
        self._free_at, self._played = 0.0, 0
        self.references = deque[_Result]()

    def request(self) -> None:
        result = self._training.play(self._free_at, self._origin, self._played)
        self.references.append(result)
        self._free_at, self._played = result.at, self._played + 1

    def take(self, ready: set[_Result]) -> Iterator[Any]:
        while self.references and self.references[0] in ready:
            rollout = self.references.popleft().value
            if rollout is None:
                raise ActorLostError("killed")
            rollout.version = self._training.version_at(rollout.begin)
            yield rollout, []
