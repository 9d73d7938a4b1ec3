"""The host's watch on a simulated clock: idle time and spending survive its restart, and nothing fails open."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from infra.machine import watch
from infra.machine.aws import Aws, Found
from infra.machine.contract import FRESH_S, HEARTBEAT, LEDGER, WatchState
from infra.machine.decisions import HostAction, HostState, StopDecision
from infra.machine.spending import DAMAGED
from infra.machine.sync import training
from infra.machine.watch import Watch, unhealthy
from redox_balancer.runs.heartbeat import HeartbeatWriter

MINUTE, HOUR = 60.0, 3_600.0
MONTH_START = 1_793_491_200.0  # 2026-11-01
MONTH = "2026-11"
IDLE_MINUTES, BUDGET_USD, USD_PER_HOUR = 60, 100.0, 10.0
NOTHING, WARN, STOP, END = HostAction.NOTHING, HostAction.WARN, HostAction.STOP_HOST, HostAction.END_TRAINING


class Store:
    """The bucket, as the ledger sees it; it may be out of reach."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reachable = True

    def get(self, key: str) -> Found | None:
        if not self.reachable:
            raise OSError("no answer")
        return Found(self.objects[key], str(self.objects[key])) if key in self.objects else None

    def put(self, key: str, content: bytes, *, replaces: Found | None) -> None:
        if replaces != self.get(key):
            raise OSError("412: another writer")
        self.objects[key] = content


class Host:
    """A host whose watch makes a round every minute: its uptime, and a wall clock that may jump."""

    def __init__(self, folder: Path, *, uptime_s: float = 0.0) -> None:
        self.data, self.recorded = folder / "data", folder / "watch.json"
        self.run = self.data / "experiments/run"
        self.run.mkdir(parents=True)
        self.uptime_s, self.jump_s, self.store = uptime_s, 0.0, Store()
        self.start_watch()

    @property
    def now(self) -> float:
        return MONTH_START + self.uptime_s + self.jump_s

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "container.data": str(self.data),
            "storage.runs": "experiments",
            "host.idle_minutes": IDLE_MINUTES,
            "host.workers": 0,
            "guard.monthly_budget_usd": BUDGET_USD,
            "price.per_hour_usd": USD_PER_HOUR,
        }

    def start_watch(self) -> None:
        """Start the watch, as systemd and `make apply` do at any time."""
        self.watch = Watch(self.settings, self.store, uptime_s=self.uptime_s, state=self.recorded)

    def reboot(self) -> None:
        """Start the host again, which clears /run."""
        self.recorded.unlink()
        self.jump_s += self.uptime_s
        self.uptime_s = 0.0
        self.start_watch()

    def beat(self, status: str = "training", age_s: float = 5.0) -> None:
        (self.run / HEARTBEAT).write_text(json.dumps({"written_at": self.now - age_s, "status": status}))

    def round(self, *, awake_at: float | None = None, failed: bool = False) -> HostAction:
        seen = HostState(uptime_s=self.uptime_s, failed=failed)
        return self.watch.decide(seen, now=self.now, awake_at=awake_at).action

    def minutes(
        self, count: int, *, training: bool, awake_at: float | None = None, failed: bool = False
    ) -> list[HostAction]:
        """Let minutes pass and return the decision of each."""
        made = []
        for _ in range(count):
            self.uptime_s += MINUTE
            if training:
                self.beat()
            made.append(self.round(awake_at=awake_at, failed=failed))
        return made

    @property
    def ledger(self) -> Any:
        return json.loads(self.store.objects[LEDGER])

    @property
    def alarms(self) -> list[str]:
        state = WatchState.read(self.recorded)
        assert state
        return state.alarms


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_watch_that_starts_long_after_boot_warns_before_it_stops_it(tmp_path: Path) -> None:
    host = Host(tmp_path, uptime_s=8 * HOUR)  # `make apply` from a version that recorded nothing
    made = host.minutes(70, training=False)
    assert made[:50] == [NOTHING] * 50
    assert made[50:60] == [WARN] * 10
    assert made[60] is STOP


def test_a_restarted_watch_continues_to_count_idle_time(host: Host) -> None:
    assert host.minutes(40, training=False)[-1] is NOTHING
    for _ in range(4):
        host.start_watch()
        host.minutes(5, training=False)
    assert host.minutes(1, training=False) == [STOP]


def test_a_reboot_restarts_the_idle_time(host: Host) -> None:
    host.minutes(55, training=False)
    host.reboot()
    assert host.minutes(50, training=False) == [NOTHING] * 50


def test_the_recorded_idle_time_is_the_one_that_stops_the_host(host: Host) -> None:
    host.minutes(3, training=True)
    state = WatchState.read(host.recorded)
    assert state
    assert state.idle_since_s is None
    host.beat("finished")
    made = host.minutes(70, training=False)
    state = WatchState.read(host.recorded)
    assert state
    assert state.idle_since_s is not None
    # The third minute was the last of the training; at the fourth the host is idle.
    stops_at_s = 4 * MINUTE + made.index(STOP) * MINUTE
    assert state.idle_since_s + IDLE_MINUTES * MINUTE == stops_at_s


def test_a_day_of_training_then_a_crash_then_the_stop(host: Host) -> None:
    assert set(host.minutes(8 * 60, training=True)) == {NOTHING}
    after = host.minutes(70, training=False)  # its last heartbeat is 5 s old, and soon no longer fresh
    idle_from = int((FRESH_S - 5) // MINUTE)
    assert after[: idle_from + 50] == [NOTHING] * (idle_from + 50)
    assert after.index(STOP) == idle_from + IDLE_MINUTES


@pytest.mark.parametrize("jump_s", [-10 * HOUR, 10 * HOUR])
def test_a_wall_clock_that_jumps_stops_nothing(host: Host, jump_s: float) -> None:
    host.minutes(60, training=True)
    host.jump_s += jump_s  # the heartbeat is from another time until the trainer writes the next
    assert host.minutes(1, training=False) == [NOTHING]
    assert set(host.minutes(90, training=True)) == {NOTHING}


def test_a_request_to_keep_the_host_awake_restarts_the_idle_time(host: Host) -> None:
    host.minutes(55, training=False)
    made = host.minutes(70, training=False, awake_at=host.now)
    assert made.index(STOP) == IDLE_MINUTES - 1


def test_a_host_whose_last_job_was_set_aside_stops_in_minutes_also_after_a_restart_of_the_watch(host: Host) -> None:
    host.minutes(30, training=True)
    host.beat("failed")
    made = host.minutes(5, training=False, failed=True)
    state = WatchState.read(host.recorded)
    assert (set(made), state and state.failed) == ({WARN}, True)
    host.start_watch()
    assert STOP in host.minutes(6, training=False, failed=True)


def test_host_time_is_counted_from_boot_and_outlives_the_host(tmp_path: Path) -> None:
    host = Host(tmp_path, uptime_s=10 * MINUTE)  # the bring-up took ten minutes
    host.round()
    assert host.ledger == {MONTH: 10 * MINUTE}
    host.minutes(5, training=False)
    host.start_watch()
    host.minutes(5, training=False)
    host.reboot()
    host.minutes(20, training=False)
    assert host.ledger == {MONTH: 40 * MINUTE}


def test_a_host_that_replaces_another_continues_its_ledger_and_two_at_once_lose_nothing(tmp_path: Path) -> None:
    first, second = Host(tmp_path / "first"), Host(tmp_path / "second")
    second.store = first.store
    second.start_watch()
    first.minutes(10, training=True)
    second.minutes(5, training=True)  # while the first one still shuts down
    first.minutes(2, training=True)
    second.minutes(3, training=True)
    assert second.ledger == {MONTH: 20 * MINUTE}


def test_a_ledger_that_another_host_changes_meanwhile_is_not_overwritten(host: Host) -> None:
    host.minutes(1, training=True)
    get = host.store.get

    def changed_afterwards(key: str) -> Found | None:
        found = get(key)
        host.store.objects[LEDGER] = json.dumps({MONTH: HOUR}).encode()
        host.store.get = get  # type: ignore[method-assign]
        return found

    host.store.get = changed_afterwards  # type: ignore[method-assign]
    host.minutes(1, training=True)
    assert host.ledger == {MONTH: HOUR}
    assert "another writer" in host.alarms[0]
    host.minutes(1, training=True)
    assert host.ledger == {MONTH: HOUR + 2 * MINUTE}
    assert host.alarms == []


def test_months_are_counted_separately(host: Host) -> None:
    host.minutes(10, training=True)
    host.jump_s += 31 * 24 * HOUR
    host.minutes(5, training=True)
    assert host.ledger == {MONTH: 10 * MINUTE, "2026-12": 5 * MINUTE}


@pytest.fixture
def broken(host: Host) -> Host:
    host.store.objects[LEDGER] = json.dumps({MONTH: HOUR}).encode()
    host.store.reachable = False
    return host


def test_without_a_ledger_the_budget_still_stops_the_host(broken: Host, capsys: pytest.CaptureFixture[str]) -> None:
    hours = int(BUDGET_USD / USD_PER_HOUR)  # what the ledger holds is not known
    made = broken.minutes(hours * 60 - 1, training=True)
    assert set(made) == {NOTHING}
    broken.start_watch()  # a restart forgets nothing
    assert broken.minutes(1, training=True) == [END]
    broken.beat("stopped")
    assert broken.minutes(1, training=False) == [STOP]
    assert broken.alarms == [f"the ledger {LEDGER} cannot be kept, host time counts in memory: no answer"]
    assert capsys.readouterr().out.count("alarm: the ledger") == 1  # not in every round


def test_time_counted_in_memory_is_written_once_possible(broken: Host, capsys: pytest.CaptureFixture[str]) -> None:
    broken.minutes(30, training=True)
    broken.start_watch()
    broken.minutes(10, training=True)
    broken.store.reachable = True
    broken.minutes(5, training=True)
    assert broken.ledger == {MONTH: HOUR + 45 * MINUTE}
    assert broken.alarms == []
    assert "resolved: the ledger" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["damaged", "[1, 2]", '{"2026-11": NaN}', '{"2026-11": "much"}'])
def test_a_damaged_ledger_is_set_aside_and_known_spending_still_counts(host: Host, content: str) -> None:
    host.minutes(30, training=True)
    host.store.objects[LEDGER] = content.encode()
    host.minutes(10, training=True)
    assert host.ledger == {MONTH: 40 * MINUTE}
    assert host.store.objects[DAMAGED].decode() == content
    assert host.alarms == [f"{DAMAGED} was set aside: earlier spending is unknown"]
    host.start_watch()
    host.minutes(1, training=True)
    assert host.alarms  # until the next host


def test_a_state_that_cannot_be_recorded_is_an_alarm_and_stops_nothing(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.recorded.with_suffix(".new").mkdir()
    made = host.minutes(61, training=False)
    assert (made[-2], made[-1]) == (WARN, STOP)
    assert capsys.readouterr().out.count("alarm: the state of the watch cannot be recorded") == 1


def test_the_state_is_a_world_readable_file(host: Host) -> None:
    host.minutes(1, training=False)
    assert host.recorded.stat().st_mode & stat.S_IROTH


def test_a_host_without_engine_and_bucket_stops_when_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its set-up failed before it installed the one, and the other is out of reach."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not unhealthy()
    host = Host(tmp_path)
    host.run.rmdir()
    host.store.reachable = False
    decisions = host.minutes(IDLE_MINUTES + 1, training=False)
    assert decisions[-1] is STOP
    assert STOP not in decisions[:-1]


def test_the_trainers_own_heartbeat_is_read(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    writer = HeartbeatWriter(run, 60.0, timesteps=10)
    now = (run / HEARTBEAT).stat().st_mtime
    assert training(tmp_path, now)
    assert not training(tmp_path, now + FRESH_S + 2)
    writer.note(status="finished")
    writer.close()
    assert not training(tmp_path, now)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / HEARTBEAT).write_text("half a l")
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / HEARTBEAT).write_text('{"written_at": 1, "status": "saving"}')
    assert training(tmp_path, 2.0)
    assert training(tmp_path, 2.0, "third")
    assert not training(tmp_path, 2.0, "other")


class Closing:
    """The queue, as far as a host that ends sees it."""

    def __init__(self, *, closes: bool | OSError) -> None:
        self.closes = closes

    def close(self, host: str) -> bool:
        assert host == "i-1"
        if isinstance(self.closes, OSError):
            raise self.closes
        return self.closes


@pytest.mark.parametrize(
    ("closes", "takes_jobs", "ends"),
    [(True, True, True), (False, True, False), (OSError("no answer"), True, True), (False, False, True)],
    ids=["idle", "a job has come", "bucket out of reach", "budget"],
)
def test_an_idle_host_stays_for_a_job_and_one_without_a_budget_does_not(
    monkeypatch: pytest.MonkeyPatch, *, closes: bool | OSError, takes_jobs: bool, ends: bool
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(watch, "instance_id", lambda: "i-1")
    monkeypatch.setattr(watch, "end_host", lambda _aws, *, replace: asked.append(replace))
    decision = StopDecision(STOP, "why", takes_jobs=takes_jobs)
    assert watch.act(decision, Aws("", ""), Closing(closes=closes)) is ends  # type: ignore[arg-type]
    assert asked == [False] * ends
