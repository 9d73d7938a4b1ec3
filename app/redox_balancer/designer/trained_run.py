"""A training run on disk, as the designer and the evaluation read it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.settings import ids
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import OLD_SETTINGS, TrainConfig
from redox_balancer.impala.policy import Policy
from redox_balancer.runs.checkpoint import load_policy
from redox_balancer.runs.fingerprint import differing_entries
from redox_balancer.runs.metrics import read_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainedRun:
    """A training run: its folder, the contents of its `config.json`, and the task it was trained on.

    Examples
    --------
    >>> import tempfile
    >>> import redox_balancer as rb
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = rb.train(rb.Task(conditions="hypoxia"), folder, timesteps=1_000, num_actors=0)
    ...     again = rb.load_run(folder)
    ...     policy = again.policy()
    >>> again.task.conditions
    ('hypoxia',)
    """

    folder: Path
    config: Mapping[str, Any] = field(repr=False)
    task: Task
    held_ratios: tuple[str, ...] | None = field(default=None, repr=False)

    @classmethod
    def open(cls, folder: Path, held_ratios: str | None = None) -> "TrainedRun":
        """Read the settings of a run, to be used with other values of the ratios that it was trained with.

        A RedoxError where the folder holds no run, or one that was trained with other ratios or none.
        """
        path = folder / "config.json"
        try:
            config = json.loads(path.read_text())
            task, _ = Task.recorded(config["task"]), dict(config["environment"])
        except FileNotFoundError:
            raise RedoxError(
                f"{folder} holds no run: there is no config.json", hint="give the folder of a training run"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, RedoxError) as error:
            what = error if isinstance(error, OSError | ValueError | RedoxError) else "it has no task or environment"
            raise RedoxError(
                f"{path} is damaged: {what}", hint="resume the run, which writes the file again"
            ) from error
        held = ids(held_ratios)
        if held and [text.partition("=")[0] for text in held] != [
            t.partition("=")[0] for t in task.held_ratios or ()
        ]:
            raise RedoxError(
                f"{folder} was not trained with these ratios, but with {','.join(task.held_ratios or ()) or 'none'}",
                hint="give a value to each that it was trained with, in the same order",
                settings=("held_ratios",),
            )
        return cls(folder, config, task, held or None)

    def environments(self) -> RedoxEnvs:
        """The environments the run was trained in, with the sampling of states that it was trained on.

        `RedoxEnvs.named` of them is what the policy is evaluated in.

        Raises
        ------
        RedoxError
            Model, library or conditions have changed since.
        """
        environments = self.task.environments()
        if changed := differing_entries(environments.fingerprint, self.config["environment"]):
            raise RedoxError(
                f"{', '.join(changed)} changed since {self.folder} was trained",
                hint="restore the files named in its config.json, or train again",
            )
        if self.held_ratios is None:
            return environments
        return self.task.model_copy(update={"held_ratios": self.held_ratios}).environments()

    def policy(self) -> Policy:
        """The policy of the newest complete checkpoint."""
        return load_policy(self.folder)

    @property
    def training_s(self) -> float:
        """Wall time of the training so far, in seconds; 0 where nothing was logged."""
        rows = self.metrics()
        return rows[-1]["seconds"] if rows else 0.0

    def to_frame(self) -> "pd.DataFrame":
        """Table of the metrics, a row for each logging interval."""
        import pandas as pd  # noqa: PLC0415 - half a second

        return pd.DataFrame(self.metrics())

    def metrics(self) -> Sequence[Mapping[str, float]]:
        """Rows of `metrics.csv`; NaN for values that were not measured."""
        try:
            with (self.folder / "metrics.csv").open(newline="") as file:
                return read_rows(file)
        except FileNotFoundError:
            return []


def resumed(task: Task, config: TrainConfig, run: Path) -> tuple[Task, TrainConfig]:
    """Task and settings to resume a run with: those that its record does not name stay as they were before.

    `run` is the folder of the run or of one of its checkpoints.
    """
    for folder in (run, run.parent):
        try:
            record = json.loads((folder / "config.json").read_bytes())
            recorded, settings = {*record["task"]}, {*record["settings"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        old = {name: value for name, value in Task.before(task.model).items() if name not in recorded}
        if task.curation is not None:
            old.pop("as_published", None)
        return task.model_copy(update=old), config.changed(
            **{name: value for name, value in OLD_SETTINGS.items() if name not in settings}
        )
    return task, config
