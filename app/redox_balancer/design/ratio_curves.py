"""Growth of cells against their ratios of NAD+ to NADH as a figure."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from redox_balancer.design.ratio_diagnosis import RatioDiagnosis
from redox_balancer.drawing import Drawing

BESIDE = " + "
"""What separates the condition from the construct in the label of a cell."""


def ratio_curves(diagnoses: Sequence[RatioDiagnosis]) -> Drawing:
    """The upper bound on growth (1/h) against each ratio, one line per cell, dashed with the construct.

    A dot marks r*. Cells that do not grow have no line.
    """
    ratios = list(dict.fromkeys(ratio for diagnosis in diagnoses for ratio in diagnosis.curves))
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    panels = figure.subplots(1, max(1, len(ratios)), sharey=True, squeeze=False)[0]
    colours = {name: f"C{place}" for place, name in enumerate(dict.fromkeys(map(_cell, diagnoses)))}
    for axes, ratio in zip(panels, ratios, strict=False):
        for diagnosis in diagnoses:
            if ratio not in diagnosis.curves:
                continue
            steps, growth = diagnosis.curves[ratio]
            cell = _cell(diagnosis)
            style = "-" if cell == diagnosis.condition else "--"
            axes.plot(10.0**steps, growth, style, color=colours[cell], label=diagnosis.condition)
            for found in diagnosis.optima:
                if found.ratio == ratio and found.best:
                    axes.plot([found.best], [found.growth], "o", color=colours[cell], markersize=4)
        axes.set_xscale("log")
        axes.set_xlabel(f"{ratio}")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("growth 1/h, at most")
    panels[0].set_ylim(bottom=0)
    if ratios:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, loc="outside upper left", ncols=2, fontsize="small")
    name = " ".join(["ratios", *(diagnosis.condition for diagnosis in diagnoses)])
    return Drawing(name, figure, "growth against the ratio of NAD+ to NADH by cell and compartment")


def _cell(diagnosis: RatioDiagnosis) -> str:
    return diagnosis.condition.partition(BESIDE)[0]
