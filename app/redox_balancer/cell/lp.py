"""`FluxLP`: one linear program over a network, solved again and again by GLPK.

    maximise  c v   subject to   S v = 0,  lower <= v <= upper

The problem is built once. Bounds and objective change in place and every solve starts from the last basis:
the dual simplex after a change of bounds (the old basis stays dual feasible), the primal simplex after a
change of objective (it stays primal feasible).

This is the only module that imports swiglpk. `swiglpk.as_doubleArray` and `as_intArray` never free what they
return, so arrays are made by `doubleArray` and `intArray` and filled through a view of their memory; a problem is
deleted when it is closed.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Self

import numpy as np
import swiglpk as glp
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray, IntArray, Network
from redox_balancer.errors import RedoxError

glp.glp_term_out(glp.GLP_OFF)


class Status(Enum):
    """How a solve ended. Infeasible and unbounded problems are results; a failing solver is an `LPError`."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    TIME_LIMIT = "time limit"


ENDS = {glp.GLP_OPT: Status.OPTIMAL, glp.GLP_NOFEAS: Status.INFEASIBLE, glp.GLP_UNBND: Status.UNBOUNDED}


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


class Tableau(NamedTuple):
    """How an optimal basis responds to the values of some columns, the others held: v_B = fluxes + response d.

    With B basic variables and P columns asked for. Rows are the basic variables that respond to any of them, and
    those columns that are basic themselves.

    Attributes
    ----------
    reduced_costs
        Change of the objective per unit of each column, shape (P,); 0 where it is basic.
    at_upper
        Whether a column rests at its upper bound, shape (P,). One whose bounds are equal rests at the one that its
        reduced cost would hold it at if they parted.
    basic
        Column of each basic variable, shape (B,); -1 for a mass balance, which is fixed at 0.
    fluxes
        Its value, shape (B,), mmol/gDW/h.
    response
        Its change per unit of each column, shape (B, P); 0 where the column is basic.
    """

    reduced_costs: FloatArray
    at_upper: NDArray[np.bool_]
    basic: IntArray
    fluxes: FloatArray
    response: FloatArray


TOLERANCE = 1e-9
"""By how much a bound or a reduced cost may be missed at an optimum, relatively. With GLPK's own 1e-7 an optimum from
a warm basis was seen to be off by 2e-7; but held to 1e-9 all the way it finds no solution where there is one."""


class FarkasCertificate(NamedTuple):
    """Why there is no solution: one basic variable that stays out of its bounds whatever the other columns do.

    Attributes
    ----------
    column
        Column of the variable; -1 for a mass balance, which is fixed at 0.
    below
        Whether it stays below its lower bound, else above its upper bound.
    columns, weights
        The variable is the sum of `weights` times the fluxes of `columns`.
    """

    column: int
    below: bool
    columns: IntArray
    weights: FloatArray


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
        self._usual = self._parameters.tol_bnd, self._parameters.tol_dj
        # Where `glp_check_kkt` writes: largest absolute and relative error, and the place of each.
        self._errors = glp.doubleArray(1), glp.intArray(1), glp.doubleArray(1), glp.intArray(1)
        # Room for one row or column of the tableau, filled again and again.
        self._index, self._index_view = _int_array(len(network.metabolites) + len(network.reactions) + 1)
        self._values, self._values_view = _double_array(len(network.metabolites) + len(network.reactions) + 1)
        self._objective: dict[int, float] = {}
        self._dual_feasible = self._ran = False
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

    def maximise(self, *, far: bool = False) -> Solution:
        """Solve from the last basis.

        Parameters
        ----------
        far
            Much has changed since: the primal simplex goes further in the same time on a genome-scale model.

        Raises
        ------
        LPError
            GLPK failed from the last basis, from a crash basis and from the slack basis.
        """
        self.solves += 1
        self._parameters.meth = glp.GLP_DUALP if self._dual_feasible and not far else glp.GLP_PRIMAL
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

    def tableau(self, columns: Sequence[int]) -> Tableau:
        """Read how the basis of the last optimum responds to these columns."""
        problem, rows = self._problem, len(self._network.metabolites)
        if not glp.glp_bf_exists(problem):
            glp.glp_factorize(problem)
        costs, at_upper = np.zeros(len(columns)), np.zeros(len(columns), dtype=np.bool_)
        response = np.zeros((rows + len(self._network.reactions), len(columns)))
        responds = np.zeros(len(response), dtype=np.bool_)
        for place, column in enumerate(columns):
            status = glp.glp_get_col_stat(problem, column + 1)
            if status == glp.GLP_BS:
                responds[rows + column] = True
                continue
            costs[place] = glp.glp_get_col_dual(problem, column + 1)
            at_upper[place] = status == glp.GLP_NU or (status == glp.GLP_NS and costs[place] > 0)
            size = glp.glp_eval_tab_col(problem, rows + column + 1, self._index, self._values)
            variables = self._index_view[1 : size + 1] - 1
            response[variables, place] = self._values_view[1 : size + 1]
            responds[variables] = True
        variable = responds.nonzero()[0]
        basic = np.maximum(variable - rows, -1).astype(np.int32)
        fluxes = np.asarray([self.flux(column) if column >= 0 else 0.0 for column in basic.tolist()])
        return Tableau(costs, at_upper, basic, fluxes, response[variable])

    def farkas_certificate(self) -> FarkasCertificate | None:
        """Read why the last solve found no solution, where the dual simplex has found it out."""
        problem, rows = self._problem, len(self._network.metabolites)
        variable = glp.glp_get_unbnd_ray(problem)
        if not self._ran or variable == 0 or not glp.glp_bf_exists(problem):
            return None
        column = variable - rows - 1
        if column >= 0:
            if glp.glp_get_col_stat(problem, column + 1) != glp.GLP_BS:
                return None
            below = self.flux(column) < glp.glp_get_col_lb(problem, column + 1)
        else:
            if glp.glp_get_row_stat(problem, variable) != glp.GLP_BS:
                return None
            below = glp.glp_get_row_prim(problem, variable) < 0.0
        size = glp.glp_eval_tab_row(problem, variable, self._index, self._values)
        variables, weights = self._index_view[1 : size + 1] - rows - 1, self._values_view[1 : size + 1]
        # Mass balances that are not basic are 0.
        return FarkasCertificate(max(column, -1), bool(below), variables[variables >= 0], weights[variables >= 0])

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
        code = self._run()
        self._ran = code == 0
        if code == glp.GLP_EBOUND:
            # A lower bound above its upper bound.
            return Solution(Status.INFEASIBLE, math.nan)
        if code == glp.GLP_ETMLIM:
            return Solution(Status.TIME_LIMIT, math.nan)
        status = ENDS.get(glp.glp_get_status(self._problem)) if code == 0 else None
        if status is None:
            return None
        optimum = glp.glp_get_obj_val(self._problem) if status is Status.OPTIMAL else math.nan
        return Solution(status, float(optimum))

    def _run(self) -> int:
        """Run the simplex with GLPK's tolerances and, where that leaves an optimum inexact, on with tighter ones."""
        code: int = glp.glp_simplex(self._problem, self._parameters)
        if code == 0 and self._missed() > TOLERANCE:
            self._parameters.tol_bnd = self._parameters.tol_dj = TOLERANCE
            exact = glp.glp_simplex(self._problem, self._parameters)
            self._parameters.tol_bnd, self._parameters.tol_dj = self._usual
            if exact != 0 or glp.glp_get_status(self._problem) != glp.GLP_OPT:
                code = glp.glp_simplex(self._problem, self._parameters)
        return code

    def _missed(self) -> float:
        """By how much a bound or a reduced cost is missed at an optimum, relatively; 0 where there is none."""
        if glp.glp_get_status(self._problem) != glp.GLP_OPT:
            return 0.0
        worst = 0.0
        for condition in (glp.GLP_KKT_PB, glp.GLP_KKT_DB):
            glp.glp_check_kkt(self._problem, glp.GLP_SOL, condition, *self._errors)
            worst = max(worst, self._errors[2][0])
        return worst


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
    row_array, row_view = _int_array(size + 1)
    column_array, column_view = _int_array(size + 1)
    values, values_view = _double_array(size + 1)
    row_view[1:] = network.indices + 1
    column_view[1:] = column_of + 1
    values_view[1:] = network.data
    glp.glp_load_matrix(problem, size, row_array, column_array, values)
    return problem


def _int_array(size: int) -> tuple[Any, IntArray]:
    """One of GLPK's arrays, which begin at 1, and a view of its memory that lives as long as it does."""
    array = glp.intArray(size)
    return array, np.ctypeslib.as_array((ctypes.c_int * size).from_address(int(array.this)))


def _double_array(size: int) -> tuple[Any, FloatArray]:
    array = glp.doubleArray(size)
    return array, np.ctypeslib.as_array((ctypes.c_double * size).from_address(int(array.this)))


def _bound_type(lower: float, upper: float) -> int:
    if lower == upper:
        return int(glp.GLP_FX)
    if math.isinf(lower):
        return int(glp.GLP_FR if math.isinf(upper) else glp.GLP_UP)
    return int(glp.GLP_LO if math.isinf(upper) else glp.GLP_DB)
