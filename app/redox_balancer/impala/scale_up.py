"""Scale-up: how many actors to run by now, decided from the memory that the running ones take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from redox_balancer.resources import MEBIBYTE

INITIAL_ACTORS = 30  # with more, the first system ran out of memory before the size of an actor was known
STEP = 30
INTERVAL_S = 60.0  # caches fill within minutes, so the size of an actor shows in this time
RESERVE = 0.1  # share of the memory that stays free
GROWTH = 1.25  # a new actor is expected to need this much more than the largest one takes now


class ScaleUpDecision(NamedTuple):
    """Number of actors to run now, and the reason."""

    actors: int
    reason: str


def decide(
    *, running: int, target: int, uss_bytes: Sequence[int], budget_bytes: int, available_bytes: int, total_bytes: int
) -> ScaleUpDecision:
    """Return the number of actors to run now.

    Parameters
    ----------
    running
        Actors started so far.
    target
        Actors requested by the user.
    uss_bytes
        Memory of each actor that has reported it; a new one has not yet.
    budget_bytes
        Memory that one actor may take.
    available_bytes, total_bytes
        Free and total memory of the machines that the actors run on.
    """
    if running >= target:
        return ScaleUpDecision(running, f"all {target} actors run")
    if running == 0:
        first = min(target, INITIAL_ACTORS)
        return ScaleUpDecision(first, f"starting with {first} of {target} actors")
    if len(uss_bytes) < running:
        return ScaleUpDecision(running, f"{running} of {target} actors until all have reported their memory")
    largest = max(uss_bytes)
    if largest > budget_bytes:
        over = f"{largest / MEBIBYTE:.0f} MB, over its budget of {budget_bytes / MEBIBYTE:.0f}"
        return ScaleUpDecision(running, f"{running} of {target} actors: one takes {over}")
    room = int((available_bytes - RESERVE * total_bytes) // (GROWTH * largest))
    more = min(STEP, target - running, max(room, 0))
    sizes = f"the largest takes {largest / MEBIBYTE:.0f} MB, {available_bytes / MEBIBYTE:.0f} MB are free"
    if more == 0:
        return ScaleUpDecision(running, f"no room for more than {running} of {target} actors: {sizes}")
    return ScaleUpDecision(running + more, f"{running + more} of {target} actors: {sizes}")


class ScaleUp:
    """Decides every `interval_s` seconds and reports a decision only where it differs from the one before.

    Parameters
    ----------
    target
        Actors requested by the user.
    budget_bytes
        Memory that one actor may take.
    interval_s
        Seconds between two decisions.
    """

    def __init__(self, target: int, budget_bytes: int, interval_s: float = INTERVAL_S) -> None:
        self._target, self._budget, self._interval_s = target, budget_bytes, interval_s
        self._last_at = -math.inf
        self._paused_at: int | None = None

    def due(self, now_s: float) -> bool:
        """Whether it is time to decide, on a monotonic clock."""
        return now_s - self._last_at >= self._interval_s

    def consider(
        self, now_s: float, *, running: int, uss_bytes: Sequence[int], available_bytes: int, total_bytes: int
    ) -> ScaleUpDecision | None:
        """Return a decision to log, else None; arguments as for `decide`."""
        self._last_at = now_s
        if 0 < running >= self._target:
            return None
        decision = decide(
            running=running,
            target=self._target,
            uss_bytes=uss_bytes,
            budget_bytes=self._budget,
            available_bytes=available_bytes,
            total_bytes=total_bytes,
        )
        # The sizes behind a pause change every time; the pause itself is logged once.
        paused = decision.actors == running
        if paused and self._paused_at == running:
            return None
        self._paused_at = running if paused else None
        return decision
