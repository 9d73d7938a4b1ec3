"""`stop`: the id of the host confirms it, the training saves, then the group ends the host and starts no other."""

import pytest

from fake_host import INSTANCE, FakeAws, OpenSession
from infra.machine.jobs import STOPPED, Queue
from ops.commands.stop import stop
from redox_balancer.errors import RedoxError
from training_host import Train, TrainingHost


def test_stop_needs_the_id_of_the_host_saves_and_then_ends_it(
    training_host: TrainingHost, open_session: OpenSession, train: Train, fake_aws: FakeAws
) -> None:
    train(detach=True)
    training_host.heartbeat()
    active = fake_aws.objects.queue.active
    assert active
    assert active.run == "mine"
    with pytest.raises(RedoxError, match="nothing was changed"):
        stop(open_session(), instance_id="i-other")
    assert training_host.is_training()
    assert stop(open_session(dry_run=True)).data["wanted"] == 0
    assert training_host.is_training()
    kept = stop(open_session(), instance_id=INSTANCE, keep_host=True)
    assert kept.data == {"host": INSTANCE, "wanted": 1, "saved": 50}
    assert not training_host.is_training()
    assert not [call for call in fake_aws.calls if call.startswith("set_desired_capacity")]
    assert training_host.heartbeat()["status"] == "stopped"
    assert fake_aws.objects.queue == Queue()  # or a host that replaces this one would train it again
    assert stop(open_session(), instance_id=INSTANCE).data["wanted"] == 0
    assert fake_aws.calls[-1] == "set_desired_capacity 0"
    assert stop(open_session()).data == {"host": None, "wanted": 0, "saved": None}


def test_a_host_out_of_reach_is_ended_all_the_same(
    training_host: TrainingHost, open_session: OpenSession, fake_aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training_host
    fake_aws.online = False
    assert stop(open_session(), instance_id=INSTANCE).data == {"host": INSTANCE, "wanted": 0, "saved": None}
    assert "a training also saves when its host shuts down" in capsys.readouterr().err


def test_the_next_job_starts_when_the_training_is_ended_but_not_when_the_host_is(
    training_host: TrainingHost, open_session: OpenSession, train: Train, fake_aws: FakeAws
) -> None:
    for run in ("mine", "second", "third"):
        train(run=run, detach=True)
    training_host.heartbeat()
    kept = stop(open_session(), instance_id=INSTANCE, keep_host=True)
    assert kept.shown == f"the training has ended, {INSTANCE} goes on with run second"
    training_host.heartbeat("second")
    ended = stop(open_session(), instance_id=INSTANCE)
    assert ended.shown == f"{INSTANCE} is ending; make train-remote starts another, for 1 waiting jobs first"
    queue = fake_aws.objects.queue
    assert (queue.active, [each.run for each in queue.waiting], queue.closed) == (None, ["third"], STOPPED)
    assert not training_host.exists("/data/experiments/third")
