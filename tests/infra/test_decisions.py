"""When the host stops itself: on a fake clock, and never while a trainer lives."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from infra.machine.decisions import ENDED, FRESH_S, GRACE_S, Action, Beat, Decision, Rules, Seen, decide
from infra.machine.watch import Ledger, read_beats
from redox_balancer.runs.heartbeat import Heartbeat, HeartbeatWriter

HOUR = 3_600.0
RULES = Rules(idle_s=HOUR, budget_usd=2_000.0)
NOW = 1_800_000_000.0
FRESH, OLD, LEFT = Beat(NOW - 5, "training"), Beat(NOW - 2 * HOUR, "training"), Beat(NOW - 5, "finished")


@pytest.mark.parametrize(
    ("seen", "rules", "busy_at_s", "action"),
    [
        # Idle: counted from the last look at which there was something to do.
        ({"uptime_s": 0.9 * HOUR}, {}, 0.0, Action.WARN),
        ({"uptime_s": 0.8 * HOUR}, {}, 0.0, Action.NOTHING),
        ({"uptime_s": HOUR}, {}, 0.0, Action.STOP_HOST),
        ({"uptime_s": 9 * HOUR}, {}, 8.5 * HOUR, Action.NOTHING),
        ({"uptime_s": 9 * HOUR, "beats": [OLD]}, {}, 8 * HOUR, Action.STOP_HOST),
        ({"uptime_s": 9 * HOUR, "beats": [LEFT]}, {}, 8 * HOUR, Action.STOP_HOST),
        ({"uptime_s": 9 * HOUR}, {"idle_s": 0.0}, 0.0, Action.NOTHING),
        ({"uptime_s": 9 * HOUR, "awake_s": 60.0}, {}, 0.0, Action.NOTHING),
        ({"uptime_s": 9 * HOUR, "awake_s": 2 * HOUR}, {}, 0.0, Action.STOP_HOST),
        # A trainer lives: nothing stops, however long ago the rest was.
        ({"uptime_s": 9 * HOUR, "beats": [OLD, FRESH, LEFT]}, {}, 0.0, Action.NOTHING),
        ({"uptime_s": 9 * HOUR, "beats": [Beat(NOW - FRESH_S, "saving")]}, {}, 0.0, Action.NOTHING),
        ({"uptime_s": 9 * HOUR, "beats": [Beat(NOW - FRESH_S - 1, "saving")]}, {}, 0.0, Action.STOP_HOST),
        ({"uptime_s": 9 * HOUR, "beats": [Beat(NOW + 10 * HOUR, "training")]}, {}, 0.0, Action.STOP_HOST),
        # Budget: the training saves first, the host stops at the next look; a person gets half an hour after a start.
        ({"uptime_s": 9 * HOUR, "beats": [FRESH], "spent_usd": 2_000.0}, {}, 0.0, Action.END_TRAINING),
        ({"uptime_s": 9 * HOUR, "beats": [LEFT], "spent_usd": 2_000.0}, {}, 9 * HOUR, Action.STOP_HOST),
        ({"uptime_s": 9 * HOUR, "beats": [FRESH], "spent_usd": 1_999.9}, {}, 0.0, Action.NOTHING),
        ({"uptime_s": GRACE_S - 1, "spent_usd": 2_000.0}, {}, 0.0, Action.NOTHING),
        ({"uptime_s": 9 * HOUR, "spent_usd": 2_000.0}, {"idle_s": 0.0}, 0.0, Action.STOP_HOST),
        # The spot market: save at once.
        ({"uptime_s": 60.0, "beats": [FRESH], "notice": True}, {}, 0.0, Action.END_TRAINING),
        ({"uptime_s": 60.0, "beats": [LEFT], "notice": True}, {}, 0.0, Action.NOTHING),
        # A container that fails its health check is started again; the heartbeat may be fresh or not.
        ({"uptime_s": 9 * HOUR, "beats": [FRESH], "unhealthy": True}, {}, 0.0, Action.RESTART_TRAINING),
        ({"uptime_s": 60.0, "beats": [OLD], "unhealthy": True}, {}, 0.0, Action.RESTART_TRAINING),
    ],
)  # fmt: skip
def test_decision(seen: dict[str, object], rules: dict[str, float], busy_at_s: float, action: Action) -> None:
    made = decide(
        Seen(now=NOW, **seen),  # type: ignore[arg-type]
        Rules(**{"idle_s": RULES.idle_s, "budget_usd": RULES.budget_usd, **rules}),
        busy_at_s,
    )
    assert made.action is action, made.reason


def test_the_host_never_stops_while_a_trainer_lives() -> None:
    """Every combination of everything else."""
    for uptime, spent, unhealthy, notice, awake, busy_at, age in itertools.product(
        (0.0, HOUR, 1_000 * HOUR),
        (0.0, 1e9),
        (True, False),
        (True, False),
        (None, 0.0, 1e9),
        (0.0, HOUR),
        (0.0, FRESH_S),
    ):
        seen = Seen(
            now=NOW,
            uptime_s=uptime,
            beats=[OLD, Beat(NOW - age, "training")],
            spent_usd=spent,
            unhealthy=unhealthy,
            notice=notice,
            awake_s=awake,
        )
        assert decide(seen, RULES, busy_at).action is not Action.STOP_HOST


class Clock:
    """A host that is looked at every minute: its own seconds, and a wall clock that may jump."""

    def __init__(self) -> None:
        self.uptime_s, self.jump_s, self.decision = 0.0, 0.0, Decision(Action.NOTHING, "", 0.0)

    def minutes(self, count: int, *, beating: bool, jump_s: float = 0.0) -> list[Action]:
        """Let minutes pass and return what was decided in each."""
        self.jump_s += jump_s
        actions = []
        last = NOW + self.uptime_s + self.jump_s
        for _ in range(count):
            self.uptime_s += 60.0
            now = NOW + self.uptime_s + self.jump_s
            last = now - 5 if beating else last
            seen = Seen(now=now, uptime_s=self.uptime_s, beats=[Beat(last, "training")])
            self.decision = decide(seen, RULES, self.decision.busy_at_s)
            actions.append(self.decision.action)
        return actions


def test_a_day_of_training_then_a_crash_then_the_stop() -> None:
    clock = Clock()
    assert set(clock.minutes(24 * 60, beating=True)) == {Action.NOTHING}
    after = clock.minutes(70, beating=False)  # its last heartbeat stays fresh for five minutes
    assert after.index(Action.STOP_HOST) + 1 == 65
    assert after[:54] == [Action.NOTHING] * 54
    assert set(after[54:64]) == {Action.WARN}


@pytest.mark.parametrize("jump_s", [-10 * HOUR, 10 * HOUR])
def test_a_wall_clock_that_jumps_stops_nothing(jump_s: float) -> None:
    clock = Clock()
    clock.minutes(60, beating=True)
    # The heartbeat is of another time now, until the trainer writes the next.
    assert clock.minutes(1, beating=False, jump_s=jump_s) == [Action.NOTHING]
    assert set(clock.minutes(90, beating=True)) == {Action.NOTHING}


def test_the_trainers_own_heartbeat_is_understood(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    pulse = HeartbeatWriter(run, 60.0, timesteps=10)
    (beat,) = read_beats(tmp_path)
    assert abs(beat.written_at - run.joinpath("heartbeat.json").stat().st_mtime) < 2
    assert beat.status == "starting"
    pulse.note(status="finished")
    pulse.close()
    assert read_beats(tmp_path)[0].status in ENDED
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "heartbeat.json").write_text("half a l")
    assert len(read_beats(tmp_path)) == 1


def test_every_status_of_a_trainer_is_known() -> None:
    """What the trainer calls an end, the host does."""
    for status in ("starting", "training", "saving", "stopped", "finished", "failed"):
        assert Heartbeat(pid=1, host="", status=status).ended is (status in ENDED)  # type: ignore[arg-type]


def test_hours_are_counted_by_the_month_and_outlive_the_host(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    Ledger(path).add(HOUR, "2026-01")
    assert Ledger(path).add(HOUR, "2026-01") == 2 * HOUR
    assert Ledger(path).add(60.0, "2026-02") == 60.0
    assert json.loads(path.read_text()) == {"2026-01": 2 * HOUR, "2026-02": 60.0}
    path.write_text("damaged")
    assert Ledger(path).add(60.0, "2026-02") == 60.0


def test_a_ledger_that_cannot_be_written_is_told_and_counts_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Ledger(tmp_path / "no" / "ledger.json").add(60.0, "2026-02") == 60.0
    assert "the ledger of hours cannot be written" in capsys.readouterr().out
