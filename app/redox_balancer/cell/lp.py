"""`FluxLP`: a flux balance problem that is built once and solved repeatedly from its last basis.

    maximise  c v   subject to   S v = 0,  lower <= v <= upper

Bounds and objective change in place, and every solve is a warm start: the dual simplex after a change of bounds (the
old basis stays dual feasible), the primal simplex after a change of the objective (it stays primal feasible).
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np

from redox_balancer.cell import certificates
from redox_balancer.cell.glpk import GlpkProblem, SingularBasisError
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.refinement import REFINEMENTS, Proven, Refinement
from redox_balancer.cell.solution import FarkasCertificate, ReducedCosts, Solution, Status, Tableau
from redox_balancer.errors import RedoxError

NOISY = 16.0
"""Largest round-off of a reduced cost, in multiples of the largest of which the sign shows that it is round-off."""
ROUND_OFF = 1e-10
"""Violation of a bound by an optimum of a plain problem that needs no closer look, mmol/gDW/h. An optimum that is not
larger may be one of 0, and is looked at, unless it is below `NOTHING`."""
NOTHING = 1e-12
PLAIN_COEFFICIENTS = 1e-2, 1e3
PLAIN_BOUNDS = 1e-2, 1e5
"""Sizes of coefficients and of finite bounds other than 0, mmol/gDW/h, that GLPK's absolute tolerances suit. Where a
network has others, rows and columns are scaled and every optimum is refined."""


def proven_tableau(
    S: tuple[Any, Any], problem: GlpkProblem, proven: Proven, columns: Sequence[int]
) -> Tableau | None:
    """Return a proven optimum as a function of the bounds of some columns; S is the stoichiometric matrix, and |S|.

    None where the present basis is that of another vertex, or either is known less precisely than `BALANCED`.
    """
    matrix, sizes_of_terms = S
    rows, fluxes, costs = matrix.shape[0], proven.fluxes, proven.reduced_costs
    if fluxes is None or costs is None:
        return None
    lower, upper, basis = problem.lower, problem.upper, problem.basis()
    in_column = basis >= rows
    basic = basis[in_column] - rows
    # A reduced cost is held by one bound. Those of fluxes that are not there show what is round-off.
    sizes, held_at = np.abs(costs), np.where(costs > 0, upper, lower)
    noise = NOISY * sizes[fluxes != held_at].max(initial=0.0)
    costs = np.where(sizes <= noise, 0.0, costs)
    v = np.where(costs == 0, fluxes, held_at)
    at_upper = np.where(costs == 0, v > lower, costs > 0)
    moves = (v == lower) | (v == upper)
    moves[basic], v[basic], resting = False, 0.0, np.append(v[columns], 1.0)
    v[columns] = np.where(moves[columns], 0.0, v[columns])
    constant = float(costs.dot(v))
    if noise > certificates.MARGIN * sizes.max() or costs[basic].any() or not math.isfinite(constant):
        return None
    vertex = np.zeros((len(v), len(columns) + 1))
    vertex[columns, np.arange(len(columns))], vertex[:, -1] = moves[columns], v
    missing = matrix @ vertex
    open_ = missing != 0.0
    for _ in range(REFINEMENTS):
        open_[basis[~in_column]] = False
        for place in open_.any(axis=0).nonzero()[0].tolist():
            vertex[basic, place] += problem.solve(missing[:, place], transposed=False)[in_column]
        vertex[np.abs(vertex) < certificates.MARGIN * np.abs(vertex).max(axis=0)] = 0.0
        missing = matrix @ vertex
        open_ = np.abs(missing) > certificates.BALANCED * (sizes_of_terms @ np.abs(vertex))
        if not open_.any():
            break
    missing[~open_] = 0.0
    if np.delete(open_, basis[~in_column], axis=0).any():
        return None
    values, terms = (of(vertex).dot(of(resting)) for of in (np.asarray, np.abs))
    if (np.maximum(values - upper, lower - values) > certificates.BALANCED * terms).any():
        return None
    at = ReducedCosts(costs[columns], at_upper[columns], moves[columns], constant)
    return Tableau(at, np.arange(len(v) + rows), np.vstack([vertex, missing]))


class LPError(RedoxError):
    """GLPK finds no answer to a problem that can be proven, from any starting basis."""


class FluxLP:
    """A flux balance problem that stays in memory.

    Parameters
    ----------
    network
        Stoichiometry and bounds, mmol/gDW/h.
    objective
        Weight of each reaction in the objective; by default the network's own objective with weight 1.
    time_limit_s
        Longest single solve, s; a longer one ends with `Status.TIME_LIMIT`.
    proven
        Whether to scale, and prove every answer, where coefficients and bounds of an ordinary size do without.

    Attributes
    ----------
    solves
        Solves so far.

    Examples
    --------
    >>> with FluxLP(network) as lp:
    ...     growth = lp.maximise().objective
    """

    def __init__(
        self,
        network: Network,
        objective: Mapping[str, float] | None = None,
        *,
        time_limit_s: float = 60.0,
        proven: bool = False,
    ) -> None:
        self._network = network
        self._plain = not proven and is_plain(network)
        self._problem = GlpkProblem(network, time_limit_s, scaled=not self._plain)
        self._refinement = Refinement(network, self._problem)
        self._proven: Proven | None = None
        self._objective: dict[int, float] = {}
        self._dual_feasible = False
        self.solves = 0
        self.set_objective({network.objective: 1.0} if objective is None else objective)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the problem; further calls do nothing."""
        self._problem.close()

    @property
    def hides_bounds(self) -> bool:
        """Whether GLPK does not know the bounds that stand for "unlimited"; it is told where a proof needs them."""
        return self._problem.hides_bounds

    def set_bounds(self, column: int, lower: float, upper: float) -> None:
        """Change the bounds of a column, mmol/gDW/h."""
        self._problem.set_bounds(column, lower, upper)

    def set_objective(self, weights: Mapping[str, float]) -> None:
        """Replace the objective by the weights of the named reactions; all others weigh 0."""
        self.set_objective_columns({self._network.column(reaction): w for reaction, w in weights.items()})

    def set_objective_columns(self, weights: Mapping[int, float]) -> None:
        """Replace the objective as `set_objective` does, by column."""
        for column in self._objective.keys() - weights.keys():
            self._problem.set_weight(column, 0.0)
        for column, weight in weights.items():
            self._problem.set_weight(column, weight)
        self._objective = dict(weights)
        self._dual_feasible = False

    def maximise(self, *, far: bool = False) -> Solution:
        """Solve from the last basis; an LPError if no start leads to an answer that can be proven.

        Where many bounds changed since the last solve (`far`), the primal simplex is used, which needs less time from
        a distant basis on a genome-scale model.
        """
        self.solves += 1
        self._proven = None
        solution = self._problem.simplex(dual=self._dual_feasible and not far)
        if solution is None and self._plain:
            # A basis can become numerically singular after thousands of warm starts: restart from a fresh one.
            for restart in (self._problem.crash_basis, self._problem.slack_basis):
                restart()
                solution = self._problem.simplex(dual=False)
                if solution is not None:
                    break
        if solution is None or not self._is_certain(solution):
            self._proven = self._refinement.prove(solution)
            if self._proven is None:
                raise LPError(
                    f"no answer to a linear program of {self._network.id} can be proven: {self._extremes()}",
                    hint="give these reactions coefficients and bounds of an ordinary size, or change their unit",
                )
            solution = self._proven.solution
        self._dual_feasible = solution.status in (Status.OPTIMAL, Status.INFEASIBLE)
        return solution

    def _is_certain(self, solution: Solution) -> bool:
        """Whether an answer needs no proof: an optimum of a plain problem that is a steady state, or no answer."""
        if solution.status is Status.TIME_LIMIT:
            return True
        if not solution.optimal or not self._plain or NOTHING <= abs(solution.objective) < ROUND_OFF:
            return False
        return self._problem.violation <= ROUND_OFF or self._refinement.is_steady()

    def _extremes(self) -> str:
        """The reactions with the smallest and the largest coefficient, and the largest bound."""
        network = self._network
        sizes = np.abs(network.data)
        found = [
            f"a coefficient of {sizes[entry]:g} in {network.reactions[network.column_of[entry]]}"
            for entry in (np.where(sizes > 0, sizes, np.inf).argmin(), sizes.argmax())
        ]
        bounds = np.maximum(np.abs(self._problem.lower), np.abs(self._problem.upper))
        widest = int(np.where(np.isfinite(bounds), bounds, -1.0).argmax())
        return f"{found[0]}, {found[1]}, a bound of {bounds[widest]:g} of {network.reactions[widest]}"

    def maximise_exactly(self) -> Solution:
        """Solve in rational arithmetic, from the basis that the simplex in floating point ends with.

        Only integers are exact, see `rational.integer_network`. Verifying the optimal basis of a genome-scale model
        takes 0.1 s. An LPError if GLPK fails.
        """
        self.solves += 1
        self._proven, self._dual_feasible = None, False
        solution = self._problem.exact_simplex()
        if solution is None:
            raise LPError(f"GLPK could not solve the problem on {self._network.id} in rational arithmetic")
        return solution

    def fluxes(self) -> FloatArray:
        """Return the fluxes at the last optimum, shape (reactions,), mmol/gDW/h: one vertex of possibly many."""
        proven = self._proven.fluxes if self._proven else None
        return self._problem.values() if proven is None else proven

    def flux(self, column: int) -> float:
        """Return the flux of one column at the last optimum, mmol/gDW/h."""
        proven = self._proven.fluxes if self._proven else None
        return self._problem.value(column) if proven is None else float(proven[column])

    def tableau(self, columns: Sequence[int]) -> Tableau | None:
        """Read the last optimal vertex as a function of the bounds of some columns; None where it is imprecise."""
        try:
            if self._proven is not None and not self._plain:
                return proven_tableau(self._stoichiometry, self._problem, self._proven, columns)
            tableau = self._problem.tableau(columns)
        except SingularBasisError:
            return None
        if self._proven is None or self._proven.reduced_costs is None:
            return tableau
        return tableau._replace(at=tableau.at._replace(costs=self._proven.reduced_costs[list(columns)]))

    @cached_property
    def _stoichiometry(self) -> tuple[Any, Any]:
        """S and |S|, by rows."""
        import scipy.sparse as sp  # noqa: PLC0415 - actors on a core that needs no proofs do without

        network = self._network
        shape = len(network.metabolites), len(network.reactions)
        matrix = sp.csc_array((network.data, network.indices, network.indptr), shape=shape).tocsr()
        return matrix, abs(matrix)

    def reduced_costs(self, columns: Sequence[int]) -> ReducedCosts | None:
        """Read what the last optimal basis says of some columns, in less time than its `tableau`; None as there."""
        if self._proven is None:
            try:
                return self._problem.reduced_costs(columns)
            except SingularBasisError:
                return None
        tableau = self.tableau(columns)
        return tableau and tableau.at

    def farkas_certificate(self) -> FarkasCertificate | None:
        """Return the proof of the last infeasible solve, None where a lower bound is above an upper one."""
        return self._proven.certificate if self._proven else None

    def reset_basis(self) -> None:
        """Discard the last basis, so that the next solve depends on bounds and objective alone.

        The last digits of an optimum depend on the sequence of bases before it; an exactly resumable run resets the
        basis wherever a resumed run starts without one.
        """
        self._problem.slack_basis()
        self._dual_feasible = False

    def crash_basis(self) -> None:
        """Start the next solve from a triangular basis with as many flux columns as possible.

        It halves the first solve of a genome-scale model; small models do not benefit.
        """
        self._problem.crash_basis()
        self._dual_feasible = False


def is_plain(network: Network) -> bool:
    """Whether all coefficients and finite bounds have sizes that GLPK's absolute tolerances suit."""
    bounds = np.abs(np.concatenate([network.lower, network.upper]))
    for sizes, (least, most) in ((np.abs(network.data), PLAIN_COEFFICIENTS), (bounds, PLAIN_BOUNDS)):
        counted = sizes[(sizes > 0.0) & np.isfinite(sizes)]
        if len(counted) and not least <= counted.min() <= counted.max() <= most:
            return False
    return True
