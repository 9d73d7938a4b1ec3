"""Trainings whose actors die, hang or raise: real actors, real signals."""

import signal
from pathlib import Path

import pytest

from chaos import Damage, break_training
from faulty_envs import FaultyShelves
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint
from redox_balancer.runs.trainer import train
from runs_on_disk import heartbeat_of, rows_of
from sinks import Recorder
from toy_envs import Shelves

CONFIG = TrainConfig(timesteps=100_000_000, num_actors=3, log_interval_s=1.0)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Damage, Recorder]:
    """A training of which one actor was killed and another one made to hang."""
    folder, sink = tmp_path_factory.mktemp("broken"), Recorder()
    config, faults = CONFIG.changed(actor_timeout_s=5.0), (signal.SIGKILL, signal.SIGSTOP)
    damage = break_training(config, Shelves(), folder, progress=sink, faults=faults, rest_s=2.0)
    return folder, damage, sink


def test_killed_and_hanging_actors_are_replaced(broken: tuple[Path, Damage, Recorder]) -> None:
    folder, damage, sink = broken
    assert len(damage.recoveries_s) == 2, sink.messages
    replaced = [line for line in sink.messages if "takes over" in line]
    assert len(replaced) == 2
    assert "died" in replaced[0]
    assert "returned nothing for 5 s" in replaced[1]
    saved = checkpoint.find(folder).checkpoint.state["incarnations"]
    assert sorted(saved.items()) == sorted({str(actor): number for actor, number in sorted(damage.sequences)}.items())


def test_no_rollout_is_used_twice_or_skipped(broken: tuple[Path, Damage, Recorder]) -> None:
    _, damage, _ = broken
    assert damage.doubled == 0
    for numbers in damage.sequences.values():
        assert numbers == list(range(len(numbers)))


def test_the_metrics_count_replacements_and_rollouts(broken: tuple[Path, Damage, Recorder]) -> None:
    folder, damage, _ = broken
    last = rows_of(folder)[-1]
    assert (last["restarts"], last["actors"], last["rollouts_refused"]) == (2, 3, 0)
    assert 2 <= last["rollouts_discarded"] <= 4
    assert last["rollouts_used"] <= damage.rollouts


def test_an_error_of_an_environment_in_an_actor_is_raised_after_the_last_update_was_saved(tmp_path: Path) -> None:
    sink = Recorder()
    with pytest.raises(ValueError, match="the shelf is empty"):
        train(CONFIG.changed(num_actors=1), FaultyShelves("raise", 200), tmp_path, resume=None, progress=sink)
    saved = checkpoint.find(tmp_path).checkpoint
    assert saved.step == saved.state["steps"] == sink.rows[-1]["steps"] >= 1024
    beat = heartbeat_of(tmp_path)
    assert (beat.status, beat.checkpoint_step) == ("failed", saved.step)
    assert "the shelf is empty" in beat.message
