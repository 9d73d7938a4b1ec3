"""Figures of diagnoses: growth gained by outside redox reactions, and growth against ratios of NAD+ to NADH."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from redox_balancer.design.diagnosis import CARRIERS, Diagnosis
from redox_balancer.design.ratio_diagnosis import RatioDiagnosis
from redox_balancer.drawing import Drawing

ANNOTATED = 400  # number of cells up to which each has its figure
BESIDE = " + "  # what separates the condition from the construct in the label of a cell


def pressure_map(diagnoses: Sequence[Diagnosis]) -> Drawing:
    """Growth gained by 1 mmol/gDW/h of an outside reaction, in percent of unperturbed growth: conditions x pools.

    On the left an acceptor of electrons from outside (red) and, where that gains nothing, a donor (blue); on the
    right oxidation by the cell's own oxygen.
    """
    pressures = [[(p, 100 / d.reference_growth) for p in d.pressures] for d in diagnoses]
    both = np.asarray([[k * (p.acceptor.gains[-1] or -p.donor.gains[-1]) for p, k in row] for row in pressures])
    own = np.asarray([[k * p.oxygen.gains[-1] if p.oxygen else 0.0 for p, k in row] for row in pressures])
    pools = [f"{CARRIERS[p.carrier][0]}\n{p.compartment}" for p, _ in pressures[0]]
    most = max(1.0, float(np.abs([both, own]).max()))
    height = 1.6 + 0.32 * len(diagnoses)
    figure = Figure(figsize=(3.2 + 1.5 * len(pools), height), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    titles = "acceptor (red) or donor (blue)\nof electrons from outside", "oxidised by the\ncell's own oxygen"
    for axis, values, title in zip(axes, (both, own), titles, strict=True):
        image = axis.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
        axis.set_title(title, fontsize="medium")
        axis.set_xticks(range(len(pools)), pools, fontsize="small")
        axis.set_yticks(range(len(diagnoses)), [diagnosis.condition for diagnosis in diagnoses])
        for (row, column), value in np.ndenumerate(values) if values.size <= ANNOTATED else ():
            if abs(value) >= 1.0:
                shade = "white" if abs(value) > 0.6 * most else "black"
                axis.text(column, row, f"{value:.0f}", ha="center", va="center", color=shade, fontsize="small")
    label = "growth gained by 1 mmol/gDW/h\n(% of unperturbed growth; a donor's negative)"
    figure.colorbar(image, ax=axes, shrink=min(1.0, 5.0 / height), label=label)
    return Drawing("pressure", figure, "growth gained by outside redox reactions by condition and pool of electrons")


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
