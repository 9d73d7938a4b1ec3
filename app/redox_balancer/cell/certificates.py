"""Proofs of the answers of a linear program, checked against the network's own numbers.

    maximise  c v   subject to   S v = 0,  lower <= v <= upper

Multipliers y of the mass balances prove an answer whatever solver they come from, because y S v = 0 in every steady
state: an upper bound of the optimum (weak duality), or that there is no steady state within the bounds (Farkas 1902).
A term counts as 0 where it is round-off of the terms that it is the sum of.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import Network
from redox_balancer.cell.solution import FarkasCertificate

Extended = NDArray[np.floating[Any]]
"""Double precision or 80-bit (x86-64); where NumPy has no more than double, the checks are as strict and succeed less
often."""

ROUND_OFF = 1e-15  # a sum this small relative to its terms is 0
MARGIN = 1e-12  # smallest violation, relative to the terms, that is no round-off of the model's own numbers
BALANCED = 1e-11  # largest imbalance of a metabolite, relative to its production and consumption
NOTHING = 1e-16  # largest imbalance of a metabolite, mmol/gDW/h, that counts as 0 whatever its turnover
GAP = 1e-8  # largest distance of an optimum from its upper bound, relative
NO_GAP = 1e-13  # largest absolute distance of an optimum from its upper bound


class Stoichiometry:
    """Products with the stoichiometric matrix S, and with |S|, in extended precision or in that of `kind`."""

    def __init__(self, network: Network, kind: type[np.floating[Any]] = np.longdouble) -> None:
        self.shape, self.kind = (len(network.metabolites), len(network.reactions)), kind
        data, rows, columns = network.data.astype(kind), network.indices, network.column_of
        by_row = np.argsort(rows, kind="stable")
        self._by_row = SparseProduct(data[by_row], columns[by_row], rows[by_row], self.shape[0])
        self._by_column = SparseProduct(data, rows, columns, self.shape[1])

    def imbalance(self, v: Extended) -> Extended:
        """Return S v, shape (metabolites,)."""
        return self._by_row.of(v)

    def turnover(self) -> Extended:
        """Return |S| |v| of the last v that `imbalance` was given, shape (metabolites,)."""
        return self._by_row.absolute()

    def prices(self, y: Extended) -> Extended:
        """Return S' y, shape (reactions,)."""
        return self._by_column.of(y)

    def terms(self) -> Extended:
        """Return |S|' |y| of the last y that `prices` was given, shape (reactions,)."""
        return self._by_column.absolute()


class SparseProduct:
    """Product of a sparse matrix with a vector: sums over the entries of each row.

    `data` are the entries, in the order of their rows `groups`, and `chosen` is the element of the vector that each
    is multiplied with. The terms keep their place in memory: as a new array each time they would cost twice as much.
    """

    def __init__(self, data: Extended, chosen: NDArray[Any], groups: NDArray[Any], size: int) -> None:
        self._data, self._chosen, self._terms = data, chosen, np.empty_like(data)
        starts = np.searchsorted(groups, np.arange(size + 1))
        self._filled = np.flatnonzero(np.diff(starts))
        self._starts, self._size = starts[self._filled], size

    def of(self, vector: Extended) -> Extended:
        """The product with a vector."""
        np.take(vector, self._chosen, out=self._terms, mode="clip")  # without a mode it is buffered
        np.multiply(self._terms, self._data, out=self._terms)
        return self._sums()

    def absolute(self) -> Extended:
        """The product of the absolute values of the matrix and of the last vector."""
        np.abs(self._terms, out=self._terms)
        return self._sums()

    def _sums(self) -> Extended:
        sums = np.zeros(self._size, dtype=self._terms.dtype)
        if len(self._filled):
            sums[self._filled] = np.add.reduceat(self._terms, self._starts)
        return sums


def imbalance(S: Stoichiometry, v: Extended, *, relative: float = BALANCED) -> float:
    """Return the largest imbalance of a metabolite, less `relative` times its turnover."""
    left = np.abs(S.imbalance(v))
    if left.max(initial=0.0) <= NOTHING:
        return 0.0
    return float((left - relative * S.turnover()).max(initial=0.0))


def reduced_costs(S: Stoichiometry, costs: Extended, y: Extended) -> Extended:
    """Return c - S' y without round-off, shape (reactions,)."""
    difference: Extended = costs - S.prices(y)
    difference[np.abs(difference) <= ROUND_OFF * (np.abs(costs) + S.terms())] = 0
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
        weights[np.abs(weights) <= ROUND_OFF * S.terms()] = 0
        columns = np.flatnonzero(weights)
        for sign in (1, -1):
            chosen = sign * weights[columns]
            most = chosen * np.where(chosen > 0, upper[columns], lower[columns])
            if np.isfinite(most).all() and most.sum() < -MARGIN * np.abs(most).sum():
                return FarkasCertificate(columns.astype(np.int32), chosen.astype(np.float64))
    return None
