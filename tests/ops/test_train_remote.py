"""`train-remote` on a host behind a real sshd: starting and resuming runs, and every reason to refuse."""

import json
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fake_host import DEPLOYED, INSTANCE, FakeAws, OpenSession, ReachHost
from infra.bucket import OperatorBucket
from infra.machine.contract import KEEP_AWAKE, LEDGER, OUTCOME, QUEUE
from infra.machine.jobs import STOPPED, Job, Queue, change
from ops.aws import instance
from ops.commands.train_remote import place
from ops.remote import training
from redox_balancer.errors import RedoxError
from redox_balancer.runs.remote.lock import RunLock
from redox_balancer.runs.remote.run import RemoteRun
from training_host import Train, TrainingHost
from waiting import wait_until

# Characters that a shell, systemd or TOML could interpret.
NASTY = 'it\'s "quoted" $(touch /run/pwned) `touch /run/pwned` ${HOME} $HOME \\ \\n 100% ; exit'


def test_a_run_starts_with_limits_bucket_and_options_and_is_followed_to_its_end(
    training_host: TrainingHost, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    training_host.run("rm /data/endless")
    result = train(timesteps=1_000, num_actors=2, options=["--batch-size", "64"])
    assert result.data["ended"]["status"] == "finished"
    assert "1,000 steps  100.0 %" in capsys.readouterr().err
    arguments = training_host.arguments()
    assert arguments[-6:] == [
        "--remote",
        "s3://checkpoints/experiments/mine",
        "--timesteps=1000",
        "--batch-size",
        "64",
        "--num-actors=2",
    ]
    assert {"--ulimit=nofile=1048576:1048576", "--supervise", "--resume", "auto"} <= set(arguments)


def test_options_reach_the_trainer_literally(training_host: TrainingHost, train: Train) -> None:
    train(detach=True, options=["--medium", NASTY, "--model", "a b'c.json"])
    assert training_host.arguments()[-4:] == ["--medium", NASTY, "--model", "a b'c.json"]
    assert not training_host.ssh.host.root.joinpath("run/pwned").exists()


def test_the_name_of_an_image_reaches_the_engine_literally(
    training_host: TrainingHost, train: Train, reach: ReachHost
) -> None:
    train(detach=True, remote_image=NASTY)
    assert NASTY in training_host.arguments()
    assert json.loads(training_host.run("cat /data/image.json"))[-1] == NASTY
    assert training.inspect(reach()).image == NASTY
    assert not training_host.ssh.host.root.joinpath("run/pwned").exists()


@pytest.mark.parametrize("name", ["$(touch /run/pwned)", "a'b", 'a"b', "a b", "../up", "a\nb"])
def test_a_name_that_a_shell_could_interpret_is_refused(training_host: TrainingHost, train: Train, name: str) -> None:
    with pytest.raises(RedoxError, match="is not a valid name for a run"):
        train(run=name)
    assert not training_host.exists("/run/redox-run.env")


def test_an_option_with_a_line_break_is_refused(training_host: TrainingHost, train: Train) -> None:
    with pytest.raises(RedoxError, match="contains a line break"):
        train(options=["--medium", "one\nREDOX_IMAGE=other"])
    assert not training_host.exists("/run/redox-run.env")


def test_a_run_waits_behind_the_one_that_trains_and_starts_when_that_has_ended(
    training_host: TrainingHost, train: Train, fake_aws: FakeAws
) -> None:
    assert train(detach=True).data["before"] == 0
    training_host.heartbeat()
    with pytest.raises(RedoxError, match="run mine is the active one"):
        train(detach=True)
    waits = train(run="other", timesteps=1_000)  # and does not attach
    assert (waits.data["before"], waits.shown) == (1, "run other waits behind 1 other: make queue")
    with pytest.raises(RedoxError, match="run other is queued already") as refused:
        train(run="other", detach=True)
    assert refused.value.hint == "make queue; make cancel JOB=other"
    assert train(run="third").shown == "run third waits behind 2 others: make queue"
    training_host.run("rm /data/endless")
    assert training_host.heartbeat("third")
    assert "--timesteps=1000" in training_host.arguments("other")
    assert "--timesteps=1000" not in training_host.arguments("third")
    wait_until(lambda: fake_aws.objects.queue == Queue())


def test_a_job_that_fails_is_set_aside_with_its_log_and_the_next_starts(
    training_host: TrainingHost, train: Train, fake_aws: FakeAws
) -> None:
    training_host.run("touch /data/crash")
    train(detach=True)
    wait_until(lambda: fake_aws.objects.queue.failed != [])
    (failed,) = fake_aws.objects.queue.failed
    outcome = "unit failed (exit-code), exit code 2"
    assert (failed.run, failed.outcome, failed.log) == ("mine", outcome, "log of mine")
    training_host.run("rm /data/crash")
    train(run="other", detach=True)
    assert training_host.heartbeat("other")
    train(detach=True)  # once more
    assert fake_aws.objects.queue.failed == []


def test_of_two_operators_at_once_one_takes_the_name(train: Train, fake_aws: FakeAws) -> None:
    train(detach=True)
    wait_until(lambda: fake_aws.objects.queue.active)  # the host is busy
    bucket = OperatorBucket(fake_aws.objects.s3, DEPLOYED.bucket)
    outcomes: list[str] = []

    def add(options: str) -> None:
        try:
            change(bucket, lambda queue: place(queue, Job("same", options), trains=True))
            outcomes.append("queued")
        except RedoxError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=add, args=(each,)) for each in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["queued", *["run same is queued already"] * 3]
    assert len(fake_aws.objects.queue.waiting) == 1


def test_the_lock_of_a_live_trainer_elsewhere_is_respected(
    training_host: TrainingHost, train: Train, bucket: str, tmp_path: Path
) -> None:
    remote = RemoteRun(f"{bucket}/mine")
    with RunLock(remote.bucket, remote.address, tmp_path, ttl_s=4.0) as lock:
        lock.take(print)
        lock.keep(print)
        with pytest.raises(RedoxError, match=f"/mine is locked by process {os.getpid()} on "):
            train(detach=True)
    assert not training_host.is_training()
    train(detach=True)  # the lock was released
    assert training_host.arguments()


@pytest.mark.usefixtures("training_host")
def test_the_lock_of_a_dead_trainer_is_taken_over_once_it_has_expired(
    reach: ReachHost, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = reach()
    remote = RemoteRun(f"{bucket}/mine")
    lock = RunLock(remote.bucket, remote.address, tmp_path, ttl_s=4.0)
    lock.take(print)  # never renewed, as if its process had died
    training.refuse_other_writer(host.session, "mine", training.inspect(host, "mine").writer)
    notes = capsys.readouterr().err
    assert f"/mine is locked by process {os.getpid()} on" in notes
    assert "its lock has expired: taking over the run" in notes


@pytest.mark.parametrize("given", [{}, {"num_actors": 10}])
def test_actors_that_give_nothing_by_recorded_terms_are_a_warning(
    given: dict[str, int],
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The default of the settings is 120 actors; 1 ms a step, and 0.1 ms of the learner: ten fill it.
    terms = dict.fromkeys(("env_s", "act_s", "overhead_s"), 0.33e-3) | {"learner_s": 0.1e-3, "loop_s": 1e-9}
    terms |= dict.fromkeys(("ray_loop_s", "raylet_s"), 1e-9) | {"transitions": 1, "rollouts_per_batch": 1}
    terms |= {"rollout_bytes": 1, "weights_bytes": 1, "max_lag": 1, "actor_bytes": 1}
    file = tmp_path / "advice.json"
    file.write_text(json.dumps({"about": {}, "model": "core", "terms": terms}))
    with pytest.raises(RedoxError, match=r"cannot read the terms .*none\.json"):
        train(detach=True, terms=tmp_path / "none.json")
    train(detach=True, terms=file, **given)
    warned = "warning: 10 actors are as fast as 120, as the recorded terms predict: ACTORS=10"
    assert (warned in (text := capsys.readouterr().err)) is not bool(given)
    assert ("warning" in text) is not bool(given)


def test_actors_that_gave_nothing_in_the_run_are_a_warning(
    training_host: TrainingHost, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    training_host.run("mkdir -p /data/experiments/mine")
    training_host.record_speeds({30: 81_000.0, 60: 82_000.0})
    train(detach=True)
    assert "warning: 30 actors are as fast as 120, as the run has shown" in capsys.readouterr().err


def test_a_missing_image_and_invalid_options_are_refused_before_anything_is_changed(
    training_host: TrainingHost, train: Train
) -> None:
    training_host.run("touch /data/no-image")
    with pytest.raises(RedoxError, match="docker image inspect"):
        train()
    with pytest.raises(Exception, match="No such option: --no-such"):
        train(options=["--no-such", "1"])
    with pytest.raises(RedoxError, match="--remote is set by the host"):
        train(options=["--remote", "s3://bucket/experiments/x"])
    assert not training_host.exists("/run/redox-run.env")


def test_an_idle_host_stays_while_the_image_of_a_run_is_made_ready(training_host: TrainingHost, train: Train) -> None:
    training_host.run("touch /data/no-image")
    assert training_host.ssh.host.run("test", "-e", str(KEEP_AWAKE)).returncode == 1
    with pytest.raises(RedoxError, match="docker image inspect"):
        train()
    assert training_host.ssh.host.run("test", "-e", str(KEEP_AWAKE)).returncode == 0


def test_a_program_missing_on_this_machine_is_named(training_host: TrainingHost, train: Train) -> None:
    folder = training_host.ssh.folder
    (folder / "bin" / "session-manager-plugin").rename(folder / "plugin")
    try:
        with pytest.raises(RedoxError, match="session-manager-plugin is not installed"):
            train()
    finally:
        (folder / "plugin").rename(folder / "bin" / "session-manager-plugin")


def without_a_host(fake_aws: FakeAws) -> None:
    fake_aws.deployed = replace(fake_aws.deployed, instance_id=None, wanted=0)


def test_a_run_is_queued_before_a_host_is_launched_for_it_and_one_that_was_interrupted_goes_first(
    training_host: TrainingHost, train: Train, fake_aws: FakeAws
) -> None:
    training_host.run("rm /run/redox-ready")
    without_a_host(fake_aws)
    job = Job("of-last-week", 'REDOX_RUN="of-last-week"\n')
    fake_aws.objects[QUEUE] = Queue(active=job, closed=STOPPED).content()
    seen = list[Queue]()
    scale = fake_aws.set_desired_capacity

    def scaled(**given: Any) -> None:
        seen.append(fake_aws.objects.queue)
        scale(**given)

    fake_aws.set_desired_capacity = scaled  # type: ignore[method-assign]
    assert train(detach=True, delivery="repository").data["before"] == 1
    assert fake_aws.calls.count("set_desired_capacity 1") == 1
    (queue,) = seen
    assert (queue.active, [each.run for each in queue.waiting], queue.closed) == (job, ["mine"], "")
    training_host.run("touch /run/redox-ready")
    wait_until(lambda: training_host.exists("/run/redox-run.env"))
    assert training_host.run("cat /run/redox-run.env") == job.environment


def test_the_interrupted_run_itself_goes_on_with_its_new_options(
    training_host: TrainingHost, train: Train, fake_aws: FakeAws
) -> None:
    fake_aws.objects[QUEUE] = Queue(active=Job("mine", "old"), waiting=[Job("other", "")]).content()
    without_a_host(fake_aws)
    training_host.run("rm /run/redox-ready")
    train(detach=True, timesteps=7, delivery="repository")
    queue = fake_aws.objects.queue
    assert (queue.active, [each.run for each in queue.waiting]) == (None, ["mine", "other"])
    assert "--timesteps=7" in queue.waiting[0].environment


def test_a_job_for_a_host_that_ends_has_another_one_launched(
    training_host: TrainingHost, train: Train, fake_aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    """The host has closed the queue, and the group does not know yet that it ends."""
    training_host.run("rm /run/redox-ready")
    fake_aws.objects[QUEUE] = Queue(closed=INSTANCE).content()
    asked = iter([fake_aws.deployed] * 8 + [replace(fake_aws.deployed, instance_id=None, wanted=0)] * 8)
    fake_aws.deploys = lambda: next(asked)
    train(detach=True)
    assert fake_aws.calls.count("set_desired_capacity 1") == 1
    assert f"waiting until {INSTANCE} has ended" in capsys.readouterr().err
    assert [each.run for each in fake_aws.objects.queue.waiting] == ["mine"]


def test_a_host_that_cannot_be_set_up_ends_in_its_last_lines(
    training_host: TrainingHost, train: Train, fake_aws: FakeAws
) -> None:
    assert training_host
    without_a_host(fake_aws)

    def given_up(**_: Any) -> None:
        outcome = {"instance": INSTANCE, "failures": 3, "step": "packages", "log": "one\ntwo\nno network\n"}
        fake_aws.objects[OUTCOME] = json.dumps(outcome).encode()

    fake_aws.set_desired_capacity = given_up  # type: ignore[method-assign]
    fake_aws.describe_scaling_activities = lambda **_: {"Activities": []}  # type: ignore[attr-defined]
    with pytest.raises(RedoxError, match=r"failed in step packages: one \| two \| no network") as failed:
        train(detach=True)
    assert failed.value.hint == f"the log is s3://checkpoints/state/failed/{INSTANCE}.log"


def test_a_host_without_capacity_is_waited_for_with_the_reason_and_then_named(
    training_host: TrainingHost,
    train: Train,
    fake_aws: FakeAws,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert training_host
    without_a_host(fake_aws)
    reason = "We currently do not have sufficient r7i.48xlarge capacity in us-east-1a. Launching EC2 instance failed."
    failed = {"StatusCode": "Failed", "StatusMessage": reason}
    fake_aws.describe_scaling_activities = lambda **_: {"Activities": [failed]}  # type: ignore[attr-defined]

    def launching(**_: Any) -> None:
        fake_aws.deployed = replace(fake_aws.deployed, wanted=1)

    fake_aws.set_desired_capacity = launching  # type: ignore[method-assign]
    monkeypatch.setattr(instance, "SET_UP_TIMEOUT_S", 1.0)
    monkeypatch.setattr(instance, "POLL_S", 0.1)
    with pytest.raises(RedoxError, match="there is no host after") as refused:
        train(detach=True)
    assert capsys.readouterr().err.count(reason) == 1
    assert refused.value.hint.startswith("its group keeps trying; or spot = true")


def test_a_spent_budget_starts_no_host(training_host: TrainingHost, train: Train, fake_aws: FakeAws) -> None:
    assert training_host
    without_a_host(fake_aws)
    fake_aws.objects[LEDGER] = json.dumps({f"{datetime.now(UTC):%Y-%m}": 1e9}).encode()
    with pytest.raises(RedoxError, match=r"budget of 2,000\.00 USD is spent"):
        train(detach=True)
    assert not [call for call in fake_aws.calls if call.startswith("set_desired_capacity")]


def test_a_dry_run_starts_and_writes_nothing(training_host: TrainingHost, train: Train, fake_aws: FakeAws) -> None:
    assert train(dry_run=True).data["begun"] is False
    without_a_host(fake_aws)
    assert train(dry_run=True).data["begun"] is False
    assert (dict(fake_aws.objects), [call for call in fake_aws.calls if call.startswith("set_")]) == ({}, [])
    listed = training_host.run("ls /etc/redox; ls /data | grep -v image.json")
    assert listed == "machine.env\ntraining.env\nendless\n"


def test_a_session_without_a_host_connects_to_nothing(open_session: OpenSession, fake_aws: FakeAws) -> None:
    """Sessions hold no connection: what only queries AWS never opens one."""
    session = open_session()
    assert session.instance_id == INSTANCE
    assert fake_aws.calls == []
