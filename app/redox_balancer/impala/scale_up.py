"""Scale-up: the number of actors to run, from the memory of the running ones."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from redox_balancer.resources import MEBIBYTE

INITIAL_ACTORS = 30  # with more, the first system ran out of memory before the size of an actor was known
STEP = 30
INTERVAL_S = 60.0  # caches fill within minutes, so the size of an actor shows in this time
RESERVE = 0.1  # share of the memory that stays free
GROWTH = 1.25  # a new actor is expected to need this much more than the largest one takes now
ACTORS_SHARE = 0.8  # of the memory free at the start; the learner and the system grow too
LEAK = 2.0  # an actor of less than this many times its memory at startup has not outgrown it


class ActorMemory(NamedTuple):
    """Memory limits of the actors, in bytes, one of which is infinite.

    `each_bytes` is the limit of one actor that the user has set, `total_bytes` without one the memory free at the
    start on all machines of the cluster.
    """

    each_bytes: float
    total_bytes: float

    def budget_bytes(self, actors: int, startup_bytes: float) -> float:
        """Return the memory beyond which one of this many actors is replaced, given its memory at startup."""
        if math.isfinite(self.each_bytes):
            return self.each_bytes
        return max(ACTORS_SHARE * self.total_bytes / max(actors, 1), LEAK * startup_bytes)

    def exceeded(self, actors: int, startup_bytes: float) -> bool:
        """Whether there is no room for this many actors of a size."""
        return startup_bytes > self.each_bytes or actors * startup_bytes > self.total_bytes

    def room(self, running: int, largest_bytes: float) -> float:
        """Return the number of further actors that the limits allow, from the size of the largest one."""
        return ACTORS_SHARE * self.total_bytes / (GROWTH * largest_bytes) - running


class ScaleUpDecision(NamedTuple):
    """Number of actors to run now, and the reason."""

    actors: int
    reason: str


class ScaleUp:
    """Decides every minute and reports a decision only where it differs from the one before.

    Parameters
    ----------
    target
        Actors requested by the user.
    limits
        Memory limits of the actors.
    initial
        Number of actors to start with.
    """

    def __init__(self, target: int, limits: ActorMemory, *, initial: int = INITIAL_ACTORS) -> None:
        self._target, self._limits, self._initial = target, limits, initial
        self._last_at = -math.inf
        self._paused_at: int | None = None

    def due(self, now_s: float) -> bool:
        """Whether it is time to decide, on a monotonic clock."""
        return now_s - self._last_at >= INTERVAL_S

    def consider(self, now_s: float, *, running: int, **memory: Any) -> ScaleUpDecision | None:
        """Return a decision to log, else None; arguments as for `decide`."""
        self._last_at = now_s
        if 0 < running >= self._target:
            return None
        decision = self.decide(running=running, **memory)
        # The sizes behind a pause change every time; the pause itself is logged once.
        paused = decision.actors == running
        if paused and self._paused_at == running:
            return None
        self._paused_at = running if paused else None
        return decision

    def decide(
        self, *, running: int, uss_bytes: Sequence[int], available_bytes: int, total_bytes: int
    ) -> ScaleUpDecision:
        """Return the number of actors to run now, where so many run.

        `uss_bytes` is the memory of each actor that has reported it, `available_bytes` and `total_bytes` are the free
        and the total memory of the machines that they run on.
        """
        if running >= self._target:
            return ScaleUpDecision(running, f"all {self._target} actors run")
        if running == 0:
            first = min(self._target, self._initial)
            return ScaleUpDecision(first, f"starting with {first} of {self._target} actors")
        if len(uss_bytes) < running:
            return ScaleUpDecision(
                running, f"{running} of {self._target} actors until all have reported their memory"
            )
        largest = max(uss_bytes)
        if largest > self._limits.each_bytes:
            over = f"{largest / MEBIBYTE:.0f} MB, over its budget of {self._limits.each_bytes / MEBIBYTE:.0f}"
            return ScaleUpDecision(running, f"{running} of {self._target} actors: one takes {over}")
        room = min(
            (available_bytes - RESERVE * total_bytes) / (GROWTH * largest), self._limits.room(running, largest)
        )
        more = min(STEP, self._target - running, math.floor(max(room, 0)))
        sizes = f"the largest takes {largest / MEBIBYTE:.0f} MB, {available_bytes / MEBIBYTE:.0f} MB are free"
        if more == 0:
            return ScaleUpDecision(running, f"no room for more than {running} of {self._target} actors: {sizes}")
        return ScaleUpDecision(running + more, f"{running + more} of {self._target} actors: {sizes}")
