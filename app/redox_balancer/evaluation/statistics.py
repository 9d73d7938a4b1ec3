"""Means with bootstrap intervals, after Agarwal et al. 2021 (NeurIPS, arXiv:2108.13264)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from redox_balancer.cell.network import FloatArray

RESAMPLES = 2_000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    middle: float
    low: float
    high: float


def interquartile_mean(scores: FloatArray, axis: int | None = None) -> FloatArray:
    """Mean of the middle half of the scores: less noisy than the median, less sensitive to outliers than the mean."""
    mean: FloatArray = stats.trim_mean(scores, 0.25, axis=axis)
    return mean


def bootstrap_interval(
    scores: FloatArray, mean: Callable[..., Any] = interquartile_mean, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Mean of all scores, with the percentile interval of the two-way bootstrap.

    Seeds and conditions are both resampled with replacement, so the interval covers other seeds and other conditions
    of the same kind. (Resampling seeds alone, as is usual for a fixed set of benchmark tasks, would give a
    deterministic method an interval of width 0.)

    The shape of `scores` is (seeds, conditions); `mean` is over an axis, or over all scores without one.
    """
    middle = float(mean(scores))
    rows, columns = (np.arange(size) for size in scores.shape)
    if scores.shape[1] < 2 or np.ptp(scores) == 0:
        return Interval(middle, middle, middle)
    if len(rows) == 1:
        # SciPy resamples no axis of length 1; a second copy of the same seed changes nothing.
        scores, rows = np.repeat(scores, 2, axis=0), np.arange(2)

    def statistic(drawn_rows: FloatArray, drawn_columns: FloatArray, axis: int) -> FloatArray:
        del axis  # always the last one
        drawn = scores[drawn_rows[..., :, None].astype(int), drawn_columns[..., None, :].astype(int)]
        found: FloatArray = mean(drawn.reshape(*drawn.shape[:-2], -1), axis=-1)
        return found

    found = stats.bootstrap(
        (rows, columns),
        statistic,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(middle, float(found.low), float(found.high))
