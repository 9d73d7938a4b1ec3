"""Resuming a run: the checkpoint that a new process starts from, and the state it restores from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.learner import LearnerState
from redox_balancer.impala.policy import PolicyShape
from redox_balancer.runs import checkpoint
from redox_balancer.runs.checkpoint import Checkpoint
from redox_balancer.runs.progress import ProgressSink
from redox_balancer.runs.record import differing_entries


def find_start(run_dir: Path, resume: str | Path | None, progress: ProgressSink) -> Checkpoint | None:
    """Return the checkpoint to resume from, None for a new run; the arguments are those of `trainer.train`.

    Damaged checkpoints are reported, and those in the run's folder are set aside. A RedoxError if the folder holds a
    run that `resume` does not continue, or no intact checkpoint.
    """
    existing = checkpoint.steps(run_dir)
    if resume is None:
        if existing:
            raise RedoxError(
                f"{run_dir} already holds a run, up to step {next(iter(existing)):,}",
                hint="resume that run, or choose another folder for a new one",
                settings=("resume", "checkpoint_dir"),
            )
        return None
    if resume == "auto" and not existing:
        if damaged_before := checkpoint.damaged(run_dir):
            raise RedoxError(
                f"{run_dir} holds only damaged checkpoints ({', '.join(path.name for path in damaged_before)})",
                hint="restore an intact one from a backup, or train into another folder",
                settings=("checkpoint_dir",),
            )
        progress.message(f"no checkpoint in {run_dir}: starting a new run")
        return None
    restored, damaged = checkpoint.find(run_dir if resume == "auto" else Path(resume))
    for path, reason in damaged.items():
        progress.warning(f"{reason}; using {restored.path.name}")
        if path.parent.resolve() == run_dir.resolve():
            checkpoint.set_aside(path)
    branches = existing and restored.path.resolve().parent != run_dir.resolve()
    if branches or any(step > restored.step for step in checkpoint.steps(run_dir)):
        raise RedoxError(
            f"{run_dir} holds checkpoints that do not precede {restored.path}",
            hint="resume from the newest one; an older one, or one of another run, needs a folder of its own",
            settings=("resume", "checkpoint_dir"),
        )
    return restored


def check_fits(fingerprint: Mapping[str, Any], restored: Checkpoint) -> None:
    """Raise a RedoxError where a checkpoint was trained on another environment."""
    if differing := differing_entries(fingerprint, restored.state["fingerprint"]):
        raise RedoxError(
            f"{restored.path} was trained on another environment: {', '.join(differing)} differ",
            hint="resume with the model, enzymes and conditions of that run (its config.json), or start a new one",
        )


def next_incarnations(config: TrainConfig, restored: Checkpoint | None) -> dict[int, int]:
    """Return for each actor an incarnation that none of its processes had, so that no random draw repeats.

    A serial collector with a saved random state continues its incarnation.
    """
    recorded = restored.state["incarnations"] if restored else {}
    before = {int(actor): number for actor, number in recorded.items()}
    if config.num_actors == 0 and restored is not None and restored.state["collector"] is not None:
        return before
    return before | {actor: before.get(actor, -1) + 1 for actor in range(max(config.num_actors, 1))}


def parts_of(state: LearnerState) -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
    """Return the arrays of a checkpoint with this state of the learner, and the counters in its state."""
    fields = state._asdict()
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in fields.items() if name not in arrays}


def learner_state(shape: PolicyShape, seed: int, restored: Checkpoint | None) -> LearnerState:
    """Return the state of the learner in a checkpoint, or the initial state without one.

    A RedoxError where the checkpoint holds a policy of another shape.
    """
    if restored is None:
        return LearnerState.fresh(shape, seed)
    if restored.state["policy"] != shape.as_dict():
        raise RedoxError(
            f"{restored.path} holds a policy of sizes {restored.state['policy']}, not {shape.as_dict()}",
            hint="resume with the environment and the hidden layers of that run (its config.json)",
            settings=("hidden_sizes",),
        )
    saved = {**restored.state, **restored.arrays}
    return LearnerState(*(saved[name] for name in LearnerState._fields))
