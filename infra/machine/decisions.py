"""When a host stops: decided from what was seen, without a look at the clock or at the machine.

Idle time is counted in the seconds that the machine itself counted, so a wall clock that jumps cannot end anything.
Only the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

FRESH_S = 300.0  # a trainer writes its heartbeat every few seconds
ENDED = frozenset({"stopped", "finished", "failed"})  # said by a trainer that leaves
GRACE_S = 1_800.0  # after a start a person has this long to raise a budget or to begin a run
WARN_S = 600.0  # before an idle host stops, whoever is logged in is told


class Action(Enum):
    """What to do."""

    NOTHING = "nothing"
    WARN = "warn"
    RESTART_TRAINING = "restart the training"
    END_TRAINING = "end the training"
    STOP_HOST = "stop the host"


@dataclass(frozen=True)
class Beat:
    """A heartbeat: when it was written, in seconds of Unix time, and what the trainer said of itself."""

    written_at: float
    status: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When to stop.

    Attributes
    ----------
    idle_s
        Seconds without a training until the host stops; 0 never stops it.
    budget_usd
        What the hours of a month may cost.
    """

    idle_s: float
    budget_usd: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is to decide on.

    Attributes
    ----------
    now
        Unix time, s.
    uptime_s
        Seconds since the start of the machine; never goes back.
    beats
        Heartbeats of all runs.
    spent_usd
        What this month's hours cost so far.
    unhealthy
        Whether the container of the training is running and fails its health check.
    notice
        Whether the spot market takes the machine back within two minutes.
    awake_s
        Seconds since a person asked to keep the host awake, None if nobody did.
    """

    now: float
    uptime_s: float
    beats: Sequence[Beat] = ()
    spent_usd: float = 0.0
    unhealthy: bool = False
    notice: bool = False
    awake_s: float | None = None


@dataclass(frozen=True)
class Decision:
    """What to do and why; `busy_at_s` is the uptime at which there last was something to do, for the next look."""

    action: Action
    reason: str
    busy_at_s: float


def training(beats: Sequence[Beat], now: float) -> bool:
    """Whether any trainer lives: its heartbeat is fresh and does not say that it leaves.

    One from the future is as bad as an old one: a living trainer writes another within seconds.
    """
    return any(abs(now - beat.written_at) <= FRESH_S and beat.status not in ENDED for beat in beats)


def decide(seen: Seen, rules: Rules, busy_at_s: float = 0.0) -> Decision:
    """Decide what to do; the host is never stopped while a trainer lives.

    Parameters
    ----------
    seen
        What is the case now.
    rules
        What was settled.
    busy_at_s
        From the decision before; 0, the start of the machine, at first.
    """
    busy = training(seen.beats, seen.now)
    if busy or (seen.awake_s is not None and seen.awake_s < rules.idle_s):
        busy_at_s = seen.uptime_s

    def that(action: Action, reason: str) -> Decision:
        return Decision(action, reason, busy_at_s)

    if seen.notice:
        return that(Action.END_TRAINING if busy else Action.NOTHING, "the spot market takes this machine back")
    if seen.spent_usd >= rules.budget_usd and seen.uptime_s >= GRACE_S:
        spent = f"this month's hours cost {seen.spent_usd:,.2f} USD of {rules.budget_usd:,.2f}"
        return that(Action.END_TRAINING if busy else Action.STOP_HOST, spent)
    if seen.unhealthy:
        return that(Action.RESTART_TRAINING, "the training fails its health check")
    if busy or not rules.idle_s:
        return that(Action.NOTHING, "training" if busy else "idle, and set never to stop")
    return that(*_when_idle(seen.uptime_s - busy_at_s, rules))


def _when_idle(idle_s: float, rules: Rules) -> tuple[Action, str]:
    left_s = rules.idle_s - idle_s
    if left_s <= 0:
        return Action.STOP_HOST, f"no training for {idle_s / 60:.0f} minutes"
    if left_s <= WARN_S:
        return Action.WARN, f"no training: this host stops in {left_s / 60:.0f} minutes"
    return Action.NOTHING, f"idle for {idle_s / 60:.0f} minutes"
