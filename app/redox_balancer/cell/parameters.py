"""Parameters of a linear program: the bounds that change, and how its bases depend on them.

A point of the parameter space is written (u, 1): the value of each parameter and a constant 1. A quantity that is
linear in the parameters is a row over (u, 1), shape (P + 1,) for P parameters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray, IntArray, Network
from redox_balancer.cell.solution import FarkasCertificate, Tableau

TOLERANCE = 1e-9
"""Largest violation of a bound by a flux, and of its range by a parameter, mmol/gDW/h; GLPK allows 1e-7."""
ROUND_OFF = 1e-10
"""A reduced cost or a response below this is round-off of the factorisation."""


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

    def __init__(self, network: Network, parameters: Sequence[Parameter]) -> None:
        self._network = network
        self.columns = sorted({parameter.column for parameter in parameters})
        self.lower, self.upper = network.lower[self.columns], network.upper[self.columns]
        # Position of each column in `columns`, -1 for the others and, last, for a mass balance.
        self._place = np.full(len(network.reactions) + 1, -1)
        self._place[self.columns] = np.arange(len(self.columns))
        self._low = np.asarray([parameter.low for parameter in parameters])
        self._high = np.asarray([parameter.high for parameter in parameters])
        self._least, self._most = self._low - TOLERANCE, self._high + TOLERANCE
        # Position in (u, 1) of the bounds of each of `columns`; -1 for a bound that is fixed.
        self._upper_at = np.full(len(self.columns), -1)
        self._lower_at = np.full(len(self.columns), -1)
        for index, parameter in enumerate(parameters):
            (self._upper_at if parameter.upper else self._lower_at)[self._place[parameter.column]] = index

    def copy_checked(self, u: FloatArray, into: FloatArray) -> None:
        """Copy the values of the parameters, shape (P,); a ValueError if one is NaN or outside of its range."""
        # On the path of every lookup: clipping into the copy and comparing the bytes takes half the time of copying
        # and comparing with both ends. `fmax` replaces a NaN, so that it differs as well.
        np.fmax(u, self._least, into)
        np.fmin(into, self._most, into)
        if into.tobytes() == u.tobytes():
            return
        outside = np.flatnonzero(~((u >= self._least) & (u <= self._most)))
        if len(outside):
            index = int(outside[0])
            raise ValueError(
                f"parameter {index} is {u[index]:g}, outside the range {self._low[index]:g} to {self._high[index]:g}"
            )

    def at(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the lower and upper bounds of `columns` at a point (u, 1), each of shape (C,)."""
        lower = np.where(self._lower_at < 0, self.lower, point[self._lower_at])
        upper = np.where(self._upper_at < 0, self.upper, point[self._upper_at])
        return lower, upper

    def critical_region(
        self, tableau: Tableau, objective: float, point: FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return the optimum of a basis as a row `cut`, and the points where the basis stays optimal as `rows`.

        The optimum is `cut` (u, 1) wherever `rows` (u, 1) <= 0; shapes (P + 1,) and (R, P + 1). `tableau` is the
        response of the basis to `columns`, and `objective` its optimum at `point` (u, 1), where it was found. None
        where it is not optimal within `TOLERANCE` even there.
        """
        slopes = np.where(np.abs(tableau.reduced_costs) < ROUND_OFF, 0.0, tableau.reduced_costs)
        # Position in (u, 1) of the bound at which each column is nonbasic; -1 if that bound is fixed or it is basic.
        rests_at = np.where(tableau.at_upper, self._upper_at, self._lower_at)
        places = self._place[tableau.basic]
        rests_at[places[places >= 0]] = -1
        moving = (rests_at >= 0).nonzero()[0]
        cut = np.zeros(len(point))
        cut[rests_at[moving]] = slopes[moving]
        cut[-1] = objective - cut[:-1].dot(point[:-1])
        rows = self._bound_rows(tableau.basic, tableau.fluxes, tableau.response[:, moving], rests_at[moving], point)
        if not (rows.dot(point) <= TOLERANCE).all():
            return None
        return cut, self._irredundant(rows)

    def infeasibility_row(self, certificate: FarkasCertificate, width: int) -> FloatArray:
        """Return what a Farkas certificate's sum of fluxes lacks to be 0, at least, as a row of `width` over (u, 1).

        The problem is infeasible at every point where the row is positive (Farkas 1902).
        """
        row = np.zeros(width)
        at_upper = certificate.weights > 0
        for upper, chosen in ((True, at_upper), (False, ~at_upper)):
            self._add_bounds(row, certificate.columns[chosen], -certificate.weights[chosen], upper=upper)
        return row

    def _bound_rows(
        self,
        basic: IntArray,
        fluxes: FloatArray,
        response: FloatArray,
        at: NDArray[np.intp],
        point: FloatArray,
    ) -> FloatArray:
        """Bounds of basic fluxes as rows of `rows` (u, 1) <= 0."""
        flux = np.zeros((len(basic), len(point)))
        flux[:, at] = np.where(np.abs(response) < ROUND_OFF, 0.0, response)
        flux[:, -1] = fluxes - flux[:, :-1].dot(point[:-1])
        above, below = flux.copy(), -flux
        for side, bound_at, bound, sign in (
            (above, self._upper_at, self._network.upper, -1.0),
            (below, self._lower_at, self._network.lower, 1.0),
        ):
            moves_at = np.append(bound_at, -1)[self._place[basic]]
            moves = moves_at >= 0
            side[moves, moves_at[moves]] += sign
            side[~moves, -1] += sign * np.where(basic >= 0, bound[basic], 0.0)[~moves]
        return np.vstack([above, below])

    def _add_bounds(self, row: FloatArray, columns: IntArray, weights: FloatArray, *, upper: bool) -> None:
        """Add the weighted sum of one bound of each column to a row over (u, 1)."""
        bound, bound_at = (self._network.upper, self._upper_at) if upper else (self._network.lower, self._lower_at)
        moves_at = np.append(bound_at, -1)[self._place[columns]]
        np.add.at(row, moves_at, weights * np.where(moves_at >= 0, 1.0, bound[columns]))

    def _irredundant(self, rows: FloatArray) -> FloatArray:
        """Rows that some point within the ranges violates and that no other row implies."""
        # On ranges scaled to 0..1 the largest value of a row is the sum of its positive slopes and its constant.
        constants = rows[:, -1] + rows[:, :-1].dot(self._low)
        slopes = rows[:, :-1] * (self._high - self._low)
        violable = (np.maximum(slopes, 0.0).sum(axis=1) + constants > TOLERANCE) & (slopes != 0.0).any(axis=1)
        rows, slopes, constants = rows[violable], slopes[violable], constants[violable]
        if not len(rows):
            return rows
        scale = np.abs(slopes).max(axis=1)
        slopes, constants = (slopes / scale[:, None]).round(12), (constants / scale).round(12)
        needed = np.ones(len(rows), dtype=np.bool_)
        for row in range(len(rows)):
            if needed[row]:
                # A row that is nowhere larger than this one follows from it.
                above = slopes - slopes[row]
                follows = np.maximum(above, 0.0, out=above).sum(axis=1) <= constants[row] - constants
                follows[row] = False
                needed[follows] = False
        kept: FloatArray = np.ascontiguousarray(rows[needed])
        return kept
