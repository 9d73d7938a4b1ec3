"""Figures of a report and of a comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from redox_balancer.drawing import BEST, POLICY, RANDOM, Drawing, blank


def learning_curve(rows: Sequence[Mapping[str, float]], best: float | None, random: float | None) -> Drawing:
    """Mean return against environment steps, with the mean values of the best and of random constructs as lines."""
    figure, axes = blank(7.2, 3.4)
    steps = [row["steps"] for row in rows]
    axes.plot(steps, [row["return_mean"] for row in rows], color=POLICY, label="policy (while exploring)")
    if best is not None:
        axes.axhline(best, color=BEST, linestyle="--", label="best of all constructs")
    if random is not None:
        axes.axhline(random, color=RANDOM, linestyle=":", label="random constructs")
    axes.set_xlabel("environment steps")
    axes.set_ylabel("value of the construct\n(healthy respirations)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return Drawing("learning", figure, "mean value of the constructs against environment steps")


def by_condition(names: Sequence[str], bars: Mapping[str, Sequence[float]]) -> Drawing:
    """Values by condition, one group of bars per condition."""
    figure, axes = blank(7.2, 0.45 * len(names) + 1.2)
    positions = np.arange(len(names))
    height = 0.8 / len(bars)
    colours = dict(zip(bars, (BEST, POLICY, RANDOM), strict=False))
    for index, (label, values) in enumerate(bars.items()):
        axes.barh(
            positions + (index - (len(bars) - 1) / 2) * height, values, height, label=label, color=colours[label]
        )
    axes.set_yticks(positions, names)
    axes.invert_yaxis()
    axes.set_xlabel("value of the construct (healthy respirations)")
    axes.legend(frameon=False)
    return Drawing("conditions", figure, "value of constructs by condition")


def methods_compared(rows_by_set: Mapping[str, Sequence[Mapping[str, Any]]]) -> Drawing:
    """Share of the best known value with its interval, and seconds per answer, by method; one colour per set.

    `rows_by_set` holds the `Benchmark.rows` of each set of conditions; the methods are in the order of the last set.
    """
    names = [row["method"] for row in list(rows_by_set.values())[-1]]
    figure = Figure(figsize=(7.2, 0.42 * len(names) + 1.3), layout="constrained")
    shares, times = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    for index, ((label, rows), colour) in enumerate(zip(rows_by_set.items(), (RANDOM, POLICY), strict=False)):
        by_name = {row["method"]: row for row in rows}
        ordered = [by_name[name] for name in names]
        positions = np.arange(len(names)) + 0.22 * (index - (len(rows_by_set) - 1) / 2)
        middle = np.asarray([row["share"] for row in ordered])
        low, high = (np.asarray([row[key] for row in ordered]) for key in ("share_low", "share_high"))
        # With few scores, the mean may lie outside its bootstrap interval by round-off.
        reach = np.maximum([middle - low, high - middle], 0.0)
        shares.errorbar(middle, positions, xerr=reach, fmt="o", color=colour, capsize=3, label=label)
        times.plot([row["seconds"] for row in ordered], positions, "o", color=colour)
    shares.set_yticks(np.arange(len(names)), names)
    shares.invert_yaxis()
    shares.set_xlabel("share of the best known\n(interquartile mean, 95 % interval)")
    times.set_xscale("log")
    times.set_xlabel("seconds per answer")
    for axes in (shares, times):
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper left", ncols=len(rows_by_set))
    return Drawing("methods", figure, "share of the best known and seconds per answer by method")
