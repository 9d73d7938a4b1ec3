"""`FluxLP`: one linear program over a network, solved again and again by GLPK.

    maximise  c v   subject to   S v = 0,  lower <= v <= upper

The problem is built once. Bounds and objective change in place and every solve starts from the last basis:
the dual simplex after a change of bounds (the old basis stays dual feasible), the primal simplex after a
change of objective (it stays primal feasible).

This is the only module that imports swiglpk. `swiglpk.as_doubleArray` and `as_intArray` never free what they
return, so arrays are filled element by element; a problem is deleted when it is closed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

import numpy as np
import swiglpk as glp

from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.errors import RedoxError

glp.glp_term_out(glp.GLP_OFF)


class Status(Enum):
    """How a solve ended. Infeasible and unbounded problems are results; a failing solver is an `LPError`."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    TIME_LIMIT = "time limit"


class LPError(RedoxError):
    """GLPK could not solve a problem from any basis."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The end of one solve: `objective` is the optimum, NaN unless `status` is `Status.OPTIMAL`."""

    status: Status
    objective: float

    @property
    def optimal(self) -> bool:
        """Whether `objective` is the optimum."""
        return self.status is Status.OPTIMAL


class FluxLP:
    """A flux balance problem that stays in memory.

    Parameters
    ----------
    network
        Stoichiometry and bounds in mmol/gDW/h.
    objective
        Weight of each reaction in the objective; the network's own objective with weight 1 if not given.
    time_limit_s
        Longest single solve; `Status.TIME_LIMIT` after that.

    Examples
    --------
    >>> with FluxLP(network) as lp:
    ...     growth = lp.maximise().objective
    """

    def __init__(
        self, network: Network, objective: Mapping[str, float] | None = None, *, time_limit_s: float = 60.0
    ) -> None:
        self._network = network
        self._problem: Any = _build(network)
        self._parameters = glp.glp_smcp()
        glp.glp_init_smcp(self._parameters)
        self._parameters.msg_lev = glp.GLP_MSG_OFF
        self._parameters.tm_lim = max(1, round(1000 * time_limit_s))
        self._objective: dict[int, float] = {}
        self._dual_feasible = False
        self.solves = 0
        self.set_objective({network.objective: 1.0} if objective is None else objective)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free the problem; further calls do nothing."""
        problem, self._problem = getattr(self, "_problem", None), None
        if problem is not None:
            glp.glp_delete_prob(problem)

    def set_bounds(self, column: int, lower: float, upper: float) -> None:
        """Change the bounds of one column, in mmol/gDW/h."""
        glp.glp_set_col_bnds(self._problem, column + 1, _bound_type(lower, upper), lower, upper)

    def set_objective(self, weights: Mapping[str, float]) -> None:
        """Replace the objective by these weights; reactions that are not named weigh nothing."""
        self.set_objective_columns({self._network.column(reaction): w for reaction, w in weights.items()})

    def set_objective_columns(self, weights: Mapping[int, float]) -> None:
        """As `set_objective`, by column."""
        for column in self._objective.keys() - weights.keys():
            glp.glp_set_obj_coef(self._problem, column + 1, 0.0)
        for column, weight in weights.items():
            glp.glp_set_obj_coef(self._problem, column + 1, weight)
        self._objective = dict(weights)
        self._dual_feasible = False

    def maximise(self) -> Solution:
        """Solve from the last basis.

        Raises
        ------
        LPError
            GLPK failed from the last basis, from a crash basis and from the slack basis.
        """
        self.solves += 1
        self._parameters.meth = glp.GLP_DUALP if self._dual_feasible else glp.GLP_PRIMAL
        solution = self._simplex()
        if solution is None:
            # A basis can become numerically singular after thousands of warm starts: begin afresh.
            self._parameters.meth = glp.GLP_PRIMAL
            for restart in (glp.glp_adv_basis, _slack_basis):
                restart(self._problem, 0)
                solution = self._simplex()
                if solution is not None:
                    break
            else:
                raise LPError(
                    f"GLPK could not solve the problem on {self._network.id}",
                    hint="check the model for coefficients that differ by more than nine orders of magnitude",
                )
        self._dual_feasible = solution.status in (Status.OPTIMAL, Status.INFEASIBLE)
        return solution

    def fluxes(self) -> FloatArray:
        """Primal values of the last optimum, shape (reactions,): one vertex of possibly many."""
        problem = self._problem
        return np.fromiter(
            (glp.glp_get_col_prim(problem, column + 1) for column in range(len(self._network.reactions))),
            dtype=np.float64,
            count=len(self._network.reactions),
        )

    def flux(self, column: int) -> float:
        """Primal value of one column at the last optimum."""
        return float(glp.glp_get_col_prim(self._problem, column + 1))

    def reset_basis(self) -> None:
        """Forget the last basis, so that the next solve depends on bounds and objective alone.

        The last digits of an optimum depend on the path to it; an exactly resumable run resets the basis
        wherever a run that was interrupted would have started anew.
        """
        glp.glp_std_basis(self._problem)
        self._dual_feasible = False

    def crash_basis(self) -> None:
        """Begin the next solve with as many flux columns in the basis as stay triangular.

        Halves the first solve of a genome-scale model; small models gain nothing.
        """
        glp.glp_adv_basis(self._problem, 0)
        self._dual_feasible = False

    def _simplex(self) -> Solution | None:
        """One run of the simplex; None where GLPK gives up or claims something it cannot know."""
        code = glp.glp_simplex(self._problem, self._parameters)
        if code == glp.GLP_ETMLIM:
            return Solution(Status.TIME_LIMIT, math.nan)
        if code != 0:
            return None
        status = glp.glp_get_status(self._problem)
        if status == glp.GLP_OPT:
            return Solution(Status.OPTIMAL, float(glp.glp_get_obj_val(self._problem)))
        if status == glp.GLP_NOFEAS:
            return Solution(Status.INFEASIBLE, math.nan)
        if status == glp.GLP_UNBND:
            return Solution(Status.UNBOUNDED, math.nan)
        return None


def _slack_basis(problem: Any, _flags: int) -> None:
    glp.glp_std_basis(problem)


def _build(network: Network) -> Any:
    problem = glp.glp_create_prob()
    glp.glp_set_obj_dir(problem, glp.GLP_MAX)
    rows, columns, size = len(network.metabolites), len(network.reactions), len(network.data)
    if rows:
        glp.glp_add_rows(problem, rows)
    for row in range(rows):
        glp.glp_set_row_bnds(problem, row + 1, glp.GLP_FX, 0.0, 0.0)
    if columns:
        glp.glp_add_cols(problem, columns)
    for column, (lower, upper) in enumerate(zip(network.lower.tolist(), network.upper.tolist(), strict=True)):
        glp.glp_set_col_bnds(problem, column + 1, _bound_type(lower, upper), lower, upper)
    column_of = np.repeat(np.arange(columns), np.diff(network.indptr))
    row_array = _int_array(network.indices.tolist(), size)
    column_array = _int_array(column_of.tolist(), size)
    values = glp.doubleArray(size + 1)
    for position, value in enumerate(network.data.tolist(), start=1):
        values[position] = value
    glp.glp_load_matrix(problem, size, row_array, column_array, values)
    return problem


def _int_array(zero_based: Iterable[int], size: int) -> Any:
    array = glp.intArray(size + 1)
    for position, value in enumerate(zero_based, start=1):
        array[position] = value + 1
    return array


def _bound_type(lower: float, upper: float) -> int:
    if lower == upper:
        return int(glp.GLP_FX)
    if math.isinf(lower):
        return int(glp.GLP_FR if math.isinf(upper) else glp.GLP_UP)
    return int(glp.GLP_LO if math.isinf(upper) else glp.GLP_DB)
