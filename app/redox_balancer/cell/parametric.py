"""`ParametricLP`: a linear program of which only a few bounds change, answered mostly without a solve.

    f(u) = maximum of c v   subject to   S v = 0,  lower(u) <= v <= upper(u)

where u holds the bounds that change. Points in a known critical region, or with a known Farkas certificate, are
looked up (`RegionCache`), and where fluxes of an earlier solve of a presolved network reach the lowest cut, it is the
optimum (`StoredFluxes`). GLPK solves the rest, and the final basis of each solve gives the next region or
certificate. Every N-th hit is verified by a solve; where the two differ, the region or certificate is dropped and
counted as a disagreement.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from redox_balancer.cell.certificates import NO_GAP
from redox_balancer.cell.lp import FluxLP, is_plain
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.parameters import TOLERANCE, Parameter, ParametricBounds
from redox_balancer.cell.presolve import Presolved, PresolvedLP
from redox_balancer.cell.regions import RegionCache
from redox_balancer.cell.solution import Solution, Status
from redox_balancer.cell.stored_fluxes import StoredFluxes

logger = logging.getLogger(__name__)

REGION_BYTES = 8_000_000
"""Default memory for the regions of one program. On the embedded core twice as much saves two solves in five but no
time, because more regions are searched; the core of Recon3D fills half of it in 300,000 steps."""
PRESOLVED_MEMORY = 2
"""Factor of that for a presolved network: 2,619 solves in 102,400 steps on the core of Recon3D in place of 3,800."""
CHECK_EVERY = 4_000
"""Hits per hit that is verified by a solve."""
AGREEMENT = 1e-8
"""Largest difference, absolute and relative, between a lookup and a solve."""
LARGE = 1_000
"""Number of reactions from which the primal simplex is faster than the dual from the basis of a distant point."""
PATIENCE = 16
"""Misses per region that is added once the memory is full: most new regions would be dropped before they are used."""


class ParametricLP:
    """A `FluxLP` of which only the bounds in `parameters` change.

    Parameters
    ----------
    network, objective
        Stoichiometry and the fixed bounds, mmol/gDW/h, and the weight of each column in the objective.
    parameters
        The bounds that change; a point u, shape (P,), gives a value to each.
    region_bytes
        Memory for regions, `PRESOLVED_MEMORY` times as much for a presolved network; when it is full the least
        recently used ones are dropped. With 0 every point is solved.
    check_every
        Every hit with an index divisible by this is verified by a solve.
    presolved
        The presolved form of the network, if it is to be solved; the columns remain those of the network.

    Attributes
    ----------
    lookups, hits, disagreements
        Points queried, those answered without a solve, and those of them that a solve contradicted.
    """

    def __init__(
        self,
        network: Network,
        objective: Mapping[int, float],
        parameters: Sequence[Parameter],
        *,
        region_bytes: int = REGION_BYTES,
        check_every: int = CHECK_EVERY,
        presolved: Presolved | None = None,
    ) -> None:
        self._lp: FluxLP | PresolvedLP
        if presolved is None:
            self._lp = FluxLP(network, {})
            self._lp.set_objective_columns(objective)
        else:
            self._lp = PresolvedLP(presolved, objective)
        self._network = network
        self._remembers, self._check_every = region_bytes > 0, check_every
        noise = TOLERANCE if is_plain(network) else 0.0
        self._bounds = ParametricBounds(network if presolved is None else presolved.limits, parameters, noise)
        self._columns = self._bounds.columns
        self._point = np.ones(len(parameters) + 1)
        self._u = self._point[:-1]
        more = 1 if presolved is None else PRESOLVED_MEMORY
        self._cache = RegionCache(len(self._point), more * region_bytes, noise, max(noise, NO_GAP))
        # Where a solve takes milliseconds; one of a small network takes as long as a look at them.
        self._fluxes = None if presolved is None else StoredFluxes(len(self._columns))
        self._lower_in_force, self._upper_in_force = self._bounds.lower, self._bounds.upper
        self.lookups = self.hits = self.disagreements = self._misses = self._hits_before = 0

    def close(self) -> None:
        """Free the linear program."""
        self._lp.close()

    def reset(self) -> None:
        """Discard the basis and all regions, so that later answers depend on later queries alone."""
        lower, upper = self._bounds.lower, self._bounds.upper
        for column, low, high in zip(self._columns, lower.tolist(), upper.tolist(), strict=True):
            self._lp.set_bounds(column, low, high)
        self._lower_in_force, self._upper_in_force = lower, upper
        self._lp.reset_basis()
        self._cache.clear()
        if self._fluxes is not None:
            self._fluxes.clear()
        self._misses, self._hits_before = 0, self.hits

    @property
    def solves(self) -> int:
        """Linear programs solved so far."""
        return self._lp.solves

    def maximise(self, u: FloatArray) -> Solution:
        """Return the optimum at a point u, shape (P,), mmol/gDW/h.

        A ValueError if a value lies outside the range of its parameter: regions omit the rows that no point within
        the ranges violates.
        """
        self._bounds.copy_checked(u, self._u)
        self.lookups += 1
        found = self._cache.find(self._point, self.lookups)
        if found is not None:
            solution, checked = Solution(Status.OPTIMAL, found.value), self._is_sample()
            return self._verified(solution, lambda: self._cache.remove(found)) if checked else solution
        certificates = self._cache.certificates_at(self._point)
        if len(certificates):
            solution, checked = Solution(Status.INFEASIBLE, math.nan), self._is_sample()
            drop = self._cache.remove_certificates
            return self._verified(solution, lambda: drop(certificates)) if checked else solution
        if self._fluxes is not None and (reached := self._reached(self._fluxes)) is not None:
            return reached
        solution = self._solve()
        self._misses += 1
        if self._fluxes is not None and self._remembers and solution.optimal:
            self._fluxes.add(np.array([self._lp.flux(column) for column in self._columns]), solution.objective)
        if self._remembers and not (self._cache.full and self._misses % PATIENCE):
            self._remember(solution)
        return solution

    def maxima(self, u: FloatArray, families: Sequence[int], read: Callable[[Solution], float]) -> FloatArray:
        """Return the optima at N points, shape (N, P), as `maximise` does.

        Points in known regions are looked up together. `families` are numbers, the same of points that have much in
        common. What no region answers is `read`, of a solution that need not be optimal.
        """
        points = np.empty((len(u), len(self._point)))
        points[:, -1] = 1.0
        self._bounds.copy_checked(u, points[:, :-1])
        known = self._cache.find_all(points, self.lookups + 1, families)
        found: list[float] = []
        for point, optimum in zip(u, known, strict=True):
            is_sample = (self.hits + 1 - self._hits_before) % self._check_every == 0
            if optimum is None or is_sample:
                found.append(read(self.maximise(point)))
            else:
                self.lookups += 1
                self.hits += 1
                found.append(optimum)
        return np.array(found)

    def upper_bounds(self, u: FloatArray) -> FloatArray:
        """Return upper bounds of the optima at N points, shape (N, P), from earlier solves; infinite before any.

        An optimum is concave in the bounds, so its gradient at one point bounds it at all others.
        """
        return self._cache.upper_bounds(np.column_stack([u, np.ones(len(u))]))

    @property
    def cuts(self) -> FloatArray:
        """Upper bounds of the optimum at any point, as rows over (u, 1), shape (C, P + 1)."""
        return self._cache.cuts

    @property
    def certificates(self) -> FloatArray:
        """Rows over (u, 1) that prove infeasibility where they are positive, shape (F, P + 1)."""
        return self._cache.certificates

    def lowest_cut(self, u: FloatArray) -> FloatArray:
        """Return the lowest upper bound at a point u, shape (P,), that earlier solves have left: a row over (u, 1).

        At a point that was queried it is the gradient of the optimum; it is all 0 before any solve. Where no regions
        are kept it is the gradient, by a solve; all 0 where there is no optimum.
        """
        self._u[:] = u
        cut = self._cache.lowest_cut(self._point) if self._remembers else self._gradient(self._solve())
        return np.zeros(len(self._point)) if cut is None else cut

    def certificate(self, u: FloatArray) -> FloatArray | None:
        """Return a row over (u, 1) that proves a point u, shape (P,), infeasible by being positive; None if none."""
        self._u[:] = u
        return self._cache.certificate(self._point)

    def flux(self, column: int) -> float:
        """Return the flux of a column at the last optimum that was solved, one vertex of possibly many."""
        return self._lp.flux(column)

    def _reached(self, fluxes: StoredFluxes) -> Solution | None:
        """Return the lowest cut at the present point as the optimum, if stored fluxes reach it."""
        lowest, noise = self._cache.lowest_value(self._point)
        place = fluxes.reaching(lowest, noise, *self._bounds.at(self._point))
        if place is None:
            return None
        solution, checked = Solution(Status.OPTIMAL, lowest), self._is_sample()
        return self._verified(solution, lambda: fluxes.remove(place)) if checked else solution

    def _is_sample(self) -> bool:
        self.hits += 1
        return (self.hits - self._hits_before) % self._check_every == 0

    def _solve(self) -> Solution:
        lower, upper = self._bounds.at(self._point)
        changed = ((lower != self._lower_in_force) | (upper != self._upper_in_force)).nonzero()[0]
        for place in changed.tolist():
            self._lp.set_bounds(self._columns[place], float(lower[place]), float(upper[place]))
        self._lower_in_force, self._upper_in_force = lower, upper
        # Lookups answer the points near the last basis; without them the next point is near it.
        return self._lp.maximise(far=self._remembers and len(self._network.reactions) >= LARGE)

    def _gradient(self, solution: Solution) -> FloatArray | None:
        at = self._lp.reduced_costs(self._columns) if solution.optimal else None
        return at and self._bounds.cut(at, solution.objective, self._point)

    def _verified(self, found: Solution, drop: Callable[[], None]) -> Solution:
        """Compare a lookup with a solve, which is right where they differ."""
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

    def _remember(self, solution: Solution) -> None:
        """Add the critical region or the certificate that the last solve ended with."""
        if solution.optimal:
            tableau = self._lp.tableau(self._columns)
            region = tableau and self._bounds.critical_region(tableau, solution.objective, self._point)
            if region is not None:
                self._cache.add(*region, self.lookups)
        elif solution.status is Status.INFEASIBLE:
            certificate = self._lp.farkas_certificate()
            if certificate is not None:
                row = self._bounds.infeasibility_row(certificate, len(self._point))
                self._cache.add_certificate(row, self._point)
