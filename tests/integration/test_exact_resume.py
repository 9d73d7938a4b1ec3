"""A training on the embedded core that is killed and resumed equals an uninterrupted one bit for bit."""

import os
import signal
import subprocess
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from commands import REDOX, redox
from redox_balancer.runs import checkpoint
from runs_on_disk import heartbeat_of, reproducible

INTERVAL = 512
ARGUMENTS = (
    *("train", "--num-actors", "0", "--timesteps", "3072", "--batch-size", "256", "--conditions", "healthy,hypoxia"),
    *("--save-interval-steps", str(INTERVAL), "--log-interval-steps", "256", "--resume", "auto"),
)


def kill_when(run: Path, output: str, *options: str) -> int:
    """Start a training, kill the process that trains once stderr shows `output`, return the command's exit code."""
    with subprocess.Popen(
        [REDOX, *ARGUMENTS, "--checkpoint-dir", run, *options], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if output in line:
                break
        beat = heartbeat_of(run)
        os.kill(beat.pid, signal.SIGKILL)
        process.stderr.read()
    return process.returncode


def test_a_killed_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit_and_its_curves_have_no_seam(
    tmp_path: Path,
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert redox(*ARGUMENTS, "--checkpoint-dir", whole).returncode == 0
    # Between two saves, so that rows and events lie beyond the checkpoint that the next process resumes from.
    assert kill_when(broken, "1,280 steps") == -signal.SIGKILL
    # And once under a supervisor, which restarts the run until it finishes.
    assert kill_when(broken, "2,304 steps", "--supervise") == 0
    assert reproducible(broken) == reproducible(whole)
    steps = []
    for run in (whole, broken):
        events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
        events.Reload()
        steps.append([event.step for event in events.Scalars("return_mean")])
    assert steps[0] == steps[1] == list(range(256, 3073, 256))
    beat = heartbeat_of(broken)
    assert (beat.status, beat.step, beat.checkpoint_step) == ("finished", 3072, 3072)


def test_a_second_trainer_of_a_run_is_refused_and_the_first_continues(tmp_path: Path) -> None:
    with subprocess.Popen(
        [REDOX, *ARGUMENTS, "--timesteps", "100000000", "--checkpoint-dir", tmp_path],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "512 steps" in line:
                break
        answer = redox(*ARGUMENTS, "--checkpoint-dir", tmp_path)
        assert answer.returncode == 2
        assert f"in use by a trainer: process {process.pid} on " in answer.stderr
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 0
    checkpoint.find(tmp_path)
