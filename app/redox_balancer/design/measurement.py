"""What a measurement of a cell under a hidden condition shows, its error and its cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Measurement:
    """Growth and capacity measured after each placement.

    `noise` is the standard deviation of the Gaussian error of both, of growth relative to healthy growth and of
    capacity in healthy respirations; 0 for exact measurements, which draw no random number.
    """

    noise: float = 0.0
    cost: float = 0.0  # deducted from the value for each measurement

    @property
    def of_sample(self) -> bool:
        """Whether the cell that is measured has the parameter sample that it is valued by.

        Measurements that are exact and free are those of a cell with the parameters of the library.
        """
        return self.noise > 0 or self.cost > 0

    def take(self, exact: Sequence[float], generator: np.random.Generator) -> Sequence[float]:
        """Measure what is exactly `exact`: growth and capacity, both relative."""
        return exact if not self.noise else [x + self.noise * generator.standard_normal() for x in exact]


EXACT = Measurement()
