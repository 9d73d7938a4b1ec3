"""`GlpkProblem`: one linear program in GLPK, with its bases and without its memory leaks.

    maximise  c v   subject to   S v = 0,  lower <= v <= upper

This is the only module that imports swiglpk. `swiglpk.as_doubleArray` and `as_intArray` never free the arrays they
return. Arrays are therefore created with `doubleArray` and `intArray` and filled through a NumPy view of their
memory, and a problem is deleted when it is closed.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import swiglpk as glp

from redox_balancer.cell.network import FloatArray, IntArray, Network
from redox_balancer.cell.solution import FarkasCertificate, Solution, Status, Tableau

glp.glp_term_out(glp.GLP_OFF)

TOLERANCE = 1e-9
"""Largest relative violation of a bound or a reduced cost at an optimum. GLPK's own 1e-7 was seen to leave an optimum
from a warm basis off by 2e-7, but 1e-9 throughout reports feasible problems as infeasible."""

_STATUSES = {glp.GLP_OPT: Status.OPTIMAL, glp.GLP_NOFEAS: Status.INFEASIBLE, glp.GLP_UNBND: Status.UNBOUNDED}


class GlpkProblem:
    """A linear program over a network that stays in memory and keeps the basis of its last solve.

    Parameters
    ----------
    network
        Stoichiometry S and the initial bounds, mmol/gDW/h. The objective is empty.
    time_limit_s
        Longest single run of the simplex, s.
    """

    def __init__(self, network: Network, time_limit_s: float) -> None:
        self._rows, self._columns = len(network.metabolites), len(network.reactions)
        self._problem: Any = _build(network)
        self._parameters = glp.glp_smcp()
        glp.glp_init_smcp(self._parameters)
        self._parameters.msg_lev = glp.GLP_MSG_OFF
        self._parameters.tm_lim = max(1, round(1000 * time_limit_s))
        self._default_tolerances = self._parameters.tol_bnd, self._parameters.tol_dj
        # Outputs of `glp_check_kkt`: largest absolute error and its place, largest relative error and its place.
        self._errors = glp.doubleArray(1), glp.intArray(1), glp.doubleArray(1), glp.intArray(1)
        # Buffers for one row or column of the tableau.
        self._index, self._index_view = _int_array(self._rows + self._columns + 1)
        self._values, self._values_view = _double_array(self._rows + self._columns + 1)
        self._ran = False

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free the problem; further calls do nothing."""
        problem, self._problem = getattr(self, "_problem", None), None
        if problem is not None:
            glp.glp_delete_prob(problem)

    def set_bounds(self, column: int, lower: float, upper: float) -> None:
        """Change the bounds of a column, mmol/gDW/h."""
        glp.glp_set_col_bnds(self._problem, column + 1, _bound_type(lower, upper), lower, upper)

    def set_weight(self, column: int, weight: float) -> None:
        """Change the objective coefficient of a column."""
        glp.glp_set_obj_coef(self._problem, column + 1, weight)

    def simplex(self, *, dual: bool) -> Solution | None:
        """Run the dual or the primal simplex from the current basis.

        Returns
        -------
        Solution or None
            None where GLPK gives up or ends with a status that proves nothing.
        """
        self._parameters.meth = glp.GLP_DUALP if dual else glp.GLP_PRIMAL
        code = self._run()
        self._ran = code == 0
        if code == glp.GLP_EBOUND:
            # A lower bound above its upper bound.
            return Solution(Status.INFEASIBLE, math.nan)
        if code == glp.GLP_ETMLIM:
            return Solution(Status.TIME_LIMIT, math.nan)
        status = _STATUSES.get(glp.glp_get_status(self._problem)) if code == 0 else None
        return None if status is None else self._solution(status)

    def exact_simplex(self) -> Solution | None:
        """Run the primal simplex in floating point, and from its last basis in rational arithmetic.

        GLPK reads integers exactly and any other number as the simplest fraction within 1e-10 of it.

        Returns
        -------
        Solution or None
            None where GLPK gives up.
        """
        problem = self._problem
        self._parameters.meth = glp.GLP_PRIMAL
        glp.glp_scale_prob(problem, glp.GLP_SF_AUTO)
        glp.glp_simplex(problem, self._parameters)
        glp.glp_unscale_prob(problem)
        self._ran = False
        code = glp.glp_exact(problem, self._parameters)
        if code in (glp.GLP_EBADB, glp.GLP_ESING):
            self.slack_basis()  # never singular
            code = glp.glp_exact(problem, self._parameters)
        if code == glp.GLP_ETMLIM:
            return Solution(Status.TIME_LIMIT, math.nan)
        # Without mass balances GLPK does not begin, and there was no rounding before.
        status = _STATUSES.get(glp.glp_get_status(problem)) if code in (0, glp.GLP_EFAIL) else None
        return None if status is None else self._solution(status)

    def slack_basis(self) -> None:
        """Make all mass balances basic and all columns nonbasic."""
        glp.glp_std_basis(self._problem)

    def crash_basis(self) -> None:
        """Make as many columns basic as a triangular basis allows."""
        glp.glp_adv_basis(self._problem, 0)

    def value(self, column: int) -> float:
        """Return the primal value of a column at the last optimum."""
        return float(glp.glp_get_col_prim(self._problem, column + 1))

    def values(self) -> FloatArray:
        """Return the primal values of all columns at the last optimum, shape (reactions,)."""
        problem = self._problem
        return np.fromiter(
            (glp.glp_get_col_prim(problem, column + 1) for column in range(self._columns)),
            dtype=np.float64,
            count=self._columns,
        )

    def tableau(self, columns: Sequence[int]) -> Tableau:
        """Read the response of the last optimal basis to some columns."""
        problem, rows = self._problem, self._rows
        if not glp.glp_bf_exists(problem):
            glp.glp_factorize(problem)
        costs, at_upper = np.zeros(len(columns)), np.zeros(len(columns), dtype=np.bool_)
        response = np.zeros((rows + self._columns, len(columns)))
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
        fluxes = np.zeros(len(basic))
        at_column = basic >= 0
        fluxes[at_column] = [glp.glp_get_col_prim(problem, column + 1) for column in basic[at_column].tolist()]
        return Tableau(costs, at_upper, basic, fluxes, response[variable])

    def farkas_certificate(self) -> FarkasCertificate | None:
        """Read the proof of infeasibility that the dual simplex ended with, None where there is none."""
        problem, rows = self._problem, self._rows
        variable = glp.glp_get_unbnd_ray(problem)
        if not self._ran or variable == 0 or not glp.glp_bf_exists(problem):
            return None
        column = variable - rows - 1
        if column >= 0:
            if glp.glp_get_col_stat(problem, column + 1) != glp.GLP_BS:
                return None
            below = self.value(column) < glp.glp_get_col_lb(problem, column + 1)
        else:
            if glp.glp_get_row_stat(problem, variable) != glp.GLP_BS:
                return None
            below = glp.glp_get_row_prim(problem, variable) < 0.0
        size = glp.glp_eval_tab_row(problem, variable, self._index, self._values)
        variables, weights = self._index_view[1 : size + 1] - rows - 1, self._values_view[1 : size + 1]
        # Nonbasic mass balances are 0.
        return FarkasCertificate(max(column, -1), bool(below), variables[variables >= 0], weights[variables >= 0])

    def _solution(self, status: Status) -> Solution:
        optimum = glp.glp_get_obj_val(self._problem) if status is Status.OPTIMAL else math.nan
        return Solution(status, float(optimum))

    def _run(self) -> int:
        """Run the simplex with GLPK's tolerances and continue with tighter ones where the optimum is inexact."""
        code: int = glp.glp_simplex(self._problem, self._parameters)
        if code == 0 and self._violation() > TOLERANCE:
            self._parameters.tol_bnd = self._parameters.tol_dj = TOLERANCE
            exact = glp.glp_simplex(self._problem, self._parameters)
            self._parameters.tol_bnd, self._parameters.tol_dj = self._default_tolerances
            if exact != 0 or glp.glp_get_status(self._problem) != glp.GLP_OPT:
                code = glp.glp_simplex(self._problem, self._parameters)
        return code

    def _violation(self) -> float:
        """Largest relative violation of a bound or a reduced cost at an optimum; 0 for any other status."""
        if glp.glp_get_status(self._problem) != glp.GLP_OPT:
            return 0.0
        worst = 0.0
        for condition in (glp.GLP_KKT_PB, glp.GLP_KKT_DB):
            glp.glp_check_kkt(self._problem, glp.GLP_SOL, condition, *self._errors)
            worst = max(worst, self._errors[2][0])
        return worst


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
    """Create a GLPK array, which is indexed from 1, and a view of its memory that is valid as long as the array."""
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
