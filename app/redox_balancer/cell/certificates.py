"""Proofs of the answers of a linear program, checked in extended precision against the network's own numbers.

    maximise  c v   subject to   S v = 0,  lower <= v <= upper

Multipliers y of the mass balances prove an answer whatever solver they come from, because y S v = 0 in every steady
state: an upper bound of the optimum (weak duality), or that there is no steady state within the bounds (Farkas 1902).
A term counts as 0 where it is round-off of the terms that it is the sum of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import Network
from redox_balancer.cell.solution import FarkasCertificate

Extended = NDArray[np.longdouble]
"""80-bit floating point on x86-64; where NumPy has none, the checks are as strict and succeed less often."""

ROUND_OFF = 1e-15
"""A sum this small relative to its terms is 0."""
MARGIN = 1e-12
"""Smallest violation, relative to the terms, that is no round-off of the model's own numbers."""
BALANCED = 1e-11
"""Largest imbalance of a metabolite, relative to its production and consumption."""
NOTHING = 1e-16
"""Largest imbalance of a metabolite, mmol/gDW/h, that counts as 0 whatever its turnover."""
GAP = 1e-8
"""Largest distance of an optimum from its upper bound, relative."""
NO_GAP = 1e-13
"""Largest absolute distance of an optimum from its upper bound."""


class Stoichiometry:
    """Products with the stoichiometric matrix S, and with |S|, in extended precision."""

    def __init__(self, network: Network) -> None:
        self.shape = len(network.metabolites), len(network.reactions)
        self._data, self._rows = network.data.astype(np.longdouble), network.indices
        self._columns = np.repeat(np.arange(self.shape[1]), np.diff(network.indptr))
        self._by_row = np.argsort(self._rows, kind="stable")
        self._row_starts = np.searchsorted(self._rows[self._by_row], np.arange(self.shape[0]))
        self._column_starts = network.indptr[:-1].astype(np.intp)

    def imbalance(self, v: Extended) -> Extended:
        """Return S v, shape (metabolites,)."""
        return _sums((self._data * v[self._columns])[self._by_row], self._row_starts)

    def turnover(self, v: Extended) -> Extended:
        """Return |S| |v|, shape (metabolites,)."""
        return _sums(np.abs(self._data * v[self._columns])[self._by_row], self._row_starts)

    def prices(self, y: Extended) -> Extended:
        """Return S' y, shape (reactions,)."""
        return _sums(self._data * y[self._rows], self._column_starts)

    def terms(self, y: Extended) -> Extended:
        """Return |S|' |y|, shape (reactions,)."""
        return _sums(np.abs(self._data * y[self._rows]), self._column_starts)


def imbalance(S: Stoichiometry, v: Extended, *, relative: float = BALANCED) -> float:
    """Return the largest imbalance of a metabolite, less `relative` times its turnover."""
    return float((np.abs(S.imbalance(v)) - relative * S.turnover(v)).max(initial=0.0))


def reduced_costs(S: Stoichiometry, costs: Extended, y: Extended) -> Extended:
    """Return c - S' y without round-off, shape (reactions,)."""
    difference: Extended = costs - S.prices(y)
    difference[np.abs(difference) <= ROUND_OFF * (np.abs(costs) + S.terms(y))] = 0
    return difference


def gap(v: Extended, lower: Extended, upper: Extended, reduced: Extended) -> float:
    """Return the largest amount by which reduced costs let the objective of other fluxes exceed that of these."""
    moved = reduced != 0
    room = np.where(reduced > 0, upper - v, v - lower)[moved]
    return float((np.abs(reduced[moved]) * room).sum())


def with_and_without_round_off(y: Extended) -> tuple[Extended, Extended]:
    """Return multipliers as they are, and without those that are left where the terms of one cancelled.

    Such a rest weighs fluxes that have no part in a proof, which is none where their bounds are infinite.
    """
    return y, np.where(np.abs(y) < NOTHING * np.abs(y).max(initial=0.0), 0, y)


def farkas_certificate(S: Stoichiometry, lower: Extended, upper: Extended, y: Extended) -> FarkasCertificate | None:
    """Return the proof of infeasibility that multipliers give, None where they give none."""
    for multipliers in with_and_without_round_off(y):
        weights = S.prices(multipliers)
        weights[np.abs(weights) <= ROUND_OFF * S.terms(multipliers)] = 0
        columns = np.flatnonzero(weights)
        for sign in (1, -1):
            chosen = sign * weights[columns]
            most = chosen * np.where(chosen > 0, upper[columns], lower[columns])
            if np.isfinite(most).all() and most.sum() < -MARGIN * np.abs(most).sum():
                return FarkasCertificate(columns.astype(np.int32), chosen.astype(np.float64))
    return None


def _sums(terms: Extended, starts: NDArray[np.intp]) -> Extended:
    """Sums of consecutive terms, each from one of `starts` to the next."""
    if not len(starts):
        return terms[:0]
    sums: Extended = np.add.reduceat(np.append(terms, np.longdouble(0)), starts)
    sums[np.append(starts[1:], len(terms)) == starts] = 0
    return sums
