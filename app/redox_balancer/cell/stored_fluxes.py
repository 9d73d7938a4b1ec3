"""`StoredFluxes`: fluxes of earlier optima, which prove optima where no critical region does.

Fluxes within all bounds at a point u give the optimum a lower bound there, c v; a cut gives an upper one
(`cell.regions`). Where both agree, the optimum is known without a solve (weak duality). The fluxes of one optimum
stay within the bounds at many points with another optimal basis: where an enzyme that they do not use is put in or
out, and where a limit moves that they do not reach. Genome-scale networks have another basis at nearly every such
point.
"""

import numpy as np

from redox_balancer.cell.network import FloatArray

LIMIT = 4_096
"""Fluxes that are kept; the oldest are dropped. 1.8 MB on a core with 54 columns whose bounds change."""


class StoredFluxes:
    """Fluxes of the columns whose bounds change, mmol/gDW/h, and their optimum; all others are within bounds."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self.clear()

    def clear(self) -> None:
        """Drop everything."""
        self._fluxes, self._optima = np.empty((0, self._columns)), np.empty(0)
        self._count = 0

    def add(self, fluxes: FloatArray, optimum: float) -> None:
        """Store the fluxes of the columns, shape (C,), at a proven optimum."""
        if self._count == len(self._optima) < LIMIT:
            more = max(64, len(self._optima))
            self._fluxes = np.vstack([self._fluxes, np.full((more, self._columns), np.nan)])
            self._optima = np.append(self._optima, np.full(more, -np.inf))
        place = self._count % LIMIT
        self._fluxes[place], self._optima[place] = fluxes, optimum
        self._count += 1

    def reaching(self, bound: float, noise: float, lower: FloatArray, upper: FloatArray) -> int | None:
        """Return the place of fluxes within bounds, shape (C,) each, whose optimum is `bound` but for noise, if any.

        Fluxes with more than an upper bound would show that it is none: a solve is to decide.
        """
        possible = (np.abs(self._optima - bound) <= noise).nonzero()[0]
        if not len(possible):
            return None
        fluxes = self._fluxes.take(possible, axis=0)
        within = possible[np.logical_and.reduce((fluxes >= lower) & (fluxes <= upper), axis=1)]
        return int(within[0]) if len(within) else None

    def remove(self, place: int) -> None:
        """Drop fluxes."""
        self._optima[place] = -np.inf
