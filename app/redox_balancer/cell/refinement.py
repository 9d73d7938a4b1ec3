"""Answers of a linear program that do not rest on the tolerances of its solver.

A solver accepts a flux that violates a bound by 1e-7 or less, which is all there is to a vitamin of which growth
needs 1e-9; and it calls a problem infeasible where it merely lost its way. Iterative refinement (Gleixner, Steffy &
Wolter 2016, INFORMS J. Comput. 28:449) looks at the answer through a magnifying glass: the distances to all bounds
and the reduced costs are multiplied by a large factor, and a solve from the same basis corrects the answer, until it
is proven (`certificates.py`) or no start leads to a proof.
"""

from __future__ import annotations

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

ZOOM = 2.0**30
"""Factor of the distances to the bounds; the basis then keeps them to GLPK's 1e-7 / 2**30."""
CLOSER = 2.0**8
"""Factor of the zoom from round to round."""
COST_ZOOM = 2.0**40
"""Factor of the reduced costs."""
ROUNDS = 6
"""Corrections before another start is tried; two in a thousand problems need more than two."""
NOISE = 1e-9
"""Imbalance that counts as nothing in a plain problem, mmol/gDW/h, and relative to the turnover."""
SMALL = 20_000
"""Number of mass balances times fluxes up to which GLPK may solve in rational arithmetic, within seconds."""
BOX = 2.0**60
"""Bound that replaces an infinite one where GLPK calls a bounded problem unbounded, mmol/gDW/h."""


class Proven(NamedTuple):
    """An answer with its proof.

    Attributes
    ----------
    solution
        Status and optimum.
    fluxes, reduced_costs
        Of an optimum, shape (reactions,): mmol/gDW/h, and change of the optimum per unit of flux.
    certificate
        Of infeasibility, unless a lower bound is above an upper one.
    """

    solution: Solution
    fluxes: FloatArray | None = None
    reduced_costs: FloatArray | None = None
    certificate: FarkasCertificate | None = None


class Refinement:
    """Proofs of the answers of one `GlpkProblem`, or better answers.

    Parameters
    ----------
    network
        Stoichiometry.
    problem
        Its linear program in GLPK; it keeps its bounds and costs, and the basis of the proven answer.
    """

    def __init__(self, network: Network, problem: GlpkProblem) -> None:
        self._S = Stoichiometry(network)
        self._problem = problem

    def is_steady(self) -> bool:
        """Whether the fluxes of the last optimum, moved into their bounds, leave the balances within `NOISE`."""
        problem = self._problem
        v = np.clip(problem.values(), problem.lower, problem.upper).astype(np.longdouble)
        return certificates.balanced(self._S, v, relative=NOISE, absolute=NOISE)

    def prove(self, claim: Solution | None) -> Proven | None:
        """Prove what the last simplex of the problem claims, or find what is true.

        Returns
        -------
        Proven or None
            None where no start leads to an answer with a proof.
        """
        problem = self._problem
        lower, upper, costs = (a.astype(np.longdouble) for a in (problem.lower, problem.upper, problem.costs))
        if (lower > upper).any():
            return Proven(Solution(Status.INFEASIBLE, math.nan))
        with suppress(SingularBasisError):
            # Without a correction the problem stays as it is.
            certificate = self._certificate(lower, upper) if claim and claim.status is Status.INFEASIBLE else None
            if certificate is not None:
                return Proven(Solution(Status.INFEASIBLE, math.nan), certificate=certificate)
        try:
            return self._answer(lower, upper, costs, claim)
        finally:
            problem.restore()

    def _answer(self, lower: Extended, upper: Extended, costs: Extended, claim: Solution | None) -> Proven | None:
        found = self._first_proof(lower, upper, costs, claim)
        if found is None or found.solution.status is not Status.UNBOUNDED:
            return found
        # Unbounded are feasible problems with a direction that all finite bounds allow and that raises the objective.
        backwards, forwards = np.where(np.isinf(lower), -1.0, 0.0), np.where(np.isinf(upper), 1.0, 0.0)
        ray = self._first_proof(backwards.astype(np.longdouble), forwards.astype(np.longdouble), costs)
        if ray is None or not ray.solution.optimal:
            return None
        if ray.solution.objective <= certificates.NO_GAP:
            found = self._first_proof(np.maximum(lower, -BOX), np.minimum(upper, BOX), costs)
            reaches_box = found is not None and found.fluxes is not None and np.abs(found.fluxes).max() >= BOX
            return None if reaches_box else found
        feasible = self._first_proof(lower, upper, np.zeros_like(costs))
        return found if feasible is not None and feasible.solution.optimal else feasible

    def _first_proof(
        self, lower: Extended, upper: Extended, costs: Extended, claim: Solution | None = None
    ) -> Proven | None:
        """The first answer with a proof (an unbounded one needs another), from the present basis and from others."""
        for start in (iter([claim]) if claim is not None else iter(())), self._starts(lower, upper, costs):
            for solution in start:
                with suppress(SingularBasisError):
                    proven = None if solution is None else self._zoom(lower, upper, costs, solution)
                    if proven is not None:
                        return proven
        return None

    def _starts(self, lower: Extended, upper: Extended, costs: Extended) -> Iterator[Solution | None]:
        problem = self._problem

        def load() -> None:
            problem.load(_rounded(lower), _rounded(upper), _rounded(costs), np.zeros(self._S.shape[0]))

        load()
        yield problem.simplex(dual=False)
        for restart in (problem.crash_basis, problem.slack_basis):
            for dual in (False, True):
                load()
                restart()
                yield problem.simplex(dual=dual)
        if self._S.shape[0] * self._S.shape[1] <= SMALL:
            load()
            problem.slack_basis()
            yield problem.exact()

    def _zoom(self, lower: Extended, upper: Extended, costs: Extended, solution: Solution) -> Proven | None:
        """Correct an answer until it is proven."""
        S, problem = self._S, self._problem
        v, y = problem.values().astype(np.longdouble), np.zeros(S.shape[0], dtype=np.longdouble)
        if solution.optimal:
            y = y + problem.dual_values()
        for round_ in range(ROUNDS):
            inside = np.clip(v, lower, upper)
            is_steady = certificates.balanced(S, inside)
            reduced = certificates.reduced_costs(S, costs, y)
            reduced[self._basic_columns()] = 0
            if solution.status in (Status.UNBOUNDED, Status.TIME_LIMIT):
                return Proven(solution) if solution.status is Status.UNBOUNDED else None
            if solution.status is Status.INFEASIBLE:
                certificate = self._certificate(lower, upper)
                if certificate is not None:
                    return Proven(solution, certificate=certificate)
            elif round_ and is_steady:
                objective = float(costs @ inside)
                if certificates.is_optimum(objective, inside, lower, upper, reduced):
                    return Proven(Solution(Status.OPTIMAL, objective), _rounded(inside), _rounded(reduced))
            # What the numbers of the model leave open, because they are rounded, counts as feasible.
            accepted = is_steady and not solution.optimal
            v = inside if accepted else v
            missing = np.zeros(S.shape[0]) if accepted else -S.imbalance(v)[0]
            zoom = np.longdouble(ZOOM * CLOSER**round_)
            scaled = ((lower - v) * zoom, (upper - v) * zoom, reduced * COST_ZOOM, missing * zoom)
            problem.load(*(_rounded(values) for values in scaled))
            corrected = problem.simplex(dual=solution.optimal)
            if corrected is None:
                return None
            solution = corrected
            v = v + problem.values() / zoom
            if solution.optimal:
                y = y + problem.dual_values() / np.longdouble(COST_ZOOM)
        return None

    def _certificate(self, lower: Extended, upper: Extended) -> FarkasCertificate | None:
        """The proof that the basis of an infeasible solve gives: the multipliers of its sum of infeasibilities."""
        S, problem = self._S, self._problem
        basis, rows = problem.basis(), self._S.shape[0]
        wanted = problem.infeasibilities()[basis].astype(np.longdouble)
        balances = basis < rows
        y = np.zeros(rows, dtype=np.longdouble)
        for _ in range(3):
            prices = S.prices(y)[0]
            reached = np.where(
                balances, y[np.where(balances, basis, 0)], -prices[np.where(balances, 0, basis - rows)]
            )
            y = y + problem.solve_transposed(_rounded(wanted - reached))
        return certificates.farkas_certificate(S, lower, upper, y)

    def _basic_columns(self) -> IntArray:
        basis = self._problem.basis()
        return basis[basis >= self._S.shape[0]] - self._S.shape[0]


def _rounded(values: Extended) -> FloatArray:
    return values.astype(np.float64)
