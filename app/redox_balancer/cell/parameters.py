"""Parameters of a linear program: the bounds that change, and how its bases depend on them.

A point of the parameter space is written (u, 1): the value of each parameter and a constant 1. A quantity that is
linear in the parameters is a row over (u, 1), shape (P + 1,) for P parameters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.solution import FarkasCertificate, ReducedCosts, Tableau

TOLERANCE = 1e-9
"""Largest violation of a bound by a flux, and of its range by a parameter, mmol/gDW/h; GLPK allows 1e-7."""
RELATIVE = 1e-11  # largest violation of a row relative to its terms
PAIRS = 4_096  # rows that are compared with another one at a time, for the memory that it takes


class Parameter(NamedTuple):
    """A bound that changes, the upper or else the lower one of a column, and the range of its values, mmol/gDW/h."""

    column: int
    upper: bool
    low: float
    high: float


class ParametricBounds:
    """Bounds of a network as functions of P parameters, and the optima that a basis of its LP gives elsewhere.

    `columns` are the C columns with a bound that changes, ascending, and `lower` and `upper`, each of shape (C,), the
    network's own bounds of these, mmol/gDW/h.
    """

    def __init__(self, network: Network, parameters: Sequence[Parameter], noise: float) -> None:
        self._noise = noise
        self.columns = sorted({parameter.column for parameter in parameters})
        self.lower, self.upper = network.lower[self.columns], network.upper[self.columns]
        # Position of each column in `columns`, -1 for the others and, last, for a mass balance.
        self._place = np.full(len(network.reactions) + 1, -1)
        self._place[self.columns] = np.arange(len(self.columns))
        self._low = np.asarray([parameter.low for parameter in parameters])
        self._high = np.asarray([parameter.high for parameter in parameters])
        slack = self._noise + np.finfo(np.float64).tiny  # which keeps -0.0 within a range that ends at 0
        self._least = self._low - RELATIVE * np.abs(self._low) - slack
        self._most = self._high + RELATIVE * np.abs(self._high) + slack
        self._near = np.where(self._high <= 0.0, self._high, self._low)
        # Sign of each of (u, 1) where it has only one.
        self._signs = np.append(np.where(self._low >= 0.0, 1.0, np.where(self._high <= 0.0, -1.0, 0.0)), 1.0)
        # Position in (u, 1) of the bounds of each of `columns`; -1 for a bound that is fixed.
        self._upper_at = np.full(len(self.columns), -1)
        self._lower_at = np.full(len(self.columns), -1)
        for index, parameter in enumerate(parameters):
            (self._upper_at if parameter.upper else self._lower_at)[self._place[parameter.column]] = index
        self._lower_moves, self._upper_moves = (np.flatnonzero(at >= 0) for at in (self._lower_at, self._upper_at))
        # Fixed bounds of all columns and, last, of a mass balance; positions of the bounds of `columns`, and -1.
        self._sides = [
            (sign, np.append(bounds, 0.0), np.append(at, -1))
            for sign, bounds, at in ((1.0, network.upper, self._upper_at), (-1.0, network.lower, self._lower_at))
        ]

    def copy_checked(self, u: FloatArray, into: FloatArray) -> None:
        """Copy the values of the parameters at a point, shape (P,), or N points, shape (N, P).

        A ValueError if one is NaN or outside of its range.
        """
        # On the path of every lookup: clipping into the copy and comparing the bytes takes half the time of copying
        # and comparing with both ends. `fmax` replaces a NaN, so that it differs as well.
        np.fmax(u, self._least, into)
        np.fmin(into, self._most, into)
        if into.tobytes() == u.tobytes():
            return
        outside = np.flatnonzero(~((u >= self._least) & (u <= self._most)))
        if len(outside):
            index, value = int(outside[0]) % len(self._low), u.ravel()[outside[0]]
            raise ValueError(
                f"parameter {index} is {value:g}, outside the range {self._low[index]:g} to {self._high[index]:g}"
            )

    def at(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the lower and upper bounds of `columns` at a point (u, 1), each of shape (C,)."""
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[self._lower_moves] = point[self._lower_at[self._lower_moves]]
        upper[self._upper_moves] = point[self._upper_at[self._upper_moves]]
        return lower, upper

    def critical_region(
        self, tableau: Tableau, objective: float, point: FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return the optimum of a basis as a row `cut`, and the points where the basis stays optimal as `rows`.

        The optimum is `cut` (u, 1) wherever `rows` (u, 1) <= 0; shapes (P + 1,) and (R, P + 1). `tableau` is the
        vertex as a function of `columns`, and `objective` its optimum at `point` (u, 1), where it was found. None
        where it is not optimal even there.
        """
        cut = self.cut(tableau.at, objective, point)
        rests_at, moving, fixed, fixed_bounds = self._held(tableau.at)
        variables, vertex = tableau.responding(self.columns)
        at_vertex, sides = np.zeros((len(vertex), len(point))), []
        at_vertex[:, rests_at[moving]] = vertex[:, :-1][:, moving]
        at_vertex[:, -1] = vertex[:, -1] + vertex[:, :-1][:, fixed].dot(fixed_bounds)
        variables = np.minimum(variables, len(self._place) - 1)
        for sign, bounds, bound_at in self._sides:
            moves_at, held = bound_at[self._place[variables]], bounds[variables]
            limited = ((moves_at >= 0) | np.isfinite(held)).nonzero()[0]
            side, moves_at, held = at_vertex[limited], moves_at[limited], held[limited]
            moves = moves_at >= 0
            side[moves, moves_at[moves]] -= 1.0
            side[:, -1] -= np.where(moves, 0.0, held)
            sides.append(sign * side)
        rows = np.vstack(sides)
        relaxed = self._relaxed(rows)
        relaxed[:, -1] -= self._noise
        if not (relaxed.dot(point) <= 0.0).all():
            return None
        return cut, np.ascontiguousarray(
            relaxed[self._irredundant(rows, relaxed, exact=tableau.at.constant is not None)]
        )

    def cut(self, at: ReducedCosts, objective: float, point: FloatArray) -> FloatArray:
        """Return the optimum of a basis as a row over (u, 1), an upper bound everywhere; see `critical_region`."""
        rests_at, moving, fixed, fixed_bounds = self._held(at)
        cut = np.zeros(len(point))
        cut[rests_at[moving]], cut[-1] = at.costs[moving], at.costs[fixed].dot(fixed_bounds)
        if at.constant is None:
            cut[-1] = objective - cut[:-1].dot(point[:-1])
        else:
            cut[-1] += at.constant
        return cut

    def _held(self, at: ReducedCosts) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_], FloatArray]:
        """Parameter that holds each column, whether one or a fixed bound does, and the values of fixed bounds."""
        rests_at = np.where(at.at_upper, self._upper_at, self._lower_at)
        fixed = at.rest & (rests_at < 0)
        return rests_at, at.rest & (rests_at >= 0), fixed, np.where(at.at_upper, self.upper, self.lower)[fixed]

    def infeasibility_row(self, certificate: FarkasCertificate, width: int) -> FloatArray:
        """Return what a Farkas certificate's sum of fluxes lacks to be 0, at least, as a row of `width` over (u, 1).

        The problem is infeasible at every point where the row is positive (Farkas 1902).
        """
        row = np.zeros(width)
        for sign, bounds, bound_at in self._sides:
            chosen = sign * certificate.weights > 0
            columns, weights = certificate.columns[chosen], certificate.weights[chosen]
            moves_at = bound_at[self._place[columns]]
            np.add.at(row, moves_at, -weights * np.where(moves_at >= 0, 1.0, bounds[columns]))
        return self._relaxed(row)

    def _relaxed(self, rows: FloatArray) -> FloatArray:
        """Rows less `RELATIVE` times the sum of the sizes of their terms at a point (u, 1)."""
        relaxed: FloatArray = rows - RELATIVE * np.abs(rows) * self._signs
        return relaxed

    def _irredundant(self, rows: FloatArray, relaxed: FloatArray, *, exact: bool) -> NDArray[np.intp]:
        """Rows of which some point within the ranges violates the relaxed form and that no other row implies."""
        # From one end of each range, the largest value of a row over the ranges is the sum of its positive changes.
        origin = self._near if exact else self._low
        width, origin = self._low + self._high - 2.0 * origin, np.append(origin, 1.0)
        most = np.maximum(relaxed[:, :-1] * width, 0.0).sum(axis=1) + relaxed.dot(origin)
        places = (most > 0.0).nonzero()[0]
        rows = rows[places]
        varies = rows[:, :-1].any(axis=1)
        places, rows = places[varies], rows[varies]
        used = rows[:, :-1].any(axis=0)
        slopes, constants = rows[:, :-1][:, used] * width[used], rows.dot(origin)
        scale = np.abs(slopes).max(axis=1, initial=1e-300)
        slopes, constants = (
            _without_last_digits(a, exact=exact) for a in (slopes / scale[:, None], constants / scale)
        )
        slopes = np.ascontiguousarray(slopes.T)
        # A row that is nowhere larger than another one follows from it. Then it is no larger in two corners of the
        # ranges, nor is the least or the most of it, which leaves a quarter of the pairs to be compared.
        total, rises = slopes.sum(axis=0), np.maximum(slopes, 0.0).sum(axis=0)
        ends = np.array([constants, constants + total, constants + rises, constants + total - rises]).round(9)
        follows = np.logical_and.reduce(ends[:, :, None] <= ends[:, None, :], axis=0)
        follows.ravel()[:: len(places) + 1] = False
        row, other = np.divmod(np.flatnonzero(follows), max(1, len(places)))
        for start in range(0, len(row), PAIRS):
            i, j = row[start : start + PAIRS], other[start : start + PAIRS]
            above = slopes.take(i, axis=1)
            above -= slopes.take(j, axis=1)
            follows[i, j] = np.maximum(above, 0.0, out=above).sum(axis=0) <= constants[j] - constants[i]
        order = np.arange(len(places))
        follows &= ~(follows.T & (order[:, None] <= order))  # of equal rows the first is kept
        kept: NDArray[np.intp] = places[~follows.any(axis=1)]
        return kept


def _without_last_digits(values: FloatArray, *, exact: bool) -> FloatArray:
    if not exact:
        return values.round(12)
    fraction, exponent = np.frexp(values)
    return np.ldexp(fraction.round(12), exponent)
