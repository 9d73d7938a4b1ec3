"""Ten minutes with ten actors, one killed every minute and one made to hang, beside the same training in peace."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from chaos import break_training
from python_path import python_path
from redox_balancer.design.task import Task
from redox_balancer.impala.config import TrainConfig
from sinks import Recorder

# REDOX_DRILL_ACTORS and REDOX_DRILL_MINUTES make it shorter.
ACTORS = int(os.environ.get("REDOX_DRILL_ACTORS", "10"))
MINUTES = int(os.environ.get("REDOX_DRILL_MINUTES", "10"))
MINUTE_S = float(os.environ.get("REDOX_DRILL_MINUTE_S", "60"))
CONFIG = TrainConfig(timesteps=100_000_000, num_actors=ACTORS, actor_timeout_s=30.0)


@pytest.mark.timeout(3600)
def test_throughput_and_actors_survive_kills_and_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())
    factory = Task().environments()
    faults = [signal.SIGKILL] * MINUTES
    faults[MINUTES // 2] = signal.SIGSTOP
    peace = break_training(
        monkeypatch, CONFIG, factory, tmp_path / "peace", progress=Recorder(), faults=(), rest_s=3 * MINUTE_S
    )
    sink = Recorder()
    war = break_training(
        monkeypatch,
        replace(CONFIG, seed=1),
        factory,
        tmp_path / "war",
        progress=sink,
        faults=faults,
        every_s=MINUTE_S,
        rest_s=MINUTE_S / 2,
    )
    share = war.steps_per_s / peace.steps_per_s
    with capsys.disabled():
        print("", *sink.messages, sep="\n  ")  # noqa: T201
        print(  # noqa: T201 - a drill shows its figures
            f"\n{ACTORS} actors, {len(faults)} faults (one a hang, noticed after {CONFIG.actor_timeout_s:g} s): "
            f"back after {', '.join(f'{seconds:.1f}' for seconds in war.recoveries_s)} s; "
            f"{war.rollouts} rollouts, {war.doubled} doubled; "
            f"{war.steps_per_s:.0f} steps/s, {100 * share:.0f} % of {peace.steps_per_s:.0f} undisturbed"
        )
    assert len(war.recoveries_s) == len(faults)
    assert max(war.recoveries_s) <= 60.0
    assert war.doubled == 0
    assert all(numbers == list(range(len(numbers))) for numbers in war.sequences.values())
    assert share >= 0.8
