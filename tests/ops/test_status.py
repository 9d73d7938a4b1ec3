"""`status` and `health` on a host behind a real sshd: a live run, a stuck one, an idle host and a stopped one."""

import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fake_host import DEPLOYED, INSTANCE, FakeAws, OpenSession, ReachHost
from infra.bucket import OperatorBucket
from infra.machine import contract
from infra.machine.decisions import HostAction, HostState
from infra.machine.jobs import Job, change
from infra.machine.watch import Watch
from ops import health as health_rules
from ops.commands.health import health
from ops.commands.status import status
from ops.health import idle_stop_at
from ops.remote import training
from ssh_host import SshHost
from training_host import SETTINGS, Train, TrainingHost


def status_of(open_session: OpenSession) -> dict[str, Any]:
    result = status(open_session(), run="mine")
    assert result is not None
    data: dict[str, Any] = result.data
    return data


def problems(open_session: OpenSession) -> list[str]:
    found: list[str] = health(open_session(), run="mine").data["problems"]
    return found


def test_status_shows_a_live_run(training_host: TrainingHost, train: Train, open_session: OpenSession) -> None:
    train(detach=True)
    training_host.heartbeat()
    data = status_of(open_session)
    found = data["training"]
    shown = (found["status"], found["timesteps"], found["actors_alive"], found["return"])
    assert shown == ("training", 1_000, 2, 0.25)
    assert found["percent"] == pytest.approx(100 * found["step"] / 1_000)
    assert found["left_s"] == pytest.approx((1_000 - found["step"]) / 50)
    assert data["idle_stop_at"] is None
    assert data["host"]["uptime_s"] == pytest.approx(7_200, abs=60)


def test_status_shows_where_more_actors_gave_nothing(
    training_host: TrainingHost, train: Train, open_session: OpenSession
) -> None:
    train(detach=True)
    training_host.heartbeat()
    assert status_of(open_session)["training"]["speeds"] == {}
    training_host.run("systemctl stop redox-trainer")
    training_host.record_speeds({30: 81_000.0, 60: 82_000.0})
    result = status(open_session(), run="mine")
    assert result is not None
    found = result.data["training"]
    assert found["speeds"] == {30: pytest.approx(81_000), 60: pytest.approx(82_000)}
    assert found["enough_actors"] == 30
    rows = zip(*(map(str, column.cells) for column in result.shown.columns), strict=True)
    assert dict(rows)["speeds"] == "81,000 steps/s with 30, 82,000 steps/s with 60: more than 30 give nothing"
    training_host.record_speeds({30: 20_000.0, 60: 39_000.0})
    assert status_of(open_session)["training"]["enough_actors"] is None


def test_health_lists_problems(
    training_host: TrainingHost,
    train: Train,
    open_session: OpenSession,
    fake_aws: FakeAws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health_rules, "FULL_DISK", 1.0)  # the disks of the host are those of the machine under test
    missing = health(open_session(), run="mine")
    assert (missing.exit_code, missing.data["problems"]) == (1, ["run mine never trained on this host"])
    train(detach=True)
    training_host.heartbeat()
    assert health(open_session(), run="mine").data == {
        "healthy": True,
        "problems": [],
        "run": "mine",
        "host": INSTANCE,
    }
    monkeypatch.setattr(health_rules, "FULL_DISK", 0.0)
    assert any(re.fullmatch(r"/data is \d+% full", text) for text in problems(open_session))
    monkeypatch.setattr(contract, "UPDATE_S", -1.0)
    assert any("the last policy update is" in text for text in problems(open_session))
    write_watch_state(training_host.ssh, contract.WatchState(alarms=["the ledger cannot be kept"]))
    assert "the ledger cannot be kept" in problems(open_session)
    fake_aws.state = "shutting-down"
    assert problems(open_session) == [f"{INSTANCE} is shutting-down"]
    fake_aws.deployed = replace(fake_aws.deployed, instance_id=None)
    assert problems(open_session) == ["the host is launched at the moment"]
    fake_aws.deployed = replace(fake_aws.deployed, wanted=0)
    assert problems(open_session) == ["the host is ended"]
    assert status_of(open_session)["problems"] == ["the host is ended"]


def test_health_names_jobs_that_were_set_aside_also_without_a_host(
    training_host: TrainingHost, train: Train, open_session: OpenSession, fake_aws: FakeAws
) -> None:
    train(detach=True)
    training_host.heartbeat()
    failed = [Job("sunday", "", 0.0, "unit failed", "experiments/sunday/logs/i-1.log"), Job("noon", "", 0.0, "lost")]
    change(OperatorBucket(fake_aws.objects.s3, DEPLOYED.bucket), lambda queue: queue.failed.extend(failed))
    named = [
        "run sunday is set aside: unit failed: s3://checkpoints/experiments/sunday/logs/i-1.log",
        "run noon is set aside: lost: it has no log",
    ]
    assert problems(open_session) == named
    fake_aws.deployed = replace(fake_aws.deployed, instance_id=None, wanted=0)
    assert problems(open_session) == ["the host is ended", *named]
    fake_aws.objects[contract.QUEUE] = b"{"
    assert "queue.json is damaged" in problems(open_session)[1]


def write_watch_state(host: SshHost, state: contract.WatchState) -> None:
    state.write(host.host.root / contract.WATCH_STATE.relative_to("/"))


class Unreachable:
    """A bucket that does not answer."""

    def get(self, key: str) -> None:
        raise OSError(key)

    def put(self, key: str, content: bytes, *, replaces: object) -> None:
        raise OSError(key, content, replaces)


def restarted_watch(host: SshHost, folder: Path, *, uptime_s: float) -> Watch:
    """The watch of the host, started on its recorded state; its heartbeats are in a folder here."""
    settings = {
        "container.data": str(folder),
        "storage.runs": "experiments",
        "host.idle_minutes": SETTINGS.host.idle_minutes,
        "host.workers": 0,
        "guard.monthly_budget_usd": 1e9,
        "price.per_hour_usd": 1.0,
    }
    state = host.host.root / contract.WATCH_STATE.relative_to("/")
    return Watch(settings, Unreachable(), uptime_s=uptime_s, state=state)


@pytest.mark.parametrize(("kept_awake", "failed"), [(False, False), (True, False), (False, True)])
def test_the_shown_deadline_is_the_moment_at_which_the_watch_stops_the_host(
    training_host: TrainingHost,
    reach: ReachHost,
    open_session: OpenSession,
    tmp_path: Path,
    *,
    kept_awake: bool,
    failed: bool,
) -> None:
    """Also after the watch was restarted, as `make apply` does, on a host that has been up for long."""
    host = reach()
    uptime_s = training.inspect(host).uptime_s
    recorded = contract.WatchState(idle_since_s=0.25 * uptime_s, counted_s=uptime_s, failed=failed)
    write_watch_state(training_host.ssh, recorded)
    if kept_awake:
        training_host.run(f"touch -d '+10 minutes' {contract.KEEP_AWAKE}")
    state = training.inspect(host)
    shown = status_of(open_session)["idle_stop_at"]
    assert shown == pytest.approx(idle_stop_at(state, SETTINGS.host.idle_minutes), abs=1e-3)

    def decision(now: float) -> HostAction:
        uptime_s = now - (state.now - state.uptime_s)
        watch = restarted_watch(training_host.ssh, tmp_path, uptime_s=uptime_s)
        return watch.decide(HostState(uptime_s=uptime_s, failed=failed), now=now, awake_at=state.awake_at).action

    assert decision(shown - 1.0) is HostAction.WARN
    assert decision(shown + 0.01) is HostAction.STOP_HOST


def test_without_a_record_the_idle_time_starts_now(training_host: TrainingHost, open_session: OpenSession) -> None:
    assert not training_host.exists(str(contract.WATCH_STATE))
    data = status_of(open_session)
    assert data["idle_stop_in_s"] == pytest.approx(60 * SETTINGS.host.idle_minutes)


def test_a_fresh_heartbeat_of_any_run_keeps_the_host_up(
    training_host: TrainingHost, reach: ReachHost, train: Train
) -> None:
    train(run="other", detach=True)
    training_host.heartbeat("other")
    host = reach()
    assert idle_stop_at(training.inspect(host, "mine"), SETTINGS.host.idle_minutes) is None
    training_host.run("systemctl stop redox-trainer")
    ended = idle_stop_at(training.inspect(host, "mine"), SETTINGS.host.idle_minutes)
    assert ended is not None
    assert idle_stop_at(training.inspect(host, "mine"), 0) is None  # set never to stop


def test_hours_that_the_ledger_could_not_take_cost_as_much(
    training_host: TrainingHost, open_session: OpenSession, reach: ReachHost
) -> None:
    state = training.inspect(reach())
    month = time.strftime("%Y-%m", time.gmtime(state.now))
    write_watch_state(training_host.ssh, contract.WatchState(saved={month: 3_600.0}))
    price = SETTINGS.price.per_hour_usd * (1 + SETTINGS.host.workers)
    assert status_of(open_session)["month_usd"] == pytest.approx(price)
    write_watch_state(
        training_host.ssh, contract.WatchState(idle_since_s=0.0, saved={month: 3_600.0}, unsaved={month: 1_800.0})
    )
    assert status_of(open_session)["month_usd"] == pytest.approx(1.5 * price)


@pytest.mark.usefixtures("training_host")
def test_watching_refreshes_until_ctrl_c(open_session: OpenSession, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def rest(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    fake = SimpleNamespace(sleep=rest, strftime=time.strftime, gmtime=time.gmtime, localtime=time.localtime)
    monkeypatch.setattr("ops.commands.status.time", fake)
    assert status(open_session(), run="mine", watch=True, every=7.0) is None
    assert pauses == [7.0, 7.0]
