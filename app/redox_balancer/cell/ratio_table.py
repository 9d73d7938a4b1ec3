"""`RatioTable`: shares that ratios of NAD+ to NADH leave of the capacities of a cell, known without a solve."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from redox_balancer.cell.network import FloatArray, IntArray


class Ratio(NamedTuple):
    """A ratio of two concentrations, such as [NAD+]/[NADH] of the cytosol, by metabolite id."""

    numerator: str
    denominator: str

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"


@dataclass(frozen=True, eq=False)
class RatioTable:
    """Shares of capacities at D ratios, all others free.

    `possible` are rows over (x, 1): where one is negative not all needed reactions can run. `cuts` are those of the
    driving forces backward and forward of each reaction over (x, 1).
    """

    reactions: tuple[str, ...]  # the C reactions whose capacity depends on a ratio
    possible: FloatArray  # shape (K, D + 1)
    cuts: FloatArray  # shape (N, D + 1), kJ/mol
    starts: IntArray  # where those of each force begin, shape (2 C,)
    competition: FloatArray  # K / Ki of the saturation of each reaction by each ratio, shape (C, D); 0 for none
    thermal_energy: float  # RT, kJ/mol

    @property
    def span(self) -> tuple[float, float] | None:
        """Ends of the one ratio where a state can grow, as decimal logarithms; None where there are none."""
        slopes, constants = self.possible.T * np.array([[self.thermal_energy * np.log(10.0)], [1.0]])
        flat, rising, falling = slopes == 0.0, slopes > 0.0, slopes < 0.0
        low, high = (-constants[rising] / slopes[rising]).max(), (-constants[falling] / slopes[falling]).min()
        return (float(low), float(high)) if low < high and (constants[flat] >= 0.0).all() else None

    def shares(self, ratios: FloatArray | float) -> FloatArray:
        """Shares of the capacities backward and forward at D ratios, shape (2, C); all 0 where none can grow."""
        point = np.append(self.thermal_energy * np.log(ratios), 1.0)
        if (self.possible.dot(point) < 0.0).any():
            return np.zeros((2, len(self.reactions)))
        forces = np.minimum.reduceat(self.cuts.dot(point), self.starts)
        shares: FloatArray = -np.expm1(np.maximum(forces, 0.0) / -self.thermal_energy).reshape(2, -1)
        shares[1] /= 1.0 + self.competition.dot(np.atleast_1d(1.0 / ratios))
        return shares
