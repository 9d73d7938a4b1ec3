"""A training run on disk, as the designer and the evaluation read it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from redox_balancer.design.env import RedoxEnvs
from redox_balancer.design.task import Task
from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Policy
from redox_balancer.runs.checkpoint import load_policy


@dataclass(frozen=True)
class TrainedRun:
    """A training run.

    Attributes
    ----------
    folder
        Its folder.
    config
        Contents of its `config.json`.
    task
        The task it was trained on.
    """

    folder: Path
    config: Mapping[str, Any]
    task: Task

    @classmethod
    def open(cls, folder: Path) -> TrainedRun:
        """Read the settings of a run.

        Raises
        ------
        RedoxError
            The folder holds no run.
        """
        path = folder / "config.json"
        try:
            config = json.loads(path.read_text())
            return cls(folder, config, Task.model_validate(config["task"]))
        except FileNotFoundError:
            raise RedoxError(
                f"{folder} holds no run: there is no config.json", hint="give the folder of a training run"
            ) from None
        except (OSError, ValueError, KeyError, ValidationError) as error:
            raise RedoxError(
                f"{path} is damaged: {error}", hint="resume the run, which writes the file again"
            ) from error

    def environments(self) -> RedoxEnvs:
        """The environments the run was trained in, under the named conditions' own values.

        Raises
        ------
        RedoxError
            Model, library or conditions have changed since.
        """
        environments = self.task.environments()
        now = json.loads(json.dumps(environments.fingerprint))
        then = self.config["environment"]
        changed = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
        if changed:
            raise RedoxError(
                f"{', '.join(changed)} changed since {self.folder} was trained",
                hint="restore the files named in its config.json, or train again",
            )
        # Whatever ranges a policy was trained on, what it is compared with was found for these values.
        return replace(environments, sampling="named")

    def policy(self) -> Policy:
        """The policy of the newest complete checkpoint."""
        return load_policy(self.folder)

    @property
    def training_s(self) -> float:
        """Wall time of the training so far, in seconds; 0 where nothing was logged."""
        rows = self.metrics()
        return rows[-1]["seconds"] if rows else 0.0

    def metrics(self) -> Sequence[Mapping[str, float]]:
        """Rows of `metrics.csv`; NaN for values that were not measured."""
        try:
            with (self.folder / "metrics.csv").open(newline="") as file:
                return [
                    {name: float(text) if text else math.nan for name, text in row.items()}
                    for row in csv.DictReader(file)
                ]
        except FileNotFoundError:
            return []
