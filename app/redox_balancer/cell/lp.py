"""`FluxLP`: a flux balance problem that is built once and solved repeatedly from its last basis.

    maximise  c v   subject to   S v = 0,  lower <= v <= upper

Bounds and objective change in place, and every solve is a warm start: the dual simplex after a change of bounds (the
old basis stays dual feasible), the primal simplex after a change of the objective (it stays primal feasible).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from redox_balancer.cell.glpk import GlpkProblem
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.solution import FarkasCertificate, Solution, Status, Tableau
from redox_balancer.errors import RedoxError


class LPError(RedoxError):
    """GLPK could not solve a problem from any starting basis."""


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
        self, network: Network, objective: Mapping[str, float] | None = None, *, time_limit_s: float = 60.0
    ) -> None:
        self._network = network
        self._problem = GlpkProblem(network, time_limit_s)
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
        """Solve from the last basis.

        Parameters
        ----------
        far
            Many bounds changed since the last solve: use the primal simplex, which needs less time from a distant
            basis on a genome-scale model.

        Raises
        ------
        LPError
            GLPK failed from the last basis, from a crash basis and from the slack basis.
        """
        self.solves += 1
        problem = self._problem
        solution = problem.simplex(dual=self._dual_feasible and not far)
        if solution is None:
            # A basis can become numerically singular after thousands of warm starts: restart from a fresh one.
            for restart in (problem.crash_basis, problem.slack_basis):
                restart()
                solution = problem.simplex(dual=False)
                if solution is not None:
                    break
            else:
                raise LPError(
                    f"GLPK could not solve the problem on {self._network.id}",
                    hint="check the model for coefficients that differ by more than nine orders of magnitude",
                )
        self._dual_feasible = solution.status in (Status.OPTIMAL, Status.INFEASIBLE)
        return solution

    def maximise_exactly(self) -> Solution:
        """Solve in rational arithmetic, from the basis that the simplex in floating point ends with.

        Only integers are exact, see `rational.integer_network`. Verifying the optimal basis of a genome-scale model
        takes 0.1 s.

        Raises
        ------
        LPError
            GLPK failed.
        """
        self.solves += 1
        self._dual_feasible = False
        solution = self._problem.exact_simplex()
        if solution is None:
            raise LPError(f"GLPK could not solve the problem on {self._network.id} in rational arithmetic")
        return solution

    def fluxes(self) -> FloatArray:
        """Return the fluxes at the last optimum, shape (reactions,), mmol/gDW/h: one vertex of possibly many."""
        return self._problem.values()

    def flux(self, column: int) -> float:
        """Return the flux of one column at the last optimum, mmol/gDW/h."""
        return self._problem.value(column)

    def tableau(self, columns: Sequence[int]) -> Tableau:
        """Read the response of the last optimal basis to some columns."""
        return self._problem.tableau(columns)

    def farkas_certificate(self) -> FarkasCertificate | None:
        """Read the proof of infeasibility that the dual simplex ended with, None where there is none."""
        return self._problem.farkas_certificate()

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
