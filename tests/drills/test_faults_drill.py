"""Ten minutes with ten actors, one killed every minute and one made to hang, and the same training undisturbed."""

import os
import signal
from pathlib import Path

import pytest

from chaos import break_training
from redox_balancer.design.task import Task
from redox_balancer.impala.config import TrainConfig
from sinks import Recorder

# REDOX_DRILL_ACTORS and REDOX_DRILL_MINUTES shorten it.
ACTORS = int(os.environ.get("REDOX_DRILL_ACTORS", "10"))
MINUTES = int(os.environ.get("REDOX_DRILL_MINUTES", "10"))
MINUTE_S = float(os.environ.get("REDOX_DRILL_MINUTE_S", "60"))
CONFIG = TrainConfig(timesteps=100_000_000, num_actors=ACTORS, actor_timeout_s=30.0)


@pytest.mark.timeout(3600)
def test_throughput_and_actors_survive_kills_and_a_hang(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factory = Task().environments()
    faults = [signal.SIGKILL] * MINUTES
    faults[MINUTES // 2] = signal.SIGSTOP
    undisturbed = break_training(
        CONFIG, factory, tmp_path / "undisturbed", progress=Recorder(), faults=(), rest_s=3 * MINUTE_S
    )
    sink = Recorder()
    faulty = break_training(
        CONFIG.changed(seed=1),
        factory,
        tmp_path / "faulty",
        progress=sink,
        faults=faults,
        every_s=MINUTE_S,
        rest_s=MINUTE_S / 2,
    )
    share = faulty.steps_per_s / undisturbed.steps_per_s
    with capsys.disabled():
        print("", *sink.messages, sep="\n  ")  # noqa: T201
        print(  # noqa: T201 - a drill prints its measurements
            f"\n{ACTORS} actors, {len(faults)} faults (one a hang, detected after {CONFIG.actor_timeout_s:g} s): "
            f"recovered after {', '.join(f'{seconds:.1f}' for seconds in faulty.recoveries_s)} s; "
            f"{faulty.rollouts} rollouts, {faulty.doubled} duplicates; "
            f"{faulty.steps_per_s:.0f} steps/s, {100 * share:.0f} % of {undisturbed.steps_per_s:.0f} undisturbed"
        )
    assert len(faulty.recoveries_s) == len(faults)
    assert max(faulty.recoveries_s) <= 60.0
    assert faulty.doubled == 0
    assert all(numbers == list(range(len(numbers))) for numbers in faulty.sequences.values())
    assert share >= 0.8
