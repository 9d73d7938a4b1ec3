"""What is not known of enzymes: sets of their figures, drawn within what is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from redox_balancer.cell.network import FloatArray
from redox_balancer.design.enzymes import Confidence, Figure
from redox_balancer.design.placement import Placement

SEED = 0
SPREADS = {Confidence.MEASURED: 1.2, Confidence.PROXY: 2.0, Confidence.ASSUMED: 3.0}
"""Geometric standard deviation of a kcat, a KM or a saturation by how sure it is (assumed). Subunit masses follow
from sequences, so what is not known of them is small beside this."""


def parameter_samples(placements: Sequence[Placement], sets: int, saturation: float) -> FloatArray:
    """By what the caps of each placement are multiplied in each of a number of sets of figures.

    Every kcat and KM is drawn from a log-normal distribution whose median is the library's figure, and so is the
    saturation of an enzyme without a KM, which cannot exceed 1. An enzyme has the same figures wherever it is
    placed, and its draws do not depend on what else is in the library.

    Parameters
    ----------
    placements
        What can be placed.
    sets
        How many sets; the first of them are the same whatever their number.
    saturation
        Share of kcat at which an enzyme without a known KM runs in the cell.

    Returns
    -------
    FloatArray
        Shape (sets, placements).
    """
    factors = np.ones((sets, len(placements)))
    for position, placement in enumerate(placements):
        enzyme, site = placement.enzyme, placement.site
        usual = enzyme.capacity(1.0, enzyme.saturation(site, saturation))
        for number in range(sets):
            generator = np.random.default_rng([SEED, number, *enzyme.id.encode()])
            drawn = enzyme.model_copy(
                update={"kcat_per_s": _drawn(enzyme.kcat_per_s, generator)}
                | ({} if enzyme.km_mm is None else {"km_mm": _drawn(enzyme.km_mm, generator)})
            )
            guess = min(1.0, saturation * _factor(Confidence.ASSUMED, generator))
            factors[number, position] = drawn.capacity(1.0, drawn.saturation(site, guess)) / usual
    return factors


def _drawn(figure: Figure, generator: np.random.Generator) -> Figure:
    return figure.model_copy(update={"value": figure.value * _factor(figure.confidence, generator)})


def _factor(confidence: Confidence, generator: np.random.Generator) -> float:
    return math.exp(math.log(SPREADS[confidence]) * generator.standard_normal())
