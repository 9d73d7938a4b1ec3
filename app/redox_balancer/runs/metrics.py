"""Metrics of a run: the updates of one logging interval, summed up in a row.

This module imports neither torch nor TensorBoard, so that readers of metrics stay light.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from redox_balancer.impala.learner import LearnerState, Update
    from redox_balancer.impala.rollout import Episodes

# Columns whose values depend on the clock; all others are reproduced by a serial run with the same settings.
TIME_COLUMNS = ("seconds", "steps_per_s")
LAGS = {"lag/0": 0, "lag/1": 1, "lag/2-3": 2, "lag/4-7": 4, "lag/8-15": 8, "lag/16-31": 16, "lag/32-": 32}
"""Columns that count the rollouts used by their lag, with the smallest lag of each."""
COLUMNS = (
    "steps", "updates", *TIME_COLUMNS, "episodes", "return_mean", "length_mean",
    "policy_loss", "baseline_loss", "entropy", "rho_mean", "rho_max", "rho_clipped", "grad_norm",
    "explained_variance", "learning_rate", "entropy_cost", "lag_min", "lag_mean", "lag_max", *LAGS,
    "dropped", "failed_saves",
)  # fmt: skip
ENVIRONMENT = "env/"  # prefix of the columns that the environment reports at the end of an episode


def read_rows(lines: Iterable[str]) -> list[dict[str, float]]:
    """Return the rows of `metrics.csv`, oldest first; NaN for values that were not measured."""
    return [{name: float(text) if text else math.nan for name, text in row.items()} for row in csv.DictReader(lines)]


class Window:
    """The updates of one logging interval.

    Only the newest state of the learner is kept: each is three vectors of the size of the policy.
    """

    def __init__(self) -> None:
        self._state: LearnerState | None = None
        self._clear()

    def _clear(self) -> None:
        self._metrics: list[Mapping[str, float]] = []
        self._lags: list[int] = []
        self._episodes: list[Episodes] = []

    def add(self, update: "Update") -> None:
        """Add an update."""
        self._state = update.state
        self._metrics.append(update.metrics)
        self._lags += update.lags
        self._episodes += update.episodes

    @property
    def empty(self) -> bool:
        """Whether there was no update since the last row."""
        return not self._metrics

    def row(self, *, seconds: float, steps_per_s: float, failed_saves: int = 0) -> dict[str, float]:
        """Return the metrics of the interval and start a new one; NaN for means of nothing.

        Losses are means over updates, returns and metrics of the environment are means over episodes, `rho_max` is
        the maximum; lags are counted over the rollouts used. `seconds` are of the run so far, over all its processes;
        speed and failed saves are those of this process.
        """
        state, metrics, lags, episodes = self._state, self._metrics, self._lags, self._episodes
        if state is None or not metrics:
            raise RuntimeError("a row of an interval without updates")
        self._clear()
        returns = np.concatenate([batch.returns for batch in episodes])
        row = {
            "steps": state.steps,
            "updates": state.updates,
            "seconds": seconds,
            "steps_per_s": steps_per_s,
            "episodes": len(returns),
            "return_mean": _mean(returns),
            "length_mean": _mean(np.concatenate([batch.lengths for batch in episodes])),
            **{name: _mean([each[name] for each in metrics]) for name in metrics[-1]},
            "rho_max": max(each["rho_max"] for each in metrics),
            "learning_rate": metrics[-1]["learning_rate"],
            "entropy_cost": metrics[-1]["entropy_cost"],
            "lag_min": min(lags),
            "lag_mean": _mean(lags),
            "lag_max": max(lags),
            **dict(zip(LAGS, np.histogram(lags, [*LAGS.values(), math.inf])[0].tolist(), strict=True)),
            "dropped": state.dropped,
            "failed_saves": failed_saves,
        }
        names = sorted({name for batch in episodes for name in batch.metrics})
        return row | {f"{ENVIRONMENT}{name}": _mean(_reported(episodes, name)) for name in names}


def _reported(episodes: "Iterable[Episodes]", name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.concatenate([each.metrics[name] for each in episodes if name in each.metrics])
    return values[~np.isnan(values)]


def _mean(values: Sequence[float] | NDArray[Any]) -> float:
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()) if array.size else math.nan
