"""How a `RatioTable` is made.

The largest driving force of a reaction at given ratios, f* in docs/ratio.md, is the optimum of a linear program with
x = RT ln(ratio) on its right-hand side, and so concave and piecewise linear in x: the smallest of finitely many cuts
a + b x, each given by an optimal dual solution. All are found once (parametric programming: Gal and Nedoma 1972,
Management Science 18:406): where the smallest of the cuts found so far equals the optimum at each of its vertices, it
does everywhere.
"""

from collections.abc import Callable, Sequence

import numpy as np

from redox_balancer.cell.driving_force import DrivingForceLP, ratios_of
from redox_balancer.cell.energies import Thermodynamics
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.ratio_capacity import competition_of, needed_directions, span_of
from redox_balancer.cell.ratio_table import Ratio, RatioTable

TOLERANCE = 1e-6  # largest difference between a table and its linear programs, kJ/mol
INSIDE = 1e-7
"""Share of the way to a point inside that a vertex moves, so that round-off does not make a program infeasible."""

Optimum = Callable[[FloatArray], tuple[float, FloatArray] | None]
"""Optimum at a point, shape (D,), and a slope of it, shape (D,); None where there is none."""


def ratio_table(widest: Thermodynamics, ratios: Sequence[Ratio], growth: float, columns: Sequence[int]) -> RatioTable:
    """Compute the table of a cell, for D ratios and C columns.

    The network has each bound as wide as it ever is: what it needs is needed in every narrower cell as well, so that
    the table bounds growth from above in all of them. A state counts from `growth` on, 1/h.
    """
    network, thermal = widest.network, widest.thermal_energy
    needed = needed_directions(network, growth, np.flatnonzero(np.isfinite(widest.energies)).tolist())
    box = thermal * np.log(10.0) * np.array([span_of(widest, ratio) for ratio in ratios])
    with DrivingForceLP(widest, needed, ratios_of(network), columns) as lp:

        def at(find: Callable[[], float | None]) -> Optimum:
            def optimum(point: FloatArray) -> tuple[float, FloatArray] | None:
                for ratio, level in zip(ratios, (point / thermal).tolist(), strict=True):
                    lp.fix(ratio, float(np.exp(level)))
                found = find()
                return None if found is None else (found, lp.slopes(ratios))

            return optimum

        possible, inside = np.zeros((0, len(ratios) + 1)), box.mean(axis=1)
        if lp.reactions:
            possible, best = _envelope(at(lp.largest_margin), box, possible, inside)
            # The middle of the range may be far from where all needed reactions can run.
            shares = (share for share in (0.1, 1e-2, 1e-3, 1e-4) if _least(possible, best) > TOLERANCE)
            moved = (best + share * (inside - best) for share in shares)
            inside = next((point for point in moved if _least(possible, point) > 0.0), best)
        found = [np.zeros((1, len(ratios) + 1))] * (2 * len(columns))
        if _least(possible, inside) > 0.0:
            for place, (sign, column) in enumerate((sign, column) for sign in (-1.0, 1.0) for column in columns):
                if max(sign * network.lower[column], sign * network.upper[column]) > 0.0:
                    force = at(lambda column=column, sign=sign: lp.force(column, sign))  # type: ignore[misc]
                    found[place], _ = _envelope(force, box, possible, inside)
    quotients = np.zeros((len(columns), len(ratios)))
    for column, (ratio, quotient) in competition_of(network, tuple(ratios)).items():
        quotients[list(columns).index(column), list(ratios).index(ratio)] = quotient
    ends = np.cumsum([0, *map(len, found)])
    names = tuple(network.reactions[column] for column in columns)
    return RatioTable(names, _with_box(possible, box), np.vstack(found), ends[:-1], quotients, thermal)


def _envelope(
    optimum: Optimum, box: FloatArray, possible: FloatArray, inside: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """All cuts of a concave function in a box, where no row of `possible` is negative, and where it is largest."""
    from scipy.spatial import HalfspaceIntersection  # noqa: PLC0415 - an actor reads tables and makes none

    cuts = np.zeros((0, len(box) + 1))
    points = inside[None]
    while True:
        added = []
        for point in points + INSIDE * (inside - points):
            found = optimum(point)
            if found is not None and found[0] < _least(cuts, point) - TOLERANCE:
                added.append([*found[1], found[0] - found[1] @ point])
        if not added:
            return cuts, max(points, key=lambda point: _least(cuts, point))
        cuts = np.vstack([cuts, np.unique(np.round(added, 9), axis=0)])
        corners = np.abs(cuts[:, :-1]) @ np.abs(box).max(axis=1) + np.abs(cuts[:, -1])
        floor = -1.0 - float(corners.max())
        region = -_with_box(possible, box)
        below = np.hstack([region[:, :-1], np.zeros((len(region), 1)), region[:, -1:]])
        above = np.hstack([-cuts[:, :-1], np.ones((len(cuts), 1)), -cuts[:, -1:]])
        ground = np.append(np.zeros(len(box)), [-1.0, floor])
        start = np.append(inside, 0.5 * (floor + _least(cuts, inside)))
        vertices = HalfspaceIntersection(np.vstack([below, above, ground]), start).intersections
        points = vertices[np.isfinite(vertices).all(axis=1) & (vertices[:, -1] > floor + 0.5), :-1]


def _with_box(rows: FloatArray, box: FloatArray) -> FloatArray:
    unit = np.eye(len(box))
    return np.vstack([rows, np.hstack([unit, -box[:, :1]]), np.hstack([-unit, box[:, 1:]])])


def _least(rows: FloatArray, point: FloatArray) -> float:
    return float((rows[:, :-1] @ point + rows[:, -1]).min(initial=np.inf))
