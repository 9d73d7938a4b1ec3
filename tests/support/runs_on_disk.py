"""Serial runs of toy environments, and everything of a run on disk that must not depend on the clock."""

import csv
from pathlib import Path
from typing import Any

from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import checkpoint
from redox_balancer.runs.heartbeat import Heartbeat, read_heartbeat
from redox_balancer.runs.metrics import TIME_COLUMNS, read_rows

# Intervals in steps: nothing depends on the clock. 400 is no multiple of 128, so saves and rows fall between.
SERIAL = TrainConfig(
    timesteps=1600,
    num_actors=0,
    envs_per_actor=8,
    rollout_length=8,
    batch_size=128,
    hidden_sizes=(16,),
    save_interval_steps=400,
    log_interval_steps=300,
)


def heartbeat_of(run: Path) -> Heartbeat:
    """The last heartbeat of a run, which has to have one."""
    beat = read_heartbeat(run)
    assert beat is not None
    return beat


def rows_of(run: Path) -> list[dict[str, float]]:
    """The metrics of a run; NaN where there is none."""
    with (run / "metrics.csv").open(newline="") as file:
        return read_rows(file)


def reproducible(run: Path) -> dict[str, Any]:
    """The newest checkpoint, the metrics and the list of checkpoints, without times."""
    newest = checkpoint.find(run).checkpoint
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in csv.DictReader(file)]
    best = run / "best"
    return {
        "arrays": {name: array.tobytes() for name, array in newest.arrays.items()},
        "state": {key: value for key, value in newest.state.items() if key != "training_time_s"},
        "rows": rows,
        "checkpoints": list(checkpoint.steps(run)),
        "best": best.readlink().name if best.is_symlink() else None,
    }


class Killed(BaseException):
    """Ends a training in the middle, as a kill does: nothing is saved."""


def kill() -> None:
    raise Killed
