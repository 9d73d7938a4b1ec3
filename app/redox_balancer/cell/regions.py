"""`ParametricLP`: a linear program whose right-hand side is all that changes, answered mostly without a solve.

    f(u) = maximum of c v   subject to   S v = 0,  lower(u) <= v <= upper(u)

where u holds the few bounds that ever change. The basis of an optimum at one u tells about all others
(multi-parametric programming: Gal & Nedoma 1972, Management Science 18:406; Borrelli et al. 2003, J. Optim. Theory
Appl. 118:515):

- Its reduced costs are dual feasible whatever u is. So the *cut* a + g u, with a the part of fixed bounds, is never
  below f(u).
- It stays optimal as long as its basic fluxes, linear in u, keep their own bounds: there, in its *critical region*,
  f(u) = a + g u.

f is concave: only the lowest cut can be f(u), and it is as soon as u lies in one of its regions. A look-up is
therefore one small matrix product that finds the lowest cut and one for each region of that cut that may hold u. Many
bases share a cut, because a metabolic network reaches one optimum by many ways.

Where there is no solution the dual simplex ends with a proof: a basic flux that stays out of its bounds even if all
others help it as far as their bounds let them. That is a row linear in u, too (Farkas 1902), and answers for every u
that it holds for.

GLPK solves what is left, and what it ends with is the next region or proof. A sample of the look-ups is solved as
well; where the two differ, what answered is dropped and counted as a disagreement.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.lp import FluxLP, Solution, Status
from redox_balancer.cell.network import FloatArray, IntArray, Network

logger = logging.getLogger(__name__)

REGION_BYTES = 8_000_000
"""Memory that the regions of one program may take. On the embedded core twice as much saves two solves in five and
gains no speed, for more regions are searched; the core of Recon3D fills half of it in 300,000 steps."""
CHECK_EVERY = 4_000
"""One look-up of so many is solved as well."""
AGREEMENT = 1e-8
"""Largest difference, absolute and relative, between a look-up and a solve."""
TOLERANCE = 1e-9
"""How far a basic flux may leave its bounds, mmol/gDW/h: GLPK allows 1e-7."""
NOTHING = 1e-10
"""A reduced cost or a response below this is round-off of the factorisation."""
IMPOSSIBLE = 1e-6
"""How far out of its bounds a flux must stay to prove that there is no solution, mmol/gDW/h."""
PROOFS = 1_000
"""Proofs remembered; the oldest go."""
LARGE = 1_000
"""From so many reactions on the primal simplex is the faster one from the basis of a point long ago."""
PATIENCE = 16
"""Once the memory is full a region is made of one miss in so many: most would go before they answer anything."""
KEPT = 0.75
"""Share of its memory that stays in use when the regions longest not used go."""


class Parameter(NamedTuple):
    """A bound that changes, and the range it changes in, mmol/gDW/h."""

    column: int
    upper: bool
    low: float
    high: float


class _Region:
    """Where one basis is optimal: `rows` (u, 1)[at] <= 0, with the coordinates that no row needs left out.

    `used` is when it last answered.
    """

    __slots__ = ("at", "rows", "used")

    def __init__(self, rows: FloatArray, used: int) -> None:
        self.at = np.flatnonzero((rows != 0.0).any(axis=0))
        self.rows: FloatArray = np.ascontiguousarray(rows[:, self.at])
        self.used = used

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.rows.nbytes + self.at.nbytes


@dataclass(eq=False, slots=True)
class _Cut:
    """An upper bound of the optimum and the regions in which it is the optimum.

    `witnesses` holds one row of each region, the one that u broke most when the region was last tried in vain: most
    regions that do not hold u fall by that row alone.
    """

    regions: list[_Region] = field(default_factory=list)
    witnesses: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

    def add(self, region: _Region, width: int) -> None:
        self.regions.append(region)
        first = np.zeros((1, width))
        if len(region.rows):
            first[0, region.at] = region.rows[0]
        self.witnesses = np.vstack([self.witnesses.reshape(-1, width), first])

    def keep(self, regions: list[_Region]) -> None:
        chosen = [region in regions for region in self.regions]
        self.regions = list(itertools.compress(self.regions, chosen))
        self.witnesses = self.witnesses[chosen]

    def find(self, point: FloatArray) -> _Region | None:
        """Region that holds a point (u, 1), if there is one."""
        place: int
        for place in (self.witnesses.dot(point) <= TOLERANCE).nonzero()[0].tolist():
            region = self.regions[place]
            if not len(region.rows):
                return region
            broken = region.rows.dot(point.take(region.at))
            worst = broken.argmax()
            if broken[worst] <= TOLERANCE:
                return region
            self.witnesses[place] = 0.0
            self.witnesses[place, region.at] = region.rows[worst]
        return None


class _Found(NamedTuple):
    value: float
    cut: _Cut
    region: _Region


class ParametricLP:
    """A `FluxLP` of which only the bounds in `parameters` ever change.

    Parameters
    ----------
    network
        Stoichiometry and the bounds that stay.
    objective
        Weight of each column that has one.
    parameters
        The bounds that change; a point u gives a value for each, within its range.
    region_bytes
        Memory for regions; when it is full those longest not used go. With 0 every point is solved.
    check_every
        One look-up of so many is solved as well.

    Attributes
    ----------
    lookups, hits, disagreements
        Points asked for, those answered without a solve, and those of them where GLPK said otherwise.
    """

    def __init__(
        self,
        network: Network,
        objective: Mapping[int, float],
        parameters: Sequence[Parameter],
        *,
        region_bytes: int = REGION_BYTES,
        check_every: int = CHECK_EVERY,
    ) -> None:
        self._lp = FluxLP(network, {})
        self._lp.set_objective_columns(objective)
        self._network = network
        self._region_bytes, self._check_every = region_bytes, check_every
        self._columns = sorted({parameter.column for parameter in parameters})
        # Place of each column among the parametric ones, -1 for the others and, last, for a mass balance.
        self._place = np.full(len(network.reactions) + 1, -1)
        self._place[self._columns] = np.arange(len(self._columns))
        self._low = np.asarray([parameter.low for parameter in parameters])
        self._high = np.asarray([parameter.high for parameter in parameters])
        # Where the bounds of each parametric column stand in (u, 1); -1 for a bound that stays.
        self._upper_at = np.full(len(self._columns), -1)
        self._lower_at = np.full(len(self._columns), -1)
        for index, parameter in enumerate(parameters):
            (self._upper_at if parameter.upper else self._lower_at)[self._place[parameter.column]] = index
        self._point = np.ones(len(parameters) + 1)
        self._lower_in_force, self._upper_in_force = network.lower[self._columns], network.upper[self._columns]
        self.lookups = self.hits = self.disagreements = 0
        self._forget()

    def close(self) -> None:
        """Free the linear program."""
        self._lp.close()

    def reset(self) -> None:
        """Forget the basis and all regions, so that what follows depends on what is asked alone."""
        lower, upper = self._network.lower[self._columns], self._network.upper[self._columns]
        for column, low, high in zip(self._columns, lower.tolist(), upper.tolist(), strict=True):
            self._lp.set_bounds(column, low, high)
        self._lower_in_force, self._upper_in_force = lower, upper
        self._lp.reset_basis()
        self._forget()

    def _forget(self) -> None:
        self._cuts: list[_Cut] = []
        self._cut_rows = np.empty((0, len(self._point)))
        self._proofs = np.empty((0, len(self._point)))
        self._bytes = self._misses = 0
        self._full = False

    @property
    def solves(self) -> int:
        """Linear programs solved so far."""
        return self._lp.solves

    @property
    def regions(self) -> int:
        """Regions in memory."""
        return sum(len(cut.regions) for cut in self._cuts)

    @property
    def cuts(self) -> int:
        """Upper bounds of the optimum in memory."""
        return len(self._cuts)

    @property
    def region_bytes(self) -> int:
        """Memory that the regions take."""
        return self._bytes

    def maximise(self, u: FloatArray) -> Solution:
        """Optimum at a point u, shape (parameters,)."""
        self.lookups += 1
        self._point[:-1] = u
        found = self._look_up()
        if found is not None:
            solution, checked = Solution(Status.OPTIMAL, found.value), self._is_sample()
            return self._check(solution, lambda: self._drop(found)) if checked else solution
        proofs = (self._proofs.dot(self._point) > IMPOSSIBLE).nonzero()[0]
        if len(proofs):
            solution, checked = Solution(Status.INFEASIBLE, math.nan), self._is_sample()
            return self._check(solution, lambda: self._drop_proofs(proofs)) if checked else solution
        solution = self._solve()
        self._misses += 1
        if self._region_bytes and not (self._full and self._misses % PATIENCE):
            if solution.optimal:
                self._learn(solution.objective)
            elif solution.status is Status.INFEASIBLE:
                self._learn_proof()
        return solution

    def _is_sample(self) -> bool:
        self.hits += 1
        return self.hits % self._check_every == 0

    def flux(self, column: int) -> float:
        """Flux of a column at the last optimum that was solved for, one vertex of possibly many."""
        return self._lp.flux(column)

    def _look_up(self) -> _Found | None:
        if not self._cuts:
            return None
        values = self._cut_rows.dot(self._point)
        lowest = int(values.argmin())
        value = float(values[lowest])
        region = self._cuts[lowest].find(self._point)
        if region is not None:
            region.used = self.lookups
            return _Found(value, self._cuts[lowest], region)
        # Where two cuts meet, either may have the region.
        for other in (values <= value + TOLERANCE).nonzero()[0].tolist():
            if other != lowest:
                region = self._cuts[other].find(self._point)
                if region is not None:
                    region.used = self.lookups
                    return _Found(float(values[other]), self._cuts[other], region)
        return None

    def _solve(self) -> Solution:
        u = self._point[:-1]
        if (u < self._low - TOLERANCE).any() or (u > self._high + TOLERANCE).any():
            # Regions leave out the rows that no point of the ranges breaks.
            raise ValueError("a point outside the ranges of its parameters")
        lower, upper = self._bounds()
        changed = ((lower != self._lower_in_force) | (upper != self._upper_in_force)).nonzero()[0]
        for place in changed.tolist():
            self._lp.set_bounds(self._columns[place], float(lower[place]), float(upper[place]))
        self._lower_in_force, self._upper_in_force = lower, upper
        # Look-ups answer what is near the last basis; without them the next point is near.
        return self._lp.maximise(far=self._region_bytes > 0 and len(self._network.reactions) >= LARGE)

    def _bounds(self) -> tuple[FloatArray, FloatArray]:
        """Bounds of the parametric columns at the point."""
        lower = np.where(self._lower_at < 0, self._network.lower[self._columns], self._point[self._lower_at])
        upper = np.where(self._upper_at < 0, self._network.upper[self._columns], self._point[self._upper_at])
        return lower, upper

    def _check(self, found: Solution, drop: Callable[[], None]) -> Solution:
        """Compare a look-up with a solve, which has the last word."""
        solution = self._solve()
        if solution.status is found.status and not (
            abs(solution.objective - found.objective) > AGREEMENT * max(1.0, abs(found.objective))
        ):
            return found
        self.disagreements += 1
        logger.warning(
            "a critical region of %s gives %s %.12g where GLPK finds %s %.12g: it is dropped",
            self._network.id,
            found.status.value,
            found.objective,
            solution.status.value,
            solution.objective,
        )
        drop()
        return solution

    def _drop(self, found: _Found) -> None:
        found.cut.keep([region for region in found.cut.regions if region is not found.region])
        self._bytes -= found.region.nbytes
        self._drop_empty_cuts()

    def _drop_proofs(self, proofs: NDArray[np.intp]) -> None:
        self._proofs = np.delete(self._proofs, proofs, axis=0)

    def _learn(self, objective: float) -> None:
        """Make the basis of the last optimum a region of its cut."""
        tableau = self._lp.tableau(self._columns)
        slopes = np.where(np.abs(tableau.reduced_costs) < NOTHING, 0.0, tableau.reduced_costs)
        # The bound that each column rests at: its place in (u, 1), or -1 if that bound stays or the column is basic.
        rests_at = np.where(tableau.at_upper, self._upper_at, self._lower_at)
        rests_at[np.isin(self._columns, tableau.basic)] = -1
        moving = (rests_at >= 0).nonzero()[0]
        row = np.zeros(len(self._point))
        row[rests_at[moving]] = slopes[moving]
        row[-1] = objective - row[:-1].dot(self._point[:-1])
        rows = self._region_rows(tableau.basic, tableau.fluxes, tableau.response[:, moving], rests_at[moving])
        # A basis that makes use of GLPK's wider tolerance is not optimal even here.
        if (rows.dot(self._point) <= TOLERANCE).all():
            self._store(row, _Region(self._needed(rows), self.lookups))

    def _region_rows(
        self, basic: IntArray, fluxes: FloatArray, response: FloatArray, at: NDArray[np.intp]
    ) -> FloatArray:
        """Bounds of basic fluxes as rows of `rows` (u, 1) <= 0."""
        flux = np.zeros((len(basic), len(self._point)))
        flux[:, at] = np.where(np.abs(response) < NOTHING, 0.0, response)
        flux[:, -1] = fluxes - flux[:, :-1].dot(self._point[:-1])
        above, below = flux.copy(), -flux
        for side, bound_at, bound, sign in (
            (above, self._upper_at, self._network.upper, -1.0),
            (below, self._lower_at, self._network.lower, 1.0),
        ):
            moves_at = np.where(self._place[basic] >= 0, bound_at[self._place[basic]], -1)
            moves = moves_at >= 0
            side[moves, moves_at[moves]] += sign
            side[~moves, -1] += sign * np.where(basic >= 0, bound[basic], 0.0)[~moves]
        return np.vstack([above, below])

    def _learn_proof(self) -> None:
        """Keep why the last solve found no solution as a row that is above 0 wherever there is none."""
        farkas_certificate = self._lp.farkas_certificate()
        if farkas_certificate is None:
            return
        row = np.zeros(len(self._point))
        sign = 1.0 if farkas_certificate.below else -1.0
        weights = sign * farkas_certificate.weights
        # What the others can give at most, less than what is needed at least.
        helps_most_at_upper = weights > 0
        for upper, chosen in ((True, helps_most_at_upper), (False, ~helps_most_at_upper)):
            self._add_bounds(row, farkas_certificate.columns[chosen], -weights[chosen], upper=upper)
        if farkas_certificate.column >= 0:
            self._add_bounds(
                row, np.asarray([farkas_certificate.column]), np.asarray([sign]), upper=not farkas_certificate.below
            )
        if row.dot(self._point) > IMPOSSIBLE:
            self._proofs = np.vstack([self._proofs[-(PROOFS - 1) :], row])

    def _add_bounds(self, row: FloatArray, columns: IntArray, weights: FloatArray, *, upper: bool) -> None:
        """Add the weighted sum of one bound of each column to a row (u, 1)."""
        bound, bound_at = (self._network.upper, self._upper_at) if upper else (self._network.lower, self._lower_at)
        moves_at = np.where(self._place[columns] >= 0, bound_at[self._place[columns]], -1)
        np.add.at(row, moves_at, weights * np.where(moves_at >= 0, 1.0, bound[columns]))

    def _needed(self, rows: FloatArray) -> FloatArray:
        """Rows that some point of the ranges breaks and no other row implies."""
        # On ranges from 0 to 1 the largest value of a row is the sum of its positive slopes and its constant.
        constants = rows[:, -1] + rows[:, :-1].dot(self._low)
        slopes = rows[:, :-1] * (self._high - self._low)
        breakable = (np.maximum(slopes, 0.0).sum(axis=1) + constants > TOLERANCE) & (slopes != 0.0).any(axis=1)
        rows, slopes, constants = rows[breakable], slopes[breakable], constants[breakable]
        if not len(rows):
            return rows
        scale = np.abs(slopes).max(axis=1)
        slopes, constants = (slopes / scale[:, None]).round(12), (constants / scale).round(12)
        needed = np.ones(len(rows), dtype=np.bool_)
        for row in range(len(rows)):
            if needed[row]:
                # What never lies above this row follows from it.
                above = slopes - slopes[row]
                follows = np.maximum(above, 0.0, out=above).sum(axis=1) <= constants[row] - constants
                follows[row] = False
                needed[follows] = False
        kept: FloatArray = np.ascontiguousarray(rows[needed])
        return kept

    def _store(self, row: FloatArray, region: _Region) -> None:
        if region.nbytes > self._region_bytes:
            return
        if self._bytes + region.nbytes > self._region_bytes:
            self._make_room()
        same = np.flatnonzero((np.abs(self._cut_rows - row) <= TOLERANCE).all(axis=1))
        if len(same):
            cut = self._cuts[int(same[0])]
        else:
            cut = _Cut()
            self._cuts.append(cut)
            self._cut_rows = np.vstack([self._cut_rows, row])
        cut.add(region, len(row))
        self._bytes += region.nbytes

    def _make_room(self) -> None:
        """Drop the regions longest not used, and with them cuts that have none left."""
        self._full = True
        newest_first = sorted(
            ((region.used, cut, region) for cut in self._cuts for region in cut.regions),
            key=lambda entry: entry[0],
            reverse=True,
        )
        kept: dict[int, list[_Region]] = {}
        size = 0
        for _, cut, region in newest_first:
            if size + region.nbytes > KEPT * self._region_bytes:
                break
            size += region.nbytes
            kept.setdefault(id(cut), []).append(region)
        for cut in self._cuts:
            cut.keep(kept.get(id(cut), []))
        self._bytes = size
        self._drop_empty_cuts()

    def _drop_empty_cuts(self) -> None:
        chosen = [bool(cut.regions) for cut in self._cuts]
        self._cuts = list(itertools.compress(self._cuts, chosen))
        self._cut_rows = self._cut_rows[chosen]
