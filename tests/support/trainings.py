"""Trainings of toys in this process."""

from pathlib import Path

from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.rollout import EnvFactory
from redox_balancer.runs.run import TrainResult
from redox_balancer.runs.trainer import train
from runs_on_disk import SERIAL
from sinks import Recorder
from toy_envs import Shelves


def trained(
    folder: Path,
    config: TrainConfig = SERIAL,
    factory: EnvFactory | None = None,
    *,
    resume: str | Path | None = "auto",
    sink: Recorder | None = None,
) -> tuple[TrainResult, Recorder]:
    """Train, on shelves by default; the result, and what was reported."""
    sink = sink or Recorder()
    return train(config, factory or Shelves(), folder, resume=resume, progress=sink), sink
