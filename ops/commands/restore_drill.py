"""`make restore-drill`: a run restored into an empty local folder, with the time that each step takes."""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.commands.pull_checkpoints import newest_complete
from ops.session import CommandResult, RunName, Session
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.terminal.checkpoints import pull_checkpoint

EXAMPLE = "Example: python -m ops restore-drill --run production --json"

TRAIN_STEPS = 512  # one update of a run with the default settings, more than one of most
# Settings of a local training, whatever those of the run are.
LOCAL = {"remote": "", "num_actors": 0, "learner_threads": 1, "ray_address": "", "learner_resource": ""}


def restore_drill(
    session: Session,
    *,
    run: RunName = None,
    to: Annotated[Path | None, typer.Option(help="Empty folder; by default, a temporary one.")] = None,
    train_steps: Annotated[
        int, typer.Option(help="Environment steps to train; 0 only loads the checkpoint.", min=0)
    ] = TRAIN_STEPS,
) -> CommandResult:
    """Restore a run from the bucket into an empty local folder: download, verify, load, and train a few steps.

    Reports how many seconds each took and the step at which the training resumed. Neither the host nor the bucket is
    touched.
    """
    name = session.run_name(run)
    url = session.run_url(name)
    if session.dry_run:
        found = newest_complete(url)
        session.announce(f"download step {found.step:,}, {found.bytes:,} bytes, and train {train_steps:,} steps")
        return CommandResult({"step": found.step})
    with ExitStack() as stack:
        folder = to or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redox-drill-")))
        if folder.exists() and any(folder.iterdir()):
            raise RedoxError(f"{folder} is not empty", hint="with files already there, a drill proves nothing")
        data = _drill(session, url, folder, train_steps)
    return CommandResult(data, f"{name}: {_text(data)}")


def _text(data: Mapping[str, Any]) -> str:
    parts = [
        f"step {data['step']:,} downloaded and verified in {data['fetch_s']:.1f} s, loaded in {data['load_s']:.1f} s"
    ]
    if data["resumed_at"] is not None:
        parts.append(
            f"resumed at step {data['resumed_at']:,}, trained to step {data['trained_to']:,} in "
            f"{data['train_s']:.1f} s"
        )
    return ", ".join([*parts, f"{data['seconds']:.1f} s in total"])


def _drill(session: Session, url: str, folder: Path, train_steps: int) -> dict[str, Any]:
    from redox_balancer.runs import checkpoint  # noqa: PLC0415 - loads NumPy

    started = time.monotonic()
    pulled = pull_checkpoint(url, folder, None)
    fetched = time.monotonic()
    # As the trainer does with `--resume auto`.
    found = checkpoint.find(folder)
    loaded = time.monotonic()
    if found.checkpoint.step != pulled.step:
        raise RedoxError(f"a training would resume at step {found.checkpoint.step:,}, not at {pulled.step:,}")
    data: dict[str, Any] = {
        "step": pulled.step,
        "damaged": dict(pulled.damaged),
        "bytes": sum(file.stat().st_size for file in pulled.path.iterdir()),
        "fetch_s": fetched - started,
        "load_s": loaded - fetched,
        "resumed_at": None,
        "trained_to": None,
        "train_s": None,
    }
    if train_steps:
        data |= _train(session, folder, pulled.step, train_steps)
        data["train_s"] = time.monotonic() - loaded
    return {**data, "seconds": time.monotonic() - started}


def _train(session: Session, folder: Path, step: int, steps: int) -> dict[str, Any]:
    """Have the trainer resume the run as it does on the host, but without actors."""
    from redox_balancer.designer.trained_run import TrainedRun  # noqa: PLC0415 - loads NumPy

    try:
        run = TrainedRun.open(folder)
        known = {name: value for name, value in run.config["settings"].items() if name in TrainConfig.model_fields}
    except (RedoxError, KeyError) as error:
        raise RedoxError(
            f"the run's config.json cannot be used: {error}", hint="--train-steps 0 only loads the checkpoint"
        ) from error
    if run.task.model is not None and not Path(run.task.model).exists():
        session.note(f"{run.task.model} is not on this machine: the checkpoint is loaded, but not trained")
        return {}
    from redox_balancer.runs.progress import ProgressSink  # noqa: PLC0415 - loads torch
    from redox_balancer.runs.trainer import train  # noqa: PLC0415

    session.note(f"training from step {step:,}")
    try:
        config = TrainConfig(**known | LOCAL | {"timesteps": step + steps})
        environments, about = run.task.environments(), run.config["task"]
        trained = train(config, environments, folder, resume="auto", progress=ProgressSink(), about=about)
    except RedoxError as error:
        hint = "--train-steps 0 shows whether it loads"
        raise RedoxError(f"the training does not resume: {error.message}", hint=hint) from error
    history = TrainedRun.open(folder).config["history"]
    return {"resumed_at": history[-1]["step"], "trained_to": trained.steps}
