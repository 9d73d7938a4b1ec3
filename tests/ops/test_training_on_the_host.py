"""The daily verbs on a host behind a real sshd, whose unit is the deployment's own; only its engine is a stand-in."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fake_host import INSTANCE, FakeAws, Opened
from infra.bring_up import files
from infra.settings import load
from ops import health as condition
from ops.commands.health import health
from ops.commands.logs import logs
from ops.commands.shell import shell
from ops.commands.status import status
from ops.commands.stop import stop
from ops.commands.train_remote import train_remote
from ops.remote import attach as following
from ops.remote import training
from ops.session import Session
from redox_balancer.errors import RedoxError
from redox_balancer.runs import progress
from redox_balancer.runs.progress import PlainProgress
from redox_balancer.runs.remote.lock import RunLock
from redox_balancer.runs.remote.run import RemoteRun
from redox_balancer.terminal.tables import notes
from s3_stand_in import S3
from ssh_host import SshHost
from waiting import wait_until

SETTINGS = load()
# What `docker run` of the trainer's image does as far as others see: a heartbeat, metrics, an end by SIGTERM.
ENGINE = """\
#!{python} -I
import json, os, pathlib, signal, sys, time
words = sys.argv[1:]
if words[0] == "image":
    sys.exit(pathlib.Path("/data/no-image").exists())
if words[0] != "run":
    sys.exit(0)
run = pathlib.Path("/data/experiments", os.environ["REDOX_RUN"])
run.mkdir(parents=True, exist_ok=True)
(run / "words.json").write_text(json.dumps(words))
print("training", run.name, flush=True)
if pathlib.Path("/data/crash").exists():
    print("ray does not start", flush=True)
    sys.exit(2)
beat = {{"pid": 7, "host": "box", "timesteps": 1000, "steps_per_s": 50.0, "actors_alive": 2, "actor_bytes": 4 * 10**8,
         "growth_bytes_per_s": 1000.0, "checkpoint_step": 50, "checkpoint_at": time.time(), "pushed_step": 50,
         "pushed_at": time.time()}}
def write(step, status):
    now = time.time()
    text = json.dumps(beat | {{"step": step, "status": status, "written_at": now, "updated_at": now}})
    (run / "heartbeat.new").write_text(text)
    (run / "heartbeat.new").rename(run / "heartbeat.json")
def end(*_):
    write(step, "stopped")
    sys.exit(0)
step = 0
signal.signal(signal.SIGTERM, end)
(run / "metrics.csv").write_text("steps,steps_per_s,return_mean,seconds\\n")
while step < 1000 or pathlib.Path("/data/endless").exists():
    step += 50
    with (run / "metrics.csv").open("a") as rows:
        rows.write(f"{{step}},50.0,0.25,1.0\\n")
    write(step, "training")
    time.sleep(0.1)
write(step, "finished")
"""


EMPTY = """\
systemctl stop redox-trainer
rm -rf /data/* /etc/redox/* /var/log/journal/*
touch /data/endless
echo '{}' >/data/host-seconds.json
"""


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """SIGINT is what it is on a terminal: a shell in the background has its children ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def host(host: SshHost) -> Iterator[SshHost]:
    """The host with the deployment's unit, stopped, and nothing on its volume."""
    host.run(EMPTY)
    for name in ("etc/systemd/system/redox-trainer.service", "etc/redox/training.env"):
        path = host.host.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # A failed start is not tried again here: the tests look at it at once.
        path.write_bytes(files(SETTINGS, "host")[name].replace(b"RestartSec=30", b"RestartSec=300"))
    machine = "REDOX_REGION='us-east-1'\nREDOX_BUCKET='checkpoints'\nREDOX_IMAGE='redox-balancer:latest'\n"
    (host.host.root / "etc/redox/machine.env").write_text(machine)
    host.program("docker", ENGINE.format(python=Path(sys.executable).absolute()))
    yield host
    host.run("systemctl stop redox-trainer")


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of runs in a real bucket of the stand-in."""
    place = f"s3://{s3.bucket}/experiments"
    monkeypatch.setattr(Session, "run_url", lambda _self, run: f"{place}/{run}")
    return place


@pytest.fixture
def train(opened: Opened, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`train-remote` with an image that is on the host."""
    assert bucket

    def begin(*, dry_run: bool = False, **options: Any) -> Any:
        monkeypatch.setattr(following, "LOOK_S", 0.1)
        given = {"run": "mine", "image_there": "redox-balancer:latest", "snapshot": False} | options
        return train_remote(opened(dry_run=dry_run), **given)

    return begin


def words_of(host: SshHost, run: str = "mine") -> list[str]:
    path = f"/data/experiments/{run}/words.json"
    wait_until(lambda: host.host.run("test", "-s", path).returncode == 0)
    found: list[str] = json.loads(host.run(f"cat {path}"))
    return found


def at_work(host: SshHost) -> bool:
    return host.host.run("systemctl", "is-active", "redox-trainer").stdout.strip() == "active"


def test_a_run_begins_with_limits_bucket_and_options_and_is_followed_to_its_end(
    host: SshHost, train: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    host.run("rm /data/endless")
    answer = train(timesteps=1_000, num_actors=2, options=["--batch-size", "64"])
    assert answer.data["ended"]["status"] == "finished"
    assert "1,000 steps  100.0 %" in capsys.readouterr().err
    words = words_of(host)
    assert words[-6:] == [
        "--remote",
        "s3://checkpoints/experiments/mine",
        "--timesteps=1000",
        "--batch-size",
        "64",
        "--num-actors=2",
    ]
    assert {"--ulimit=nofile=1048576:1048576", "--supervise", "--resume", "auto"} <= set(words)


class Interrupting(PlainProgress):
    """The user presses Ctrl-C at the first row."""

    def row(self, row: Mapping[str, float]) -> None:
        super().row(row)
        signal.raise_signal(signal.SIGINT)


def test_detaching_leaves_the_run_going(
    host: SshHost, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "open_progress", lambda: Interrupting(notes()))
    answer = train()
    assert "detached, run mine goes on" in answer.shown
    assert at_work(host)


def test_a_second_start_names_the_trainer_that_is_at_work(host: SshHost, train: Callable[..., Any]) -> None:
    train(detach=True)
    wait_until(lambda: host.host.run("test", "-s", "/data/experiments/mine/heartbeat.json").returncode == 0)
    with pytest.raises(RedoxError, match=f"{INSTANCE} is training run mine: process 7 on box, step") as refused:
        train(detach=True)
    assert "stop --keep-host" in refused.value.hint
    with pytest.raises(RedoxError, match="is training run mine"):
        train(run="other", detach=True)


@pytest.mark.usefixtures("host")
def test_of_two_starts_at_once_one_does_it(opened: Opened) -> None:
    sessions = [opened(), opened()]
    said: list[str] = []

    def begin(session: Session, run: str) -> None:
        try:
            training.begin(session, run, "redox-balancer:latest", [])
            said.append("begun")
        except RedoxError as error:
            said.append(error.message)

    for session in sessions:
        session.on_host()
    threads = [threading.Thread(target=begin, args=pair) for pair in zip(sessions, ("one", "two"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(said) == "begun"
    assert sum("is training run" in text for text in said) == 1


def test_the_lock_of_a_living_trainer_elsewhere_is_respected_and_named(
    s3: S3, host: SshHost, train: Callable[..., Any], bucket: str, tmp_path: Path
) -> None:
    assert s3
    remote = RemoteRun(f"{bucket}/mine")
    with RunLock(remote.bucket, remote.place, tmp_path, ttl_s=4.0) as lock:
        lock.take(print)
        lock.keep(print)
        with pytest.raises(RedoxError, match=f"run mine is written by process {os.getpid()} on "):
            train(detach=True)
    assert not at_work(host)
    train(detach=True)  # it was given back
    assert words_of(host)


def test_the_lock_of_a_dead_trainer_is_waited_for_and_taken_over(
    host: SshHost, opened: Opened, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = opened()
    seen = training.look(session, "mine")
    remote = RemoteRun(f"{bucket}/mine")
    lock = RunLock(remote.bucket, remote.place, tmp_path, ttl_s=4.0)
    lock.take(print)  # and its process is gone: nothing renews it
    training.refuse_other_writer(session, "mine", seen)
    said = capsys.readouterr().err
    assert f"run mine is written by process {os.getpid()} on" in said
    assert "its lock has ended: taking the run over" in said
    training.begin(session, "mine", "redox-balancer:latest", [])
    assert words_of(host)


def test_a_connection_that_is_cut_in_the_middle_of_a_start_is_one_line_and_a_second_try_works(
    host: SshHost, train: Callable[..., Any]
) -> None:
    slow = host.run("cat /usr/local/sbin/systemctl")
    host.program("systemctl", f'#!/bin/sh\n[ "$1" != start ] || {{ touch /run/starting; sleep 1234; }}\n: {slow!r}\n')

    def cut_in_the_middle() -> None:
        wait_until(lambda: host.host.run("test", "-e", "/run/starting").returncode == 0)
        host.cut()

    cutter = threading.Thread(target=cut_in_the_middle)
    cutter.start()
    with pytest.raises(RedoxError, match=r"broke off while it ran ops/remote_scripts/start\.py") as broken:
        train(detach=True)
    assert "again" in broken.value.hint
    cutter.join()
    host.run("pkill -KILL -x sleep; rm /run/starting")
    host.program("systemctl", slow)
    train(detach=True)
    assert words_of(host)


def test_a_line_that_breaks_while_following_is_made_anew(host: SshHost, train: Callable[..., Any]) -> None:
    def cut_then_end() -> None:
        assert words_of(host)
        host.cut()
        host.run("rm /data/endless")

    cutter = threading.Thread(target=cut_then_end)
    cutter.start()
    assert train().data["ended"]["status"] == "finished"
    cutter.join()


def test_a_training_that_does_not_last_shows_its_last_lines(host: SshHost, train: Callable[..., Any]) -> None:
    host.run("touch /data/crash")
    with pytest.raises(RedoxError, match=r"did not last: unit failed .*exit code 2.*: .*ray does not start"):
        train()


def test_a_missing_image_and_unknown_options_are_refused_before_anything_is_changed(
    host: SshHost, train: Callable[..., Any]
) -> None:
    host.run("touch /data/no-image")
    with pytest.raises(RedoxError, match="docker image inspect"):
        train()
    with pytest.raises(Exception, match="No such option: --no-such"):
        train(options=["--no-such", "1"])
    with pytest.raises(RedoxError, match="--remote is the host's to set"):
        train(options=["--remote", "s3://bucket/experiments/x"])
    assert host.run("ls /etc/redox") == "machine.env\ntraining.env\n"


def test_a_program_that_is_missing_here_is_named(train: Callable[..., Any], host: SshHost) -> None:
    (host.folder / "bin" / "session-manager-plugin").rename(host.folder / "plugin")
    try:
        with pytest.raises(RedoxError, match="session-manager-plugin is not installed"):
            train()
    finally:
        (host.folder / "plugin").rename(host.folder / "bin" / "session-manager-plugin")


def test_a_stopped_host_is_started(host: SshHost, train: Callable[..., Any], fake_aws: FakeAws) -> None:
    fake_aws.state = "stopped"
    train(detach=True)
    assert "start_instances" in fake_aws.calls
    assert words_of(host)


def test_a_dry_run_starts_and_writes_nothing(host: SshHost, train: Callable[..., Any], fake_aws: FakeAws) -> None:
    assert train(dry_run=True, snapshot=True).data["begun"] is False
    fake_aws.state = "stopped"
    assert train(dry_run=True).data["begun"] is False
    assert "start_instances" not in fake_aws.calls
    assert host.run("ls /etc/redox; ls /data") == "machine.env\ntraining.env\nendless\nhost-seconds.json\n"


def test_status_and_health_tell_a_run_at_work_a_hung_one_and_a_stopped_host(
    host: SshHost, train: Callable[..., Any], opened: Opened, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert health(opened(), run="mine").exit_code == 1  # there is none yet
    train(detach=True)
    wait_until(lambda: host.host.run("test", "-s", "/data/experiments/mine/heartbeat.json").returncode == 0)
    host.run("""echo '{"2000-01": 1}' >/data/host-seconds.json""")
    answer = status(opened(), run="mine")
    assert answer is not None
    found = answer.data["training"]
    told = (found["status"], found["timesteps"], found["actors_alive"], found["return"])
    assert told == ("training", 1_000, 2, 0.25)
    assert found["percent"] == pytest.approx(100 * found["step"] / 1_000)
    assert found["left_s"] == pytest.approx((1_000 - found["step"]) / 50)
    assert answer.data["idle_stop_at"] is None  # it trains
    assert answer.data["host"]["uptime_s"] == pytest.approx(7_200, abs=60)
    monkeypatch.setattr(condition, "DISK_SHARE", 1.0)  # the host's disks are this machine's, however full that is
    assert health(opened(), run="mine").data == {"healthy": True, "problems": [], "run": "mine", "host": INSTANCE}
    monkeypatch.setattr(condition, "DISK_SHARE", 0.0)
    assert any(re.fullmatch(r"/data is \d+% full", text) for text in health(opened(), run="mine").data["problems"])
    monkeypatch.setattr(condition, "UPDATE_S", -1.0)
    assert any("the last update of the policy is" in text for text in health(opened(), run="mine").data["problems"])
    fake_aws.state = "stopped"
    assert health(opened(), run="mine").data["problems"] == [f"{INSTANCE} is stopped"]


def test_an_idle_host_tells_when_it_stops(host: SshHost, opened: Opened, train: Callable[..., Any]) -> None:
    host.run("rm /data/endless")
    train()
    session = opened()
    answer = status(session, run="mine")
    assert answer is not None
    ended_at = answer.data["training"]["written_at"]
    assert answer.data["idle_stop_at"] == pytest.approx(ended_at + 60 * SETTINGS.host.idle_minutes)
    host.run("touch -d '+10 minutes' /run/redox-awake")
    later = status(session, run="mine")
    assert later is not None
    assert later.data["idle_stop_at"] - answer.data["idle_stop_at"] == pytest.approx(600, abs=30)
    host.run("rm /run/redox-awake")


def test_stop_asks_for_the_host_saves_and_then_stops_it(
    host: SshHost, opened: Opened, train: Callable[..., Any], fake_aws: FakeAws
) -> None:
    train(detach=True)
    wait_until(lambda: host.host.run("test", "-s", "/data/experiments/mine/heartbeat.json").returncode == 0)
    with pytest.raises(RedoxError, match="nothing was changed"):
        stop(opened(), instance_id="i-other")
    assert at_work(host)
    assert stop(opened(dry_run=True)).data["state"] == "stopping"
    assert at_work(host)
    kept = stop(opened(), instance_id=INSTANCE, keep_host=True)
    assert kept.data == {"host": INSTANCE, "state": "running", "saved": 50}
    assert not at_work(host)
    assert "stop_instances" not in fake_aws.calls
    assert json.loads(host.run("cat /data/experiments/mine/heartbeat.json"))["status"] == "stopped"
    assert stop(opened(), instance_id=INSTANCE).data["state"] == "stopping"
    assert fake_aws.calls[-1] == "stop_instances"


def test_logs_and_shell_show_what_is_there(
    host: SshHost, opened: Opened, train: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    train(detach=True)
    assert words_of(host)
    said = logs(opened(), lines=5)
    assert said is not None
    assert said.data["lines"][-1] == "training mine"
    capfd.readouterr()
    answer = shell(opened(), command=["sh", "-c", "hostname; exit 3"])
    assert answer is not None
    assert (answer.exit_code, capfd.readouterr().out) == (3, f"{INSTANCE}\n")


@pytest.mark.parametrize("end", ["", "kill -KILL"], ids=["well", "killed"])
def test_a_profile_sets_the_kernel_switch_only_while_it_runs(host: SshHost, opened: Opened, end: str) -> None:
    """A file in place of the kernel's own switch, which all hosts of this machine share."""
    host.run("mkdir -p /run/switches && echo 1 >/run/switches/redox")
    program = Path(__file__).parents[2] / "ops/remote_scripts/profile.py"
    source = program.read_text().replace('"/proc/sys"', '"/run/switches"')
    asked = {
        "switches": {"redox": "0"},
        "command": ["sh", "-c", "cat /run/switches/redox; touch /run/switches/seen; sleep 2"],
        "folder": "/run/switches/profiles",
        "uid": 0,
    }
    script = host.host.root / "run/profile.py"
    script.write_text(source)
    (host.host.root / "run/asked.json").write_text(json.dumps(asked))
    command = 'python3 -I /run/profile.py "$(cat /run/asked.json)"'
    if end:
        host.run(f"{command} >/run/switches/out 2>&1 & echo $! >/run/switches/pid")
        wait_until(lambda: host.host.run("test", "-e", "/run/switches/seen").returncode == 0)
        assert host.run("cat /run/switches/redox") == "0"
        host.run(f"{end} $(cat /run/switches/pid)")
    else:
        assert json.loads(opened().on_host().run(command, reads=True)) == {"said": "0"}
    wait_until(lambda: host.run("cat /run/switches/redox") == "1")
    host.run("rm -r /run/switches")


def test_what_is_followed_comes_until_ctrl_c(
    host: SshHost, opened: Opened, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(detach=True)
    assert words_of(host)
    lines: list[str] = []

    def echo(line: str) -> None:
        lines.append(line)
        if "written while we look" in line:
            raise KeyboardInterrupt
        if len(lines) == 1:
            host.run("echo written while we look >>/var/log/redox.log")

    host.run("echo before >/var/log/redox.log")
    monkeypatch.setattr("typer.echo", echo)
    assert logs(opened(), follow=True, of="host") is None
    assert lines == ["before", "written while we look"]

    looks: list[float] = []

    def rest(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("ops.commands.status.time", SimpleNamespace(sleep=rest))
    assert status(opened(), run="mine", watch=True, every=7.0) is None
    assert looks == [7.0, 7.0]
