"""Drawings: figures as SVG text that stands inside an HTML page, or as pixels."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure, in inches. It belongs to no window manager, so nothing has to close it."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
