"""Answers of a linear program that do not rest on the tolerances of its solver.

A solver accepts a flux that violates a bound by 1e-7 or less, which is all there is to a vitamin of which growth
needs 1e-9; and it calls a problem infeasible where it merely lost its way. Iterative refinement (Gleixner, Steffy &
Wolter 2016, INFORMS J. Comput. 28:449) looks at the answer through a magnifying glass: the distances to all bounds
and the reduced costs are multiplied by a large factor, and a solve from the same basis corrects the answer, until it
is proven (`certificates.py`) or no start leads to a proof.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from redox_balancer.cell import certificates
from redox_balancer.cell.certificates import Extended, Stoichiometry
from redox_balancer.cell.glpk import GlpkProblem, SingularBasisError
from redox_balancer.cell.network import FloatArray, IntArray, Network
from redox_balancer.cell.solution import FarkasCertificate, Solution, Status

ZOOM = 2.0**30  # factor of the distances to the bounds; the basis then keeps them to GLPK's 1e-7 / 2**30
CLOSER = 2.0**8  # factor of the zoom from round to round
FAR = 2.0**24
"""Distance, magnified, from which a bound is left out: large numbers would cost small ones their last digits."""
OPEN = 1e-18  # imbalance beside the largest flux that is not repaired where GLPK finds no way to
ROUGH = 2e-17
"""Imbalance beside the largest flux, which no start removes: rounding that flux alone gives a hundredth of it."""
ROUGH_GAP = 1e-6
"""Largest distance from the upper bound of an optimum that no start proves more closely, absolute and relative."""
COST_ZOOM = 2.0**40  # factor of the reduced costs
REFINEMENTS = 3  # solves with the factors of a basis that leave nothing of the residuals of its fluxes or multipliers
ROUNDS = 6  # corrections before another start is tried; two in a thousand problems need more than two
NOISE = 1e-9  # imbalance that counts as nothing in a plain problem, mmol/gDW/h, and relative to the turnover
SMALL = 20_000
"""Number of mass balances times fluxes up to which GLPK may solve in rational arithmetic, within seconds."""
BOX = 2.0**60  # bound that replaces an infinite one where GLPK calls a bounded problem unbounded, mmol/gDW/h


class Proven(NamedTuple):
    """An answer with its proof."""

    solution: Solution
    fluxes: FloatArray | None = None  # of an optimum, shape (reactions,), mmol/gDW/h
    reduced_costs: FloatArray | None = None  # change of the optimum per unit of flux, shape (reactions,)
    certificate: FarkasCertificate | None = None  # of infeasibility, unless a lower bound is above an upper one


class _Program(NamedTuple):
    """Bounds and objective of a linear program over the network."""

    lower: Extended
    upper: Extended
    costs: Extended


class _Vertex(NamedTuple):
    """Fluxes, multipliers of the mass balances, and the basis that both belong to."""

    v: Extended
    y: Extended
    basis: IntArray


class Refinement:
    """Proofs of the answers of one `GlpkProblem` over a network, or better answers.

    The problem keeps its bounds and costs, and the basis of the proven answer.
    """

    def __init__(self, network: Network, problem: GlpkProblem) -> None:
        self._S, self._double = Stoichiometry(network), Stoichiometry(network, np.float64)
        self._problem = problem
        self._is_small = self._S.shape[0] * self._S.shape[1] <= SMALL
        self._rough: list[Proven] = []

    def is_steady(self) -> bool:
        """Whether the fluxes of the last optimum, moved into their bounds, leave the balances within `NOISE`."""
        problem = self._problem
        v = np.clip(problem.values(), problem.lower, problem.upper).astype(np.longdouble)
        return certificates.imbalance(self._S, v, relative=NOISE) <= NOISE

    def prove(self, claim: Solution | None) -> Proven | None:
        """Prove what the last simplex of the problem claims, or find what is true.

        None where no start leads to an answer with a proof.
        """
        problem = self._problem
        if (problem.lower > problem.upper).any():
            return Proven(Solution(Status.INFEASIBLE, math.nan))
        program = _Program(*(a.astype(np.longdouble) for a in (problem.lower, problem.upper, problem.costs)))
        proven = self._as_it_stands(program, claim)
        if proven is None and problem.hides_bounds:
            problem.show_bounds()  # they matter after all
            claim = problem.simplex(dual=False)
            proven = self._as_it_stands(program, claim)
        if proven is not None:
            return proven
        try:
            return self._answer(program, claim)
        finally:
            problem.restore()

    def _as_it_stands(self, program: _Program, claim: Solution | None) -> Proven | None:
        """The proof of an answer without a correction; most have one, with multipliers in double precision."""
        if claim is None:
            return None
        with suppress(SingularBasisError):
            v, basis = program.lower, np.zeros(0, dtype=np.int32)
            if claim.optimal:
                basis = self._problem.basis()
                v = np.clip(self._problem.values(basis).astype(np.longdouble), program.lower, program.upper)
                v = self._fluxes(basis, v, refinements=1)
            for S in (self._double, self._S) if claim.optimal else (self._S,):
                y = np.zeros(S.shape[0], dtype=S.kind)
                if claim.optimal:
                    y = self._prices(S, basis, program.costs, y, refinements=2)
                proven = self._proof(S, program, claim, _Vertex(v, y, basis), certificates.NOTHING)
                if proven is not None:
                    return proven
        return None

    def _answer(self, program: _Program, claim: Solution | None) -> Proven | None:
        found = self._first_proof(program, claim)
        if found is None or found.solution.status is not Status.UNBOUNDED:
            return found
        # Unbounded are feasible problems with a direction that all finite bounds allow and that raises the objective.
        nothing, one = np.longdouble(0.0), np.longdouble(1.0)
        below, above = (
            np.where(np.isinf(program.lower), -one, nothing),
            np.where(np.isinf(program.upper), one, nothing),
        )
        ray = self._first_proof(program._replace(lower=below, upper=above))
        if ray is None or not ray.solution.optimal:
            return None
        if ray.solution.objective <= certificates.NO_GAP:
            box = program._replace(lower=np.maximum(program.lower, -BOX), upper=np.minimum(program.upper, BOX))
            found = self._first_proof(box)
            reaches_box = found is not None and found.fluxes is not None and np.abs(found.fluxes).max() >= BOX
            return None if reaches_box else found
        feasible = self._first_proof(program._replace(costs=np.zeros_like(program.costs)))
        return found if feasible is not None and feasible.solution.optimal else feasible

    def _first_proof(self, program: _Program, claim: Solution | None = None) -> Proven | None:
        """The first answer with a proof (an unbounded one needs another), from the present basis and from others.

        Bounds of 1e6 times the rounding of reduced costs can leave a gap, up to `ROUGH_GAP`, that no start closes.
        """
        self._rough.clear()
        for solution in itertools.chain([claim], self._starts(program)):
            with suppress(SingularBasisError):
                proven = None if solution is None else self._zoom(program, solution)
                if proven is not None:
                    return proven
            if self._rough and not self._is_small:
                break
        return self._rough[-1] if self._rough else None

    def _starts(self, program: _Program) -> Iterator[Solution | None]:
        """Answers of GLPK from the present basis, from others and, to small problems, in rational arithmetic."""
        problem = self._problem

        def load() -> None:
            lower, upper, costs = map(_rounded, program)
            problem.load(lower, upper, costs, np.zeros(self._S.shape[0]))

        load()
        yield problem.simplex(dual=False)
        for restart in (problem.crash_basis, problem.slack_basis):
            for dual in (False, True):
                load()
                restart()
                yield problem.simplex(dual=dual)
        if self._is_small:
            load()
            problem.slack_basis()
            yield problem.exact_simplex()

    def _zoom(self, program: _Program, solution: Solution) -> Proven | None:
        """Correct an answer until it is proven."""
        S, problem = self._S, self._problem
        v, y = problem.values().astype(np.longdouble), np.zeros(S.shape[0], dtype=np.longdouble)
        basis = np.zeros(0, dtype=np.int32)
        unlimited, nothing = False, certificates.NOTHING
        for round_ in range(ROUNDS):
            if solution.status is Status.TIME_LIMIT:
                return None
            if solution.status is Status.UNBOUNDED and (unlimited or not round_):
                return Proven(solution)
            if solution.optimal:
                basis = problem.basis()
                v = self._fluxes(basis, np.clip(v, program.lower, program.upper))
                y = self._prices(S, basis, program.costs, y)
            proven = self._proof(S, program, solution, _Vertex(v, y, basis), nothing)
            if proven is not None or (self._rough and not self._is_small):
                return proven
            inside, missing = np.clip(v, program.lower, program.upper), -S.imbalance(v)
            if solution.status is Status.INFEASIBLE:
                # What the numbers of the model leave open, because they are rounded, counts as feasible.
                nothing = max(nothing, OPEN * float(np.abs(inside).max(initial=0.0)))
            if nothing > certificates.NOTHING and certificates.imbalance(S, inside) <= nothing:
                v, missing = inside, np.zeros_like(missing)
            unlimited = solution.status is Status.UNBOUNDED
            zoom = np.longdouble(1.0 if unlimited else ZOOM * CLOSER**round_)
            below, above = (program.lower - v) * zoom, (program.upper - v) * zoom
            if not unlimited:
                below[below < -FAR], above[above > FAR] = -np.inf, np.inf
            reduced = certificates.reduced_costs(S, program.costs, y)
            problem.load(*(_rounded(values) for values in (below, above, reduced * COST_ZOOM, missing * zoom)))
            corrected = problem.simplex(dual=solution.optimal)
            if corrected is None:
                return None
            solution = corrected
            v = v + problem.values() / zoom
        return None

    def _proof(
        self, S: Stoichiometry, program: _Program, solution: Solution, vertex: _Vertex, nothing: float
    ) -> Proven | None:
        """The proof of an answer, if it has one yet."""
        if solution.status is Status.INFEASIBLE:
            certificate = self._certificate(S, program.lower, program.upper)
            return None if certificate is None else Proven(solution, certificate=certificate)
        if not solution.optimal:
            return None
        inside, y, basis = np.clip(vertex.v, program.lower, program.upper), vertex.y, vertex.basis
        rough = max(nothing, ROUGH * float(np.abs(inside).max(initial=0.0)))
        imbalance = certificates.imbalance(self._S, inside)
        if imbalance > rough:
            return None
        rows, objective = S.shape[0], float(program.costs @ inside)
        for multipliers in certificates.with_and_without_round_off(y):
            # The basis that the multipliers belong to has reduced costs of exactly 0.
            reduced = certificates.reduced_costs(S, program.costs.astype(S.kind), multipliers)
            reduced[basis[basis >= rows] - rows] = 0
            gap = certificates.gap(inside, program.lower, program.upper, reduced)
            found = Proven(Solution(Status.OPTIMAL, objective), _rounded(inside), _rounded(reduced))
            precise = imbalance <= nothing or not self._is_small  # no other start would make it more so
            if precise and gap <= certificates.GAP * abs(objective) + certificates.NO_GAP:
                return found
            if gap <= ROUGH_GAP * max(abs(objective), 1.0):
                self._rough.append(found)
        return None

    def _fluxes(self, basis: IntArray, v: Extended, *, refinements: int = REFINEMENTS) -> Extended:
        """Refine the fluxes in the basis, the other ones given."""
        S, rows = self._S, self._S.shape[0]
        columns = basis[basis >= rows] - rows
        for _ in range(refinements):
            v[columns] += self._problem.solve(_rounded(S.imbalance(v)), transposed=False)[basis >= rows]
        return v

    def _prices(
        self, S: Stoichiometry, basis: IntArray, costs: Extended, y: Extended, *, refinements: int = REFINEMENTS
    ) -> Extended:
        """Refine the multipliers with which the basis has reduced costs of 0."""
        rows = S.shape[0]
        wanted = np.where(basis < rows, 0, costs[np.maximum(basis - rows, 0)]).astype(S.kind)
        *_, refined = itertools.islice(self._multipliers(S, basis, wanted, -y), refinements)
        return -refined

    def _certificate(self, S: Stoichiometry, lower: Extended, upper: Extended) -> FarkasCertificate | None:
        """The proof that the basis of an infeasible solve gives: the multipliers of its sum of infeasibilities."""
        basis = self._problem.basis()
        wanted = self._problem.infeasibilities(basis)[basis].astype(S.kind)
        refined = self._multipliers(S, basis, wanted, np.zeros_like(wanted))
        found = (certificates.farkas_certificate(S, lower, upper, y) for y in refined)
        return next(filter(None, found), None)

    def _multipliers(self, S: Stoichiometry, basis: IntArray, wanted: Extended, y: Extended) -> Iterator[Extended]:
        """Refine y, of which y_i = `wanted` for each mass balance i of the basis, and -S_j y for each column j."""
        rows = S.shape[0]
        balances = basis < rows
        for _ in range(REFINEMENTS):
            missing = wanted
            if y.any():
                own, prices = y[np.where(balances, basis, 0)], S.prices(y)[np.where(balances, 0, basis - rows)]
                missing = wanted - np.where(balances, own, -prices)
            y = y + self._problem.solve(_rounded(missing), transposed=True)
            yield y


def _rounded(values: Extended) -> FloatArray:
    return values.astype(np.float64)
