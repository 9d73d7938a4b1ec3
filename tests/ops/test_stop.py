"""`stop`: the id of the host confirms it, the training saves, then the host stops."""

import pytest

from fake_host import INSTANCE, FakeAws, OpenSession
from ops.commands.stop import stop
from redox_balancer.errors import RedoxError
from training_host import Train, TrainingHost


def test_stop_needs_the_id_of_the_host_saves_and_then_stops_it(
    training_host: TrainingHost, open_session: OpenSession, train: Train, fake_aws: FakeAws
) -> None:
    train(detach=True)
    training_host.heartbeat()
    with pytest.raises(RedoxError, match="nothing was changed"):
        stop(open_session(), instance_id="i-other")
    assert training_host.is_training()
    assert stop(open_session(dry_run=True)).data["state"] == "stopping"
    assert training_host.is_training()
    kept = stop(open_session(), instance_id=INSTANCE, keep_host=True)
    assert kept.data == {"host": INSTANCE, "state": "running", "saved": 50}
    assert not training_host.is_training()
    assert "stop_instances" not in fake_aws.calls
    assert training_host.heartbeat()["status"] == "stopped"
    assert stop(open_session(), instance_id=INSTANCE).data["state"] == "stopping"
    assert fake_aws.calls[-1] == "stop_instances"


def test_a_host_out_of_reach_is_stopped_all_the_same(
    training_host: TrainingHost, open_session: OpenSession, fake_aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training_host
    fake_aws.online = False
    assert stop(open_session(), instance_id=INSTANCE).data == {"host": INSTANCE, "state": "stopping", "saved": None}
    assert "a training also saves when its host shuts down" in capsys.readouterr().err
