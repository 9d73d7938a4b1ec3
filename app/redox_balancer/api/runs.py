"""Training runs."""

import tempfile
from pathlib import Path
from typing import Any

from redox_balancer.api.inputs import require_task
from redox_balancer.cell.models import save_model
from redox_balancer.design.task import Task
from redox_balancer.designer.trained_run import TrainedRun, fitted, resumed
from redox_balancer.errors import RedoxError, missing_extra
from redox_balancer.files import write_atomically
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint

MODEL_FILE = "model.json.gz"
"""Copy of a COBRApy model that a run was trained on, in the folder of the run."""


def train(
    task: Task, folder: str | Path, *, resume: str | Path | None = None, progress: bool = False, **settings: Any
) -> TrainedRun:
    """Train a policy that proposes constructs.

    Needs the extra `train`: `pip install 'redox_balancer[train]'`. SIGINT (Ctrl-C) saves and ends the training.

    Parameters
    ----------
    task
        The task to train on. A `cobra.Model` is saved in `folder`.
    folder
        Folder of the run: settings, metrics and checkpoints.
    resume
        `"auto"` continues from the newest complete checkpoint in `folder` and starts a new run where there is none;
        a path continues from that checkpoint, or from that run's newest one; None starts a new run.
    progress
        Report progress on stderr.
    **settings
        Fields of `TrainConfig`, such as `timesteps`, `num_actors` (0 trains in this process), `seed`,
        `save_interval_s` or `learning_rate`.

    Returns
    -------
    TrainedRun
        The run, as of `load_run`.

    Raises
    ------
    RedoxError
        The folder holds another run, a setting is unknown or out of range, a preflight check fails, or the extra is
        not installed.

    Examples
    --------
    >>> import tempfile
    >>> import redox_balancer as rb
    >>> task = rb.Task(conditions=["complex_iii_closed"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = rb.train(task, folder, timesteps=2_000, num_actors=0)
    ...     table = run.to_frame()
    >>> run.task == task, int(table["steps"].max()) // 1_000
    (True, 2)
    """
    try:
        from redox_balancer.runs.progress import ProgressSink, open_progress  # noqa: PLC0415
        from redox_balancer.runs.trainer import train as run_training  # noqa: PLC0415 - loads torch
    except ImportError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        raise missing from error
    folder = Path(folder)
    config = TrainConfig(**settings)
    task = require_task(task)
    if resume is not None:
        task, config = resumed(task, config, folder if resume == "auto" else Path(resume))
    if not (task.model is None or isinstance(task.model, Path)):
        task = _with_saved_model(task, folder)
    run_training(
        fitted(task, config),
        task.environments(),
        folder,
        resume=resume,
        progress=open_progress() if progress else ProgressSink(),
        about=task.model_dump(mode="json"),
    )
    return load_run(folder)


def load_run(folder: str | Path) -> TrainedRun:
    """Load a training run.

    Parameters
    ----------
    folder
        Folder of the run, as `train` or the command line wrote it.

    Returns
    -------
    TrainedRun
        The run with its task, its policy and its metrics (`to_frame`).

    Raises
    ------
    RedoxError
        The folder holds no run.

    Examples
    --------
    >>> import redox_balancer as rb
    >>> rb.load_run("nowhere")
    Traceback (most recent call last):
    redox_balancer.errors.RedoxError: nowhere holds no run: there is no config.json
    """
    return TrainedRun.open(Path(folder))


def _with_saved_model(task: Task, folder: Path) -> Task:
    """Task on a file in the folder of its run, in place of a COBRApy model."""
    path = folder.resolve() / MODEL_FILE
    with tempfile.TemporaryDirectory(prefix="redox-model-") as scratch:
        saved = Path(scratch) / MODEL_FILE
        save_model(task.model, saved)  # the same model always gives the same bytes
        content = saved.read_bytes()
        if checkpoint.steps(folder) and (not path.exists() or path.read_bytes() != content):
            raise RedoxError(f"{folder} holds a run of another model", hint="train into another folder")
        task.model_copy(update={"model": saved}).environments()  # a model that does not fit leaves no folder
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return task.model_copy(update={"model": path})
