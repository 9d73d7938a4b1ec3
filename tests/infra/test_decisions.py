"""When the host stops: every rule on its own, and never while a trainer runs."""

import itertools

import pytest

from infra.machine.contract import FAILED_IDLE_S as LIMIT
from infra.machine.decisions import GRACE_S, WARN_S, HostAction, HostState, StopRules, decide

HOUR = 3_600.0
RULES = StopRules(idle_s=HOUR, budget_usd=2_000.0)
TRAINING: dict[str, object] = {"idle_since_s": None}


@pytest.mark.parametrize(
    ("state", "idle_s", "action"),
    [
        ({"uptime_s": 9 * HOUR, "idle_since_s": 8.5 * HOUR}, HOUR, HostAction.NOTHING),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 8 * HOUR + WARN_S + 1}, HOUR, HostAction.NOTHING),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 8 * HOUR + WARN_S}, HOUR, HostAction.WARN),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 8 * HOUR}, HOUR, HostAction.STOP_HOST),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 10 * HOUR}, HOUR, HostAction.NOTHING),  # kept awake until later
        ({"uptime_s": 9 * HOUR, "idle_since_s": 0.0}, 0.0, HostAction.NOTHING),
        ({"uptime_s": 9 * HOUR, **TRAINING}, HOUR, HostAction.NOTHING),
        # The queue was worked off and its last job set aside: minutes, to queue it again, and not the idle time.
        ({"uptime_s": 9 * HOUR, "idle_since_s": 9 * HOUR - 60.0, "failed": True}, HOUR, HostAction.WARN),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 9 * HOUR - LIMIT, "failed": True}, HOUR, HostAction.STOP_HOST),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 9 * HOUR - 300.0, "failed": True}, 300.0, HostAction.STOP_HOST),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 0.0, "failed": True}, 0.0, HostAction.NOTHING),
        ({"uptime_s": 9 * HOUR, **TRAINING, "failed": True}, HOUR, HostAction.NOTHING),
        # Budget: the training saves first, the host stops in the next round; after boot a person has half an hour.
        ({"uptime_s": 9 * HOUR, **TRAINING, "spent_usd": 2_000.0}, HOUR, HostAction.END_TRAINING),
        ({"uptime_s": 9 * HOUR, **TRAINING, "spent_usd": 1_999.9}, HOUR, HostAction.NOTHING),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 9 * HOUR, "spent_usd": 2_000.0}, HOUR, HostAction.STOP_HOST),
        ({"uptime_s": 9 * HOUR, "idle_since_s": 9 * HOUR, "spent_usd": 2_000.0}, 0.0, HostAction.STOP_HOST),
        ({"uptime_s": GRACE_S - 1, "idle_since_s": 60.0, "spent_usd": 2_000.0}, HOUR, HostAction.NOTHING),
        # Spot interruption: save at once.
        ({"uptime_s": 60.0, **TRAINING, "notice": True}, HOUR, HostAction.END_TRAINING),
        ({"uptime_s": 60.0, "idle_since_s": 60.0, "notice": True}, HOUR, HostAction.NOTHING),
        # An unhealthy container is restarted, whether or not its heartbeat is fresh.
        ({"uptime_s": 9 * HOUR, **TRAINING, "unhealthy": True}, HOUR, HostAction.RESTART_TRAINING),
        ({"uptime_s": 60.0, "idle_since_s": 60.0, "unhealthy": True}, HOUR, HostAction.RESTART_TRAINING),
    ],
)  # fmt: skip
def test_decision(state: dict[str, object], idle_s: float, action: HostAction) -> None:
    made = decide(HostState(**state), StopRules(idle_s=idle_s, budget_usd=RULES.budget_usd))  # type: ignore[arg-type]
    assert made.action is action, made.reason


def test_the_host_never_stops_while_a_trainer_runs() -> None:
    """Every combination of everything else."""
    for uptime_s, spent_usd, unhealthy, notice, idle_s in itertools.product(
        (0.0, HOUR, 1_000 * HOUR), (0.0, 1e9), (True, False), (True, False), (0.0, HOUR)
    ):
        state = HostState(
            uptime_s=uptime_s, idle_since_s=None, spent_usd=spent_usd, unhealthy=unhealthy, notice=notice
        )
        assert decide(state, StopRules(idle_s=idle_s, budget_usd=1.0)).action is not HostAction.STOP_HOST


@pytest.mark.parametrize(
    ("state", "takes_jobs"),
    [
        (HostState(uptime_s=9_999.0), True),
        (HostState(uptime_s=9_999.0, idle_since_s=0.0), True),
        (HostState(uptime_s=9_999.0, idle_since_s=0.0, spent_usd=11.0), False),
        (HostState(uptime_s=9_999.0, idle_since_s=0.0, notice=True), False),
    ],
    ids=["training", "idle", "budget", "notice"],
)
def test_no_job_starts_on_a_host_that_ends(state: HostState, *, takes_jobs: bool) -> None:
    assert decide(state, StopRules(idle_s=60.0, budget_usd=10.0)).takes_jobs is takes_jobs
