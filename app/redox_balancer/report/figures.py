"""Figures of a report: SVG text that stands inside an HTML page, or pixels."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from redox_balancer.report.design import Design

POLICY, BEST, RANDOM = "#1b6ca8", "#2f2f2f", "#c44e52"


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure and the sentence that stands for it where it cannot be seen.

    Attributes
    ----------
    name
        Tells its elements from those of other figures of a page.
    figure, text
        The figure and the sentence.
    """

    name: str
    figure: Figure
    text: str

    def svg(self) -> str:
        """The figure as an `<svg>` element; the same figure gives the same bytes. Words stay words."""
        buffer = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": f"redox_balancer {self.name}", "svg.fonttype": "none"}):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        # Groups are named alike in every figure, and a page has many; nothing refers to them.
        text = re.sub(r'<g id="[^"]*"', "<g", buffer.getvalue())
        return text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(self.text)}"', 1)

    def png(self) -> bytes:
        """The figure as pixels, fit for a slide."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
        return buffer.getvalue()


def learning_curve(rows: Sequence[Mapping[str, float]], best: float | None, random: float | None) -> Drawing:
    """Mean return against environment steps, with the means of the best and of random constructs as lines."""
    figure, axes = _blank(7.2, 3.4)
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
    """Values by condition, one group of bars for each."""
    figure, axes = _blank(7.2, 0.45 * len(names) + 1.2)
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


def envelope(design: Design) -> Drawing:
    """Smallest and largest capacity against growth, with growth without the construct and the growth floor."""
    found, proposal = design.analysis.envelope, design.proposal
    if found is None:
        raise ValueError(f"{proposal.condition.id}: this design has no envelope")
    figure, axes = _blank(6.0, 3.0)
    axes.fill_between(found.growth, found.smallest, found.largest, color=POLICY, alpha=0.18, linewidth=0)
    axes.plot(found.growth, found.largest, color=POLICY, label="largest")
    axes.plot(found.growth, found.smallest, color=POLICY, linestyle=":", label="smallest")
    axes.plot([found.growth[-1]], [design.analysis.guaranteed], "o", color=BEST, label="guaranteed", clip_on=False)
    axes.axvline(proposal.reference.floor, color=RANDOM, linestyle="--", label="growth floor")
    axes.axvline(proposal.reference.growth, color=BEST, linestyle="-", linewidth=0.8, label="growth without")
    axes.set_xlabel("growth (1/h)")
    axes.set_ylabel("NAD(P)H taken\n(mmol/gDW/h)")
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return Drawing(
        f"envelope {proposal.condition.id}",
        figure,
        f"{proposal.condition.id}: at growth {design.analysis.growth:.4g} 1/h the construct takes at least "
        f"{design.analysis.guaranteed:.4g} and with growth at its floor at most "
        f"{design.analysis.capacity:.4g} mmol NAD(P)H/gDW/h",
    )


def methods_compared(rows_by_set: Mapping[str, Sequence[Mapping[str, Any]]]) -> Drawing:
    """Share of the optimum with its interval, and seconds per answer, by method; one colour for each set.

    `rows_by_set` holds the rows of `Benchmark.rows`; the methods stand in the order of the last set.
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
        # The middle of few scores may lie outside of its bootstrap interval by round-off.
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


def _blank(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure, in inches. It belongs to no window manager, so nothing has to close it."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
