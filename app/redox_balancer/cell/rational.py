"""Networks for rational arithmetic: what a number means, and the null space of a matrix without a tolerance."""

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from heapq import heapify, heappop, heappush
from math import lcm
from typing import Any

import numpy as np

from redox_balancer.cell.network import FloatArray, Network

_SMALL = 10**6
_EXACT = 10**15


@lru_cache(maxsize=1 << 16)
def as_written(value: float) -> Fraction:
    """Return the number that a float stands for.

    This is the fraction with a denominator of at most a million that rounds to the float, such as 1/10 or 1/3, and
    where there is none the shortest decimal that does, which is how model files write it.
    """
    simple = Fraction(value).limit_denominator(_SMALL)
    return simple if float(simple) == value else Fraction(repr(float(value)))


def integer_network(network: Network) -> tuple[Network, float]:
    """Return a network with the same flux vectors in other units, whose floats are exact.

    A tenth is no binary fraction, so the floats 0.1 + 0.2 - 0.3 are not zero in rational arithmetic. Here each mass
    balance is multiplied by the common denominator of its coefficients, and all bounds by their common denominator.

    Returns the network, and the factor of all bounds and thereby of all fluxes. Where a common denominator has more
    than 15 digits, the numbers that need more keep their rounding error of 1e-16.
    """
    row_of, order = network.indices, np.argsort(network.indices, kind="stable")
    ends = np.cumsum(np.bincount(row_of, minlength=len(network.metabolites)))
    data = np.empty(len(network.data))
    for entries in np.split(order, ends[:-1]):
        data[entries] = _integers(network.data[entries])[0]
    finite = np.isfinite(network.lower), np.isfinite(network.upper)
    bounds, unit = _integers(np.concatenate([network.lower[finite[0]], network.upper[finite[1]]]))
    lower, upper = network.lower.copy(), network.upper.copy()
    lower[finite[0]], upper[finite[1]] = np.split(bounds, [np.sum(finite[0])])
    return replace(network, data=data, lower=lower, upper=upper), unit


def null_vector(A: Any, generator: np.random.Generator) -> list[Fraction]:
    """Return a random vector of the null space, shape (columns,), of a sparse array A whose floats are exact.

    Its free entries are random integers of 62 bits and the others follow by Gaussian elimination, which keeps the
    matrix sparse by the rule of Markowitz (1957, Management Science 3:255). An entry that is not zero in the whole
    null space is zero here with a probability of 2**-62.
    """
    matrix = A.tocoo()
    rows: list[dict[int, Fraction]] = [{} for _ in range(A.shape[0])]
    users: list[set[int]] = [set() for _ in range(A.shape[1])]
    for row, column, value in zip(matrix.row.tolist(), matrix.col.tolist(), matrix.data.tolist(), strict=True):
        rows[row][column] = Fraction(value)
        users[column].add(row)
    shortest = [(len(entries), row) for row, entries in enumerate(rows)]
    heapify(shortest)
    pivots: dict[int, int] = {}
    while shortest:
        size, row = heappop(shortest)
        entries = rows[row]
        if row in pivots or not entries or size != len(entries):
            continue
        pivot = pivots[row] = min(entries, key=lambda column: len(users[column]))
        for column in entries:
            users[column].discard(row)
        for other in tuple(users[pivot]):
            changed = rows[other]
            factor = changed[pivot] / entries[pivot]
            for column, value in entries.items():
                if total := changed.get(column, 0) - factor * value:
                    changed[column] = total
                    users[column].add(other)
                else:
                    changed.pop(column, None)
                    users[column].discard(other)
            heappush(shortest, (len(changed), other))
    vector = [Fraction(entry) for entry in generator.integers(1, 2**62, A.shape[1]).tolist()]
    for row, pivot in reversed(pivots.items()):
        known = (value * vector[column] for column, value in rows[row].items() if column != pivot)
        vector[pivot] = -sum(known, Fraction(0)) / rows[row][pivot]
    return vector


def _integers(values: FloatArray) -> tuple[FloatArray, float]:
    """Multiples of the values by a common factor that are integers, and the factor."""
    if np.all(values == np.rint(values)):
        return values, 1.0
    written = list(map(as_written, values.tolist()))
    common = 1
    for denominator in sorted({value.denominator for value in written}):
        wider = lcm(common, denominator)
        common = wider if wider <= _EXACT else common
    floats = [float(common * value) for value in written]
    # A power of two makes any float an integer without rounding.
    power = min(max(value.as_integer_ratio()[1] for value in floats), 2**500)
    return np.array(floats) * power, float(common * power)
