"""The scale_up: how many actors a run may have by now, decided from what the running ones take of the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

FIRST_ACTORS = 30  # the first system ran out of memory with more, before anyone had seen what one of its actors takes
STEP = 30
RAMP_INTERVAL_S = 60.0  # caches fill within minutes, so what an actor takes shows in that time
RESERVE = 0.1  # share of the memory that stays free
GROWTH = 1.25  # a new actor is taken to need this much more than the largest one does by now
MEBIBYTE = 2**20


class ScaleUpDecision(NamedTuple):
    """How many actors there should be now, and why."""

    actors: int
    why: str


def decide(
    *, running: int, target: int, uss_bytes: Sequence[int], budget_bytes: int, available_bytes: int, total_bytes: int
) -> ScaleUpDecision:
    """Return how many actors there should be.

    Parameters
    ----------
    running
        Actors that were started.
    target
        Actors that were asked for.
    uss_bytes
        Memory of each actor that told it; a new one has not yet.
    budget_bytes
        What one actor may take.
    available_bytes, total_bytes
        Memory of the machines that the actors are on: free for use, and all of it.
    """
    if running >= target:
        return ScaleUpDecision(running, f"all {target} actors run")
    if running == 0:
        first = min(target, FIRST_ACTORS)
        return ScaleUpDecision(first, f"{first} of {target} actors to begin with")
    if len(uss_bytes) < running:
        return ScaleUpDecision(running, f"{running} of {target} actors until all have told what memory they take")
    largest = max(uss_bytes)
    if largest > budget_bytes:
        over = f"{largest / MEBIBYTE:.0f} MB, over its budget of {budget_bytes / MEBIBYTE:.0f}"
        return ScaleUpDecision(running, f"{running} of {target} actors: one takes {over}")
    room = int((available_bytes - RESERVE * total_bytes) // (GROWTH * largest))
    more = min(STEP, target - running, max(room, 0))
    figures = f"the largest takes {largest / MEBIBYTE:.0f} MB, {available_bytes / MEBIBYTE:.0f} MB are free"
    if more == 0:
        return ScaleUpDecision(running, f"no room for more than {running} of {target} actors: {figures}")
    return ScaleUpDecision(running + more, f"{running + more} of {target} actors: {figures}")


class ScaleUp:
    """Decides every `RAMP_INTERVAL_S` seconds, and tells a decision only where it differs from the one before.

    Parameters
    ----------
    target
        Actors that were asked for.
    budget_bytes
        What one actor may take.
    interval_s
        Seconds between two decisions.
    """

    def __init__(self, target: int, budget_bytes: int, interval_s: float = RAMP_INTERVAL_S) -> None:
        self._target, self._budget, self._interval_s = target, budget_bytes, interval_s
        self._last_at = -math.inf
        self._told: int | None = None

    def due(self, now_s: float) -> bool:
        """Whether it is time to decide, by a clock that never goes back."""
        return now_s - self._last_at >= self._interval_s

    def consider(
        self, now_s: float, *, running: int, uss_bytes: Sequence[int], available_bytes: int, total_bytes: int
    ) -> ScaleUpDecision | None:
        """Return a decision that is worth a line, None where all stays as it was."""
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
        # The figures behind a pause change at each look; that there is one is worth a single line.
        paused = decision.actors == running
        if paused and self._told == running:
            return None
        self._told = running if paused else None
        return decision
