"""SIGKILL at random moments: of a process that saves checkpoints, and of a whole `redox train`."""

import mmap
import os
import re
import signal
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from commands import REDOX
from redox_balancer.runs import checkpoint
from redox_balancer.runs.heartbeat import read_heartbeat
from runs_on_disk import rows_of
from waiting import wait_until

INTERVAL = 1000
PARAMETERS = np.arange(20_000, dtype=np.float32)


class Resumes(NamedTuple):
    """Losses after a number of kills."""

    losses: Sequence[int]  # steps done and lost at each resume
    from_nothing: int  # resumes that found no checkpoint though one had been saved
    damaged: int  # checkpoints that were incomplete or damaged


def _save_forever(run: Path, step: int, done: mmap.mmap) -> None:
    """Save every `INTERVAL` steps, as a training without computation."""
    checkpoint.remove_leftovers(run)
    while True:
        step += INTERVAL
        struct.pack_into("qq", done, 0, step, struct.unpack_from("qq", done)[1])
        # Every third checkpoint is saved again, which replaces a complete one.
        for _ in range(2 if step // INTERVAL % 3 == 0 else 1):
            path = checkpoint.save(run, step, {"parameters": PARAMETERS + step}, {"step": step})
            struct.pack_into("qq", done, 0, step, step)
        if step // INTERVAL % 5 == 0:
            checkpoint.point(checkpoint.BEST, path)
        checkpoint.prune(run, 3)


def kill_saves(run: Path, kills: int, *, seed: int) -> Resumes:
    """Kill a process that saves without pause, again and again; each resumes from the files of the previous one."""
    rng = np.random.default_rng(seed)
    done = mmap.mmap(-1, 16)  # shared with the child: the step it is at, and the newest it has saved
    run.mkdir()
    losses, from_nothing, damaged = [], 0, 0
    step = 0
    for _ in range(kills):
        struct.pack_into("q", done, 0, 0)
        child = os.fork()
        if child == 0:
            _save_forever(run, step, done)
        wait_until(lambda: struct.unpack_from("q", done)[0], "a child that saves")
        # Waits for as long as a few saves take; the child ends by this signal alone.
        signal.sigtimedwait([], float(rng.uniform(0.0, 0.05)))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise AssertionError("the child ended before it was killed")
        reached, saved = struct.unpack_from("qq", done)
        if saved == 0:
            continue
        try:
            found = checkpoint.find(run)
        except Exception:  # noqa: BLE001 - any error would restart the run from step 0
            from_nothing += 1
            continue
        damaged += len(found.damaged)
        step = found.checkpoint.step
        if found.checkpoint.state != {"step": step} or found.checkpoint.arrays["parameters"][0] != step:
            raise AssertionError("a checkpoint holds another one's content")
        losses.append(reached - step)
    return Resumes(losses, from_nothing, damaged)


def kill_trainings(run: Path, kills: int, *, actors: int, interval: int, seed: int) -> Resumes:
    """Kill a training at random moments after its first checkpoint; each resumes with `--resume auto`.

    Steps done are those of the last row of metrics: one row is written for each update.
    """
    rng = np.random.default_rng(seed)
    arguments = (
        *("train", "--checkpoint-dir", str(run), "--resume", "auto", "--timesteps", "1000000000"),
        *("--num-actors", str(actors), "--batch-size", "256", "--conditions", "healthy,hypoxia"),
        *("--save-interval-steps", str(interval), "--log-interval-steps", "1"),
    )
    losses, from_nothing, reached = [], 0, 0
    for kill in range(kills + 1):
        with subprocess.Popen([REDOX, *arguments], stderr=subprocess.PIPE, text=True, process_group=0) as process:
            first = next((line for line in process.stderr if "placements are offered" not in line), "")
            if kill > 0:
                resumed = re.match(r"resuming .* at step ([\d,]+) of", first)
                from_nothing += resumed is None
                if resumed:
                    losses.append(reached - int(resumed[1].replace(",", "")))
            # Rows come with every update: some updates after the first checkpoint is there, and a part of one.
            rows = int(rng.integers(1, 2 * interval // 256))
            for line in process.stderr:
                if "warning" in line:
                    raise AssertionError(line)
                rows -= bool(checkpoint.steps(run)) and "steps/s" in line
                if rows <= 0:
                    break
            signal.sigtimedwait([], float(rng.uniform(0.0, 0.1)))
            beat = read_heartbeat(run)
            if beat is None or beat.pid != process.pid:
                raise AssertionError(f"{beat} is not of process {process.pid}")
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        reached = max(int(row["steps"]) for row in rows_of(run))
    return Resumes(losses, from_nothing, 0)
