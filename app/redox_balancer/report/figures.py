"""Figures of a report and of a comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
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


def methods_compared(summary: Mapping[str, Any]) -> Drawing:
    """Mean share of the best known by seconds per answer, a panel for each set, and the cost of many answers.

    `summary` is that of `compare_methods`. The last panel shows, for the first set, the time of N answers and of
    training for a mean share of 99 %, or the largest of the shares reported that a trained method reaches.
    """
    sets = summary["sets"]
    figure = Figure(figsize=(3.6 * (len(sets) + 1), 3.6), layout="constrained")
    *panels, last = figure.subplots(1, len(sets) + 1)
    names = list(next(iter(sets.values()))["curves"])
    colours = dict(zip(names, colormaps["tab10"](range(10)).tolist(), strict=False))
    for axes, (label, benchmark) in zip(panels, sets.items(), strict=True):
        for name, curve in benchmark["curves"].items():
            middle, low, high = np.asarray(curve).T
            axes.plot(benchmark["times"], middle, color=colours[name], marker=".", label=name)
            axes.fill_between(benchmark["times"], low, high, color=colours[name], alpha=0.15, linewidth=0)
        axes.set(xscale="log", xlabel="seconds per answer", ylabel="mean share of the best known", title=label)
    first = next(iter(sets.values()))
    reached = {row["method"]: row["seconds_to"] for row in first["methods"]}
    trained = {row["trained"] for row in first["crossings"]}
    shares = sorted({row["share"] for row in first["crossings"]}, reverse=True)
    share = next((s for s in shares if any(reached[name][f"{s:g}"] is not None for name in trained)), shares[-1])
    queries = np.geomspace(1, 100_000, 60)
    for name in dict.fromkeys(row[key] for row in first["crossings"] for key in ("trained", "search")):
        seconds = reached[name][f"{share:g}"]
        if seconds is not None:
            once = summary["training_s"] if name in trained else 0.0
            last.plot(queries, once + queries * seconds, color=colours[name])
    last.set(xscale="log", yscale="log", xlabel="number of answers", ylabel="seconds in total, with training")
    last.set_title(f"{100 * share:g} % of the best known")
    for axes in (*panels, last):
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=5)
    text = "mean share of the best known by seconds per answer, and the time of many answers"
    return Drawing("methods", figure, text)
