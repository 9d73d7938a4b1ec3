"""`GlpkProblem`: one linear program in GLPK, with its bases and without its memory leaks.

    maximise  c v   subject to   S v = 0,  lower <= v <= upper

This is the only module that imports swiglpk. `swiglpk.as_doubleArray` and `as_intArray` never free the arrays they
return. Arrays are therefore created with `doubleArray` and `intArray` and filled through a NumPy view of their
memory, and a problem is deleted when it is closed.
"""

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import swiglpk as glp
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray, IntArray, Network
from redox_balancer.cell.solution import ReducedCosts, Solution, Status, Tableau

glp.glp_term_out(glp.GLP_OFF)

TOLERANCE = 1e-9
"""Largest relative violation of a bound or a reduced cost at an optimum. GLPK's own 1e-7 was seen to leave an optimum
from a warm basis off by 2e-7, but 1e-9 throughout reports feasible problems as infeasible."""

ROUND_OFF = 1e-10
"""A reduced cost or a response below this is round-off of the factorisation."""
UNLIMITED = 1000.0
"""Bound from which models mean that a flux is not limited, mmol/gDW/h (the convention of the BiGG models)."""

_ROW = glp.glp_get_row_prim, glp.glp_get_row_lb, glp.glp_get_row_ub
_COLUMN = glp.glp_get_col_prim, glp.glp_get_col_lb, glp.glp_get_col_ub
_STATUSES = {glp.GLP_OPT: Status.OPTIMAL, glp.GLP_NOFEAS: Status.INFEASIBLE, glp.GLP_UNBND: Status.UNBOUNDED}


class SingularBasisError(ArithmeticError):
    """The present basis has no inverse within the precision of floating point."""


class GlpkProblem:
    """A linear program over a network that stays in memory and keeps the basis of its last solve.

    Parameters
    ----------
    network
        Stoichiometry S and the initial bounds, mmol/gDW/h. The objective is empty.
    time_limit_s
        Longest single run of the simplex, s.
    scaled
        Whether GLPK scales rows and columns, by powers of two (geometric mean, then the largest entry to 1), and is
        not told of bounds that stand for "unlimited": with them a thousand fluxes of a genome-scale model are at
        one, in cycles, which costs twice the time and most of the precision. Answers then need a proof.

    Attributes
    ----------
    lower, upper, costs
        Bounds, mmol/gDW/h, and objective coefficient of each column, shape (reactions,).
    hides_bounds, violation
        Whether GLPK does not know all bounds; the largest violation of one at the last optimum, if not scaled.
    """

    def __init__(self, network: Network, time_limit_s: float, *, scaled: bool = False) -> None:
        self.lower, self.upper = network.lower.copy(), network.upper.copy()
        self.costs = np.zeros(len(network.reactions))
        self._rows, self._columns, self.hides_bounds = len(network.metabolites), len(network.reactions), scaled
        self._problem: Any
        self._problem, self._outside = _build(network, hide=scaled)
        self._parameters = glp.glp_smcp()
        glp.glp_init_smcp(self._parameters)
        self._parameters.msg_lev = glp.GLP_MSG_OFF
        self._parameters.tm_lim = max(1, round(1000 * time_limit_s))
        self._parameters.it_lim = 10_000 + 20 * (self._rows + self._columns)  # it may cycle
        self._default_tolerances = self._parameters.tol_bnd, self._parameters.tol_dj
        # Outputs of `glp_check_kkt`: largest absolute error and its place, largest relative error and its place.
        self._errors = glp.doubleArray(1), glp.intArray(1), glp.doubleArray(1), glp.intArray(1)
        # Buffers for one row or column of the tableau.
        self._index, self._index_view = _array(self._rows + self._columns + 1, floats=False)
        self._values, self._values_view = _array(self._rows + self._columns + 1, floats=True)
        self._scaled, self._loaded, self.violation = False, False, math.inf
        if scaled:
            self.scale(on=True)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free the problem; further calls do nothing."""
        problem, self._problem = getattr(self, "_problem", None), None
        if problem is not None:
            glp.glp_delete_prob(problem)

    def set_bounds(self, column: int, lower: float, upper: float) -> None:
        """Change the bounds of a column, mmol/gDW/h."""
        self.lower[column], self.upper[column] = lower, upper
        if self.hides_bounds:
            lower, upper = _finite(lower, upper)
        glp.glp_set_col_bnds(self._problem, column + 1, _bound_type(lower, upper), lower, upper)
        self._outside[column] = math.nan

    def show_bounds(self) -> None:
        """Tell GLPK all bounds from now on."""
        if self.hides_bounds:
            self.hides_bounds = False
            for column, bounds in enumerate(zip(self.lower.tolist(), self.upper.tolist(), strict=True)):
                self.set_bounds(column, *bounds)

    def set_weight(self, column: int, weight: float) -> None:
        """Change the objective coefficient of a column."""
        self.costs[column] = weight
        glp.glp_set_obj_coef(self._problem, column + 1, weight)

    def simplex(self, *, dual: bool) -> Solution | None:
        """Run the dual or the primal simplex from the current basis.

        The result is None where GLPK gives up or ends with a status that proves nothing.
        """
        self._parameters.meth = glp.GLP_DUALP if dual else glp.GLP_PRIMAL
        code = self._run()
        if code == glp.GLP_EBOUND:  # a lower bound above its upper bound
            return Solution(Status.INFEASIBLE, math.nan)
        if code == glp.GLP_ETMLIM:
            return Solution(Status.TIME_LIMIT, math.nan)
        return _solution(self._problem) if code == 0 else None

    def exact_simplex(self) -> Solution | None:
        """Run the primal simplex in floating point, and from its last basis in rational arithmetic.

        GLPK reads integers exactly and any other number as the simplest fraction within 1e-10 of it. The result is
        None where it gives up.
        """
        problem = self._problem
        self.show_bounds()
        self._parameters.meth = glp.GLP_PRIMAL
        glp.glp_scale_prob(problem, glp.GLP_SF_AUTO)
        glp.glp_simplex(problem, self._parameters)
        glp.glp_unscale_prob(problem)
        code = glp.glp_exact(problem, self._parameters)
        if code in (glp.GLP_EBADB, glp.GLP_ESING):
            self.slack_basis()  # never singular
            code = glp.glp_exact(problem, self._parameters)
        if code == glp.GLP_ETMLIM:
            return Solution(Status.TIME_LIMIT, math.nan)
        if self._scaled:
            self.scale(on=True)  # without mass balances GLPK does not begin, and there was no rounding before
        return _solution(problem) if code in (0, glp.GLP_EFAIL) else None

    def slack_basis(self) -> None:
        """Make all mass balances basic and all columns nonbasic."""
        glp.glp_std_basis(self._problem)

    def crash_basis(self) -> None:
        """Make as many columns basic as a triangular basis allows."""
        glp.glp_adv_basis(self._problem, 0)

    def scale(self, *, on: bool) -> None:
        """Scale rows and columns, or undo it.

        A scaled problem has bounds or coefficients that lie far apart. GLPK then must not shift bounds to 0 either,
        which rounds small fluxes off beside a bound of 1e6. Its own tolerances suffice for a basis to be refined.
        """
        self._scaled, self._parameters.shift = on, glp.GLP_OFF if on else glp.GLP_ON
        if on:
            glp.glp_scale_prob(self._problem, glp.GLP_SF_GM | glp.GLP_SF_EQ | glp.GLP_SF_2N)
        else:
            glp.glp_unscale_prob(self._problem)

    def load(self, lower: FloatArray, upper: FloatArray, costs: FloatArray, balance: FloatArray) -> None:
        """Solve for other bounds, coefficients and values of the mass balances until `restore`."""
        problem = self._problem
        self._loaded, self.hides_bounds = True, False
        for column, (low, high, cost) in enumerate(zip(lower.tolist(), upper.tolist(), costs.tolist(), strict=True)):
            glp.glp_set_col_bnds(problem, column + 1, _bound_type(low, high), low, high)
            glp.glp_set_obj_coef(problem, column + 1, cost)
        for row, total in enumerate(balance.tolist()):
            glp.glp_set_row_bnds(problem, row + 1, glp.GLP_FX, total, total)

    def restore(self) -> None:
        """Return to `lower`, `upper` and `costs`, with the present basis and its values."""
        if self._loaded:
            self.load(self.lower, self.upper, self.costs, np.zeros(self._rows))
            glp.glp_warm_up(self._problem)
            self._loaded = False

    def value(self, column: int) -> float:
        """Return the primal value of a column at the last optimum."""
        return float(glp.glp_get_col_prim(self._problem, column + 1))

    def basis(self) -> IntArray:
        """Variable at each position of the basis, shape (metabolites,): mass balances first, then columns, from 0."""
        self._factorize()
        head = (glp.glp_get_bhead(self._problem, row + 1) - 1 for row in range(self._rows))
        return np.fromiter(head, np.int32, self._rows)

    def solve(self, right: FloatArray, *, transposed: bool) -> FloatArray:
        """Return the x of B x = `right`, or of B' x = `right`, with B the basis of (I, -S)."""
        self._values_view[1 : self._rows + 1] = right
        (glp.glp_btran if transposed else glp.glp_ftran)(self._problem, self._values)
        return self._values_view[1 : self._rows + 1].copy()

    def values(self, basis: IntArray | None = None) -> FloatArray:
        """Return the primal values of all columns at the last optimum, shape (reactions,); faster with its basis."""
        problem = self._problem
        if basis is None or not self.hides_bounds:
            return np.array([glp.glp_get_col_prim(problem, column + 1) for column in range(self._columns)])
        values = self._outside.copy()
        columns = np.concatenate([basis[basis >= self._rows] - self._rows, np.flatnonzero(np.isnan(values))])
        values[columns] = [glp.glp_get_col_prim(problem, column + 1) for column in columns.tolist()]
        return values

    def tableau(self, columns: Sequence[int]) -> Tableau:
        """Read the last optimal vertex as a function of the bounds of some columns, without round-off."""
        at, problem, values = self.reduced_costs(columns), self._problem, self.values()
        vertex = np.zeros((self._columns + self._rows, len(columns) + 1))
        for place in np.flatnonzero(at.rest).tolist():
            size = glp.glp_eval_tab_col(problem, self._rows + columns[place] + 1, self._index, self._values)
            vertex[self._index_view[1 : size + 1] - 1 - self._rows, place] = self._values_view[1 : size + 1]
            vertex[columns[place], place] = 1.0
        vertex[np.abs(vertex) < ROUND_OFF] = 0.0
        vertex[: self._columns, -1] = values
        vertex[:, -1] -= vertex[:, :-1].dot(values[list(columns)])
        return Tableau(at, np.arange(len(vertex)), vertex)

    def reduced_costs(self, columns: Sequence[int]) -> ReducedCosts:
        """Read what the last optimal basis says of some columns."""
        self._factorize()
        costs, (at_upper, rests) = np.zeros(len(columns)), np.zeros((2, len(columns)), dtype=np.bool_)
        for place, column in enumerate(columns):
            status = glp.glp_get_col_stat(self._problem, column + 1)
            rests[place] = status not in (glp.GLP_BS, glp.GLP_NF)  # at a bound
            if rests[place]:
                costs[place] = glp.glp_get_col_dual(self._problem, column + 1)
                at_upper[place] = status == glp.GLP_NU or (status == glp.GLP_NS and costs[place] > 0)
        costs[np.abs(costs) < ROUND_OFF] = 0.0
        return ReducedCosts(costs, at_upper, rests)

    def infeasibilities(self, basis: IntArray) -> FloatArray:
        """Direction in which each variable violates a bound at the end of an infeasible solve.

        The shape is (metabolites + reactions,), mass balances first: positive below the lower and negative above the
        upper bound, in the units in which GLPK adds up infeasibilities; 0 elsewhere.
        """
        problem, rows = self._problem, self._rows
        directions, amounts = np.zeros((2, rows + self._columns))
        # The dual simplex ends at one variable that no other can bring into its bounds, the primal at a least sum.
        stuck = glp.glp_get_unbnd_ray(problem) - 1
        for variable in [stuck] if stuck in basis else basis.tolist():
            if variable < rows:
                value, low, high = (get(problem, variable + 1) for get in _ROW)
                scale = glp.glp_get_rii(problem, variable + 1)
            else:
                value, low, high = (get(problem, variable - rows + 1) for get in _COLUMN)
                scale = 1.0 / glp.glp_get_sjj(problem, variable - rows + 1)
            bound = low if value < low else high
            if value < low or value > high:
                directions[variable] = scale if value < low else -scale
                amounts[variable] = scale * abs(value - bound) / (1.0 + 0.1 * scale * abs(bound))
        # Only violations beyond its tolerance count for GLPK.
        if amounts.max(initial=0.0) > self._parameters.tol_bnd:
            directions[amounts <= self._parameters.tol_bnd] = 0.0
        return directions

    def _factorize(self) -> None:
        """Factorize the basis where GLPK has not: it ends the process when asked for a factor that it lacks."""
        if self._rows and not glp.glp_bf_exists(self._problem) and glp.glp_factorize(self._problem) != 0:
            raise SingularBasisError

    def _run(self) -> int:
        """Run the simplex with GLPK's tolerances and continue with tighter ones where the optimum is inexact."""
        code: int = glp.glp_simplex(self._problem, self._parameters)
        if code == 0 and not self._scaled and self._violation() > TOLERANCE:
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
        for condition in (glp.GLP_KKT_DB, glp.GLP_KKT_PB):
            glp.glp_check_kkt(self._problem, glp.GLP_SOL, condition, *self._errors)
            worst = max(worst, self._errors[2][0])
        self.violation = self._errors[0][0]
        return worst


def _solution(problem: Any) -> Solution | None:
    status = _STATUSES.get(glp.glp_get_status(problem))
    optimum = float(glp.glp_get_obj_val(problem)) if status is Status.OPTIMAL else math.nan
    return None if status is None else Solution(status, optimum)


def _build(network: Network, *, hide: bool) -> tuple[Any, FloatArray]:
    """Create the problem; also the value that a column has outside the basis, NaN if it may be at either bound."""
    problem = glp.glp_create_prob()
    glp.glp_set_obj_dir(problem, glp.GLP_MAX)
    rows, columns, size = len(network.metabolites), len(network.reactions), len(network.data)
    if rows:
        glp.glp_add_rows(problem, rows)
    for row in range(rows):
        glp.glp_set_row_bnds(problem, row + 1, glp.GLP_FX, 0.0, 0.0)
    if columns:
        glp.glp_add_cols(problem, columns)
    outside = np.full(columns, math.nan)
    for column, (lower, upper) in enumerate(zip(network.lower.tolist(), network.upper.tolist(), strict=True)):
        if hide:
            lower, upper = _finite(lower, upper)  # noqa: PLW2901
        kind = _bound_type(lower, upper)
        glp.glp_set_col_bnds(problem, column + 1, kind, lower, upper)
        if kind != glp.GLP_DB:
            outside[column] = {glp.GLP_UP: upper, glp.GLP_FR: 0.0}.get(kind, lower)
    arrays = []
    for values in (network.indices + 1, network.column_of + 1, network.data):
        array, view = _array(size + 1, floats=values is network.data)
        view[1:] = values
        arrays.append(array)
    glp.glp_load_matrix(problem, size, *arrays)
    return problem, outside


def _array(size: int, *, floats: bool) -> tuple[Any, NDArray[Any]]:
    """Create a GLPK array, which is indexed from 1, and a view of its memory that is valid as long as the array."""
    kind: Any = ctypes.c_double if floats else ctypes.c_int
    array = (glp.doubleArray if floats else glp.intArray)(size)
    return array, np.ctypeslib.as_array((kind * size).from_address(int(array.this)))


def _finite(lower: float, upper: float) -> tuple[float, float]:
    """Bounds without those that stand for "unlimited"."""
    return lower if lower > -UNLIMITED else -math.inf, upper if upper < UNLIMITED else math.inf


def _bound_type(lower: float, upper: float) -> int:
    if lower == upper:
        return int(glp.GLP_FX)
    if math.isinf(lower):
        return int(glp.GLP_FR if math.isinf(upper) else glp.GLP_UP)
    return int(glp.GLP_LO if math.isinf(upper) else glp.GLP_DB)
