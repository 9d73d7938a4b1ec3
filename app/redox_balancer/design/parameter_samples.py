"""Samples of the uncertain enzyme parameters, drawn according to their confidence."""

import math
from collections.abc import Sequence

import numpy as np

from redox_balancer.cell.network import FloatArray
from redox_balancer.design.enzymes import Confidence, EnzymeParameter
from redox_balancer.design.placement import Placement

SEED = 0
SPREADS = {Confidence.MEASURED: 1.2, Confidence.PROXY: 2.0, Confidence.ASSUMED: 3.0}
"""Geometric standard deviation of a kcat, a KM or a saturation by confidence (assumed). Subunit masses follow from
sequences, so their uncertainty is small by comparison."""


def parameter_samples(placements: Sequence[Placement], samples: int, saturation: float) -> FloatArray:
    """Factors of the enzyme capacities of each placement in each parameter sample, shape (samples, placements).

    Every kcat and KM is drawn from a log-normal distribution whose median is the value of the library, and so is the
    saturation of an enzyme without a KM, which cannot exceed 1. An enzyme has the same parameters wherever it is
    placed, and its draws depend neither on the rest of the library nor on the number of samples.
    """
    factors = np.ones((samples, len(placements)))
    for position, placement in enumerate(placements):
        enzyme, concentration = placement.enzyme, placement.cofactor_mm
        usual = enzyme.capacity(1.0, enzyme.saturation(concentration, saturation))
        for sample in range(samples):
            generator = np.random.default_rng([SEED, sample, *enzyme.id.encode()])
            drawn = enzyme.model_copy(
                update={"kcat_per_s": _drawn(enzyme.kcat_per_s, generator)}
                | ({} if enzyme.km_mm is None else {"km_mm": _drawn(enzyme.km_mm, generator)})
            )
            guess = min(1.0, saturation * _factor(Confidence.ASSUMED, generator))
            factors[sample, position] = drawn.capacity(1.0, drawn.saturation(concentration, guess)) / usual
    return factors


def _drawn(parameter: EnzymeParameter, generator: np.random.Generator) -> EnzymeParameter:
    return parameter.model_copy(update={"value": parameter.value * _factor(parameter.confidence, generator)})


def _factor(confidence: Confidence, generator: np.random.Generator) -> float:
    return math.exp(math.log(SPREADS[confidence]) * generator.standard_normal())
