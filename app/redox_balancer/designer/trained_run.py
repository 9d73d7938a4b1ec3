"""A training run on disk, as the designer and the evaluation read it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.design.candidates import feature_names
from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.observation import TrainedLayout
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import OLD_SETTINGS, RETURN_SCALE, TrainConfig
from redox_balancer.impala.policy import Policy
from redox_balancer.runs.checkpoint import load_policy
from redox_balancer.runs.metrics import read_rows
from redox_balancer.runs.record import differing_entries

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainedRun:
    """A training run: its folder, the contents of its `config.json`, and the task that its policy is asked about.

    That is the task it was trained on, unless `elsewhere` names others of its settings.

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
    changed: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def open(cls, folder: Path) -> "TrainedRun":
        """Read the settings of a run; a RedoxError where the folder holds none."""
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
        return cls(folder, config, task)

    def elsewhere(self, **settings: Any) -> "TrainedRun":
        """The same policy, asked about another task: other enzymes, cell lines, conditions, budgets or another model.

        Parameters
        ----------
        **settings
            Fields of `Task` in place of those of the training.

        Raises
        ------
        RedoxError
            The policy cannot be asked about that task: it sees each enzyme through an output of its own (`flat`) and
            other things change than the values of held ratios, other ratios are held, it would see other things, or
            would measure more often.

        Examples
        --------
        >>> import tempfile
        >>> import redox_balancer as rb
        >>> task = rb.Task(conditions="hypoxia", without_enzymes="LBNOX")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = rb.train(task, folder, timesteps=1_000, num_actors=0)
        ...     again = run.elsewhere(conditions="complex_i_closed", without_enzymes=None)
        ...     design = rb.design(again, "complex_i_closed", evaluations=200)
        >>> again.task.conditions
        ('complex_i_closed',)
        """
        if not settings.get("held_ratios", True):  # no values: those of the training
            del settings["held_ratios"]
        task, trained = self.task.changed(**settings), self.task
        names = [name for name in settings if name in ("observation", "hidden_condition")]
        if trained.observation == "flat":
            names = [name for name in settings if name != "held_ratios"]
        elif trained.hidden_condition and task.placements > self.config["environment"]["max_placements"]:
            names.append("placements")
        if different := [name for name in names if getattr(task, name) != getattr(trained, name)]:
            flat = "it chooses among the enzymes of its training: " if trained.observation == "flat" else ""
            raise RedoxError(
                f"the policy of {self.folder} cannot be asked about another {different[0].replace('_', ' ')}",
                hint=f"{flat}omit it, or train on that task",
                settings=tuple(different),
            )
        held, known = ([text.partition("=")[0] for text in each.held_ratios or ()] for each in (task, trained))
        if held != known:
            raise RedoxError(
                f"{self.folder} was not trained with these ratios, but with {','.join(known) or 'none'}",
                hint="give a value to each that it was trained with, in the same order",
                settings=("held_ratios",),
            )
        return replace(self, task=task, changed=self.changed | settings.keys())

    def environments(self) -> RedoxEnvs:
        """The environments of the task, with the sampling of states that the run was trained on.

        `RedoxEnvs.named` of them is what the policy is evaluated in.

        Raises
        ------
        RedoxError
            Model, library or conditions have changed since the training, and it is asked about the same task; or the
            protein levels or features of enzymes are not those of this version.
        """
        environments, recorded = self.task.environments(), self.config["environment"]
        flat = self.task.observation == "flat"
        if self.changed and not flat:
            if trained := TrainedLayout.recorded(recorded, feature_names(environments.space)):
                return replace(environments, trained=trained)
            raise RedoxError(
                f"{self.folder} was trained with other protein levels, or other features of enzymes",
                hint="train again, or use the version of this package that trained it",
            )
        differing = set(differing_entries(environments.fingerprint, recorded))
        if different := sorted(differing - {"ratios"} if self.changed else differing):
            raise RedoxError(
                f"{', '.join(different)} changed since {self.folder} was trained",
                hint="restore the files named in its config.json, "
                + ("" if flat else "give the settings that name them again to ask about them as they are, ")
                + "or train again",
            )
        return environments

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


def fitted(task: Task, config: TrainConfig) -> TrainConfig:
    """Settings with the scale of returns of a task: in proportion where the condition is hidden."""
    if config.return_scale is not None:
        return config
    return config.changed(return_scale=0.0 if task.hidden_condition else RETURN_SCALE)


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
