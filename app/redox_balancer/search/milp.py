"""A mixed-integer linear program, built column by column and solved by HiGHS.

    maximise  c x + constant   subject to   row_lower <= A x <= row_upper,  lower <= x <= upper,  some x integer

This is the only module that imports highspy. GLPK remains the solver of the many small linear programs; HiGHS has the
better branch and bound. SciPy includes HiGHS too, but hides its simplex iterations and tolerances.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import highspy
import numpy as np
from scipy.sparse import coo_matrix

from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.errors import RedoxError

TOLERANCE = 1e-9
"""Feasibility tolerance of bounds and rows, and optimality gap."""

INTEGRALITY = 1e-7
"""Integrality tolerance. With 1e-9, HiGHS 1.15 mistakes round-off for a fraction and cuts off the best solution; with
its default 1e-6 an enzyme that is not placed carries more flux than `TOLERANCE`."""

Term = tuple[int, float]
"""A column and its coefficient in a row."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """Result of a solve: the columns of the best solution, an upper bound of the objective, whether it is proven.

    Simplex iterations include those of branch and bound.
    """

    columns: FloatArray
    bound: float
    proven: bool
    iterations: int


class NoSolutionError(RedoxError):
    """The program is infeasible, or no solution was found within the time limit."""


class MixedIntegerProgram:
    """A program under construction; columns and rows are numbered from 0 in the order in which they are added."""

    def __init__(self) -> None:
        self.constant = 0.0
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._integer: list[bool] = []
        self._weights: dict[int, float] = {}
        self._row_lower: list[float] = []
        self._row_upper: list[float] = []
        self._entries: list[tuple[int, int, float]] = []

    def add_columns(self, lower: Iterable[float], upper: Iterable[float], *, integer: bool = False) -> range:
        """Add columns with these bounds."""
        first = len(self._lower)
        self._lower += lower
        self._upper += upper
        self._integer += [integer] * (len(self._lower) - first)
        return range(first, len(self._lower))

    def add_binary(self, *, certain: bool = False) -> int:
        """Add a column that is 0 or 1, or 1 for certain."""
        return self.add_columns([1.0 if certain else 0.0], [1.0], integer=True)[0]

    def add_row(self, terms: Iterable[Term], *, lower: float = -np.inf, upper: float = np.inf) -> None:
        """Add lower <= sum of the terms <= upper."""
        row = len(self._row_lower)
        self._row_lower.append(lower)
        self._row_upper.append(upper)
        self._entries += [(row, column, value) for column, value in terms]

    def add_network(self, network: Network, lower: FloatArray, upper: FloatArray) -> range:
        """Add the fluxes of a network in steady state, one column for each reaction, with these bounds."""
        fluxes = self.add_columns(lower.tolist(), upper.tolist())
        rows, columns = network.indices + len(self._row_lower), network.column_of + fluxes.start
        self._entries += zip(rows.tolist(), columns.tolist(), network.data.tolist(), strict=True)
        self._row_lower += [0.0] * len(network.metabolites)
        self._row_upper += [0.0] * len(network.metabolites)
        return fluxes

    def set_bounds(self, column: int, lower: float, upper: float) -> None:
        """Change the bounds of a column."""
        self._lower[column], self._upper[column] = lower, upper

    def pay(self, column: int, weight: float) -> None:
        """Add to a column's weight in the objective."""
        self._weights[column] = self._weights.get(column, 0.0) + weight

    def maximise(
        self, *, time_limit_s: float, start: Mapping[int, float] | None = None, stop: Callable[[], bool] | None = None
    ) -> Optimum:
        """Solve, on one thread, from the values of some columns in a known solution, until `stop` says so."""
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.silent()
        options = dict.fromkeys(
            ("primal_feasibility_tolerance", "dual_feasibility_tolerance", "mip_abs_gap"), TOLERANCE
        )
        options |= {"mip_feasibility_tolerance": INTEGRALITY, "mip_rel_gap": 0.0, "time_limit": time_limit_s}
        # Programs of this kind end at the root or after a few nodes; a restart there doubles the mean time.
        for option, value in (options | {"threads": 1, "mip_allow_restart": False}).items():
            solver.setOptionValue(option, value)
        solver.passModel(self._model())
        if start:
            solver.setSolution(len(start), np.asarray(list(start), dtype=np.int32), np.asarray(list(start.values())))
        if stop:
            solver.cbMipInterrupt += lambda event: event.interrupt() if stop() else None
        solver.run()
        status, info, solution = solver.getModelStatus(), solver.getInfo(), solver.getSolution()
        if not solution.value_valid:
            raise NoSolutionError(
                f"the mixed-integer program ended without a solution: {solver.modelStatusToString(status)}",
                hint="extend the time limit, or use a smaller model",
                settings=("time_limit_s", "model"),
            )
        return Optimum(
            columns=np.asarray(solution.col_value),
            bound=float(info.mip_dual_bound),
            proven=status == highspy.HighsModelStatus.kOptimal,
            iterations=int(info.simplex_iteration_count),
        )

    def _model(self) -> highspy.HighsLp:
        shape = len(self._row_lower), len(self._lower)
        rows, columns, values = zip(*self._entries, strict=True) if self._entries else ((), (), ())
        matrix = coo_matrix((values, (rows, columns)), shape=shape).tocsc()
        weights = [self._weights.get(column, 0.0) for column in range(shape[1])]
        model = highspy.HighsLp()
        model.num_row_, model.num_col_ = shape
        model.sense_, model.offset_ = highspy.ObjSense.kMaximize, self.constant
        model.col_cost_ = np.asarray(weights)
        model.col_lower_, model.col_upper_ = np.asarray(self._lower), np.asarray(self._upper)
        model.row_lower_, model.row_upper_ = np.asarray(self._row_lower), np.asarray(self._row_upper)
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_, model.a_matrix_.index_ = matrix.indptr, matrix.indices
        model.a_matrix_.value_ = matrix.data
        kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
        model.integrality_ = [kinds[integer] for integer in self._integer]
        return model
