"""The redox pressure of a cell under several conditions as a heat map."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from redox_balancer.design.diagnosis import CARRIERS, Diagnosis
from redox_balancer.drawing import Drawing

ANNOTATED = 400
"""Number of cells up to which each has its figure."""


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
