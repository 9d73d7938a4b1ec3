"""Drawings: Matplotlib figures as SVG for an HTML page, or as PNG."""

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
    """A figure and its alternative text, a sentence; `name` makes its ids differ from those of others on a page."""

    name: str
    figure: Figure
    text: str

    def svg(self) -> str:
        """The figure as an `<svg>` element with selectable text; the same figure gives the same bytes."""
        buffer = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": f"redox_balancer {self.name}", "svg.fonttype": "none"}):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        # Matplotlib gives groups the same ids in every figure, and a page has many; nothing refers to them.
        text = re.sub(r'<g id="[^"]*"', "<g", buffer.getvalue())
        return text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(self.text)}"', 1)

    _repr_svg_ = svg  # Jupyter shows it

    def png(self) -> bytes:
        """The figure as PNG, at a resolution fit for a slide."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
        return buffer.getvalue()


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of a size in inches. It is not registered with pyplot, so it need not be closed."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
