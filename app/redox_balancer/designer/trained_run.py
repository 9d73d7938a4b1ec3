"""A run on disk, as the report and the design command read it."""

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
        Where it lies.
    config
        Its `config.json`.
    task
        What it is about.
    """

    folder: Path
    config: Mapping[str, Any]
    task: Task

    @classmethod
    def open(cls, folder: Path) -> TrainedRun:
        """Read a run's settings.

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
                f"{folder} holds no run: there is no config.json", hint="redox train makes runs"
            ) from None
        except (OSError, ValueError, KeyError, ValidationError) as error:
            raise RedoxError(f"{path} is damaged: {error}", hint="resume the run: it writes the file anew") from error

    def environments(self) -> RedoxEnvs:
        """The environments the run was trained in, under the named conditions' own figures.

        Raises
        ------
        RedoxError
            Model, library or conditions are no longer what they were.
        """
        environments = self.task.environments()
        now = json.loads(json.dumps(environments.fingerprint))
        then = self.config["environment"]
        changed = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
        if changed:
            raise RedoxError(
                f"{', '.join(changed)} changed since {self.folder} was trained",
                hint="bring back the files named in its config.json, or train anew",
            )
        # Whatever ranges a policy was trained on, what it is compared with was found for these figures.
        return replace(environments, sampling="named")

    def policy(self) -> Policy:
        """The policy of the newest whole checkpoint."""
        return load_policy(self.folder)

    @property
    def training_s(self) -> float:
        """Wall time of the training so far, in seconds; 0 where nothing was logged."""
        rows = self.metrics()
        return rows[-1]["seconds"] if rows else 0.0

    def metrics(self) -> Sequence[Mapping[str, float]]:
        """Rows of `metrics.csv`; NaN for what was not measured."""
        try:
            with (self.folder / "metrics.csv").open(newline="") as file:
                return [
                    {name: float(text) if text else math.nan for name, text in row.items()}
                    for row in csv.DictReader(file)
                ]
        except FileNotFoundError:
            return []
