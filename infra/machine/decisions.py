"""When a host stops: a pure function of the observed state, without access to the clock or the machine.

Only the standard library.
"""

from dataclasses import dataclass
from enum import Enum

from infra.machine.contract import idle_limit_s

GRACE_S = 1_800.0  # after boot, to raise the budget or start a run before the budget stops the host
WARN_S = 600.0  # before an idle host stops, users who are logged in are warned


class HostAction(Enum):
    """What to do; the values go into the log."""

    NOTHING = "nothing"
    WARN = "warn"
    RESTART_TRAINING = "restart the training"
    END_TRAINING = "end the training"
    STOP_HOST = "stop the host"


@dataclass(frozen=True, kw_only=True)
class StopRules:
    """When to stop."""

    idle_s: float  # without a training after which the host stops; 0 never stops it
    budget_usd: float  # of a month, for host time


@dataclass(frozen=True, kw_only=True)
class HostState:
    """Observed state of the host."""

    uptime_s: float  # since boot; monotonic
    idle_since_s: float | None = None  # uptime; None while it trains, see `contract.idle_since`
    failed: bool = False  # the last job was set aside and no other waits
    spent_usd: float = 0.0  # on this month's host time so far
    unhealthy: bool = False  # the trainer's container is running and fails its health check
    notice: bool = False  # of a spot interruption: two minutes remain


@dataclass(frozen=True)
class StopDecision:
    """An action and its reason."""

    action: HostAction
    reason: str
    takes_jobs: bool = True  # whether the host may start a run


def decide(state: HostState, rules: StopRules) -> StopDecision:
    """Decide what to do; a host with a live trainer is never stopped, its training is ended first."""
    busy = state.idle_since_s is None
    if state.notice:
        action = HostAction.END_TRAINING if busy else HostAction.NOTHING
        return StopDecision(action, "spot interruption notice", takes_jobs=False)
    if state.spent_usd >= rules.budget_usd and state.uptime_s >= GRACE_S:
        spent = f"this month's host time costs {state.spent_usd:,.2f} USD of {rules.budget_usd:,.2f}"
        return StopDecision(HostAction.END_TRAINING if busy else HostAction.STOP_HOST, spent, takes_jobs=False)
    if state.unhealthy:
        return StopDecision(HostAction.RESTART_TRAINING, "the training fails its health check")
    if state.idle_since_s is None:
        return StopDecision(HostAction.NOTHING, "training")
    if not rules.idle_s:
        return StopDecision(HostAction.NOTHING, "idle, and set never to stop")
    idle_s = max(state.uptime_s - state.idle_since_s, 0.0)
    return _when_idle(idle_s, idle_limit_s(rules.idle_s, failed=state.failed) - idle_s, failed=state.failed)


def _when_idle(idle_s: float, left_s: float, *, failed: bool) -> StopDecision:
    why = "the last run failed, no training" if failed else "no training"
    if left_s <= 0:
        return StopDecision(HostAction.STOP_HOST, f"{why} for {idle_s / 60:.0f} minutes")
    if left_s <= WARN_S:
        return StopDecision(HostAction.WARN, f"{why}: this host stops in {left_s / 60:.0f} minutes")
    return StopDecision(HostAction.NOTHING, f"idle for {idle_s / 60:.0f} minutes")
