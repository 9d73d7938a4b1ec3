"""A training on the embedded core that is killed and resumed equals an uninterrupted one bit for bit."""

import os
import signal
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from commands import assert_refused, redox, redox_process, redox_until, succeeded
from redox_balancer.runs import checkpoint
from runs_on_disk import heartbeat_of, reproducible

INTERVAL = 512
ARGUMENTS = (
    *("train", "--num-actors", "0", "--timesteps", "3072", "--batch-size", "256", "--conditions", "healthy,hypoxia"),
    *("--save-interval-steps", str(INTERVAL), "--log-interval-steps", "256", "--resume", "auto"),
)


def kill_when(run: Path, output: str, *options: str) -> int:
    """Start a training, kill the process that trains once stderr shows `output`, return the command's exit code."""
    with redox_until(output, *ARGUMENTS, "--checkpoint-dir", run, *options) as process:
        os.kill(heartbeat_of(run).pid, signal.SIGKILL)
    return process.returncode


def test_a_killed_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit_and_its_curves_have_no_seam(
    tmp_path: Path,
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    succeeded(*ARGUMENTS, "--checkpoint-dir", whole, run=redox_process)
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


def test_a_run_with_ratios_that_is_killed_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = ("--held-ratios", "c,m", "--timesteps", "1536")
    succeeded(*ARGUMENTS, *options, "--checkpoint-dir", whole, run=redox_process)
    assert kill_when(broken, "1,280 steps", *options) == -signal.SIGKILL
    succeeded(*ARGUMENTS, *options, "--checkpoint-dir", broken, run=redox_process)
    assert reproducible(broken) == reproducible(whole)


def test_a_second_trainer_of_a_run_is_refused_and_the_first_continues(tmp_path: Path) -> None:
    with redox_until("512 steps", *ARGUMENTS, "--timesteps", 10**8, "--checkpoint-dir", tmp_path) as process:
        again = redox(*ARGUMENTS, "--checkpoint-dir", tmp_path)
        assert_refused(again, f"in use by a trainer: process {process.pid} on ")
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    checkpoint.find(tmp_path)
