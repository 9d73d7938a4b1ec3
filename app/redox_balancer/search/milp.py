"""A mixed-integer linear program, built column by column and solved by HiGHS.

    maximise  c x + constant   subject to   row_lower <= A x <= row_upper,  lower <= x <= upper,  some x integer

This is the only module that imports highspy. GLPK remains the solver of the many small linear programs; HiGHS has the
better branch and bound. SciPy includes HiGHS too, but hides its simplex iterations and tolerances.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
from scipy.sparse import csr_matrix

from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.errors import RedoxError

TOLERANCE = 1e-9  # feasibility tolerance of bounds and rows, and optimality gap

INTEGRALITY = 1e-7
"""Integrality tolerance. With 1e-9, HiGHS 1.15 mistakes round-off for a fraction and cuts off the best solution; with
its default 1e-6 an enzyme that is not placed carries more flux than `TOLERANCE`."""

Term = tuple[int, float]  # a column and its coefficient in a row


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
        self._weights: dict[int, float] = {}
        self._solver = highspy.Highs()  # type: ignore[no-untyped-call]
        self._solver.silent()

    def add_columns(self, lower: Sequence[float], upper: Sequence[float], *, integer: bool = False) -> range:
        """Add columns with these bounds."""
        added = range(self._solver.getNumCol(), self._solver.getNumCol() + len(lower))
        self._solver.addVars(len(added), np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64))
        for column in added if integer else ():
            self._solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)
        return added

    def add_binary(self, *, certain: bool = False) -> int:
        """Add a column that is 0 or 1, or 1 for certain."""
        return self.add_columns([1.0 if certain else 0.0], [1.0], integer=True)[0]

    def add_row(self, terms: Iterable[Term], *, lower: float = -np.inf, upper: float = np.inf) -> None:
        """Add lower <= sum of the terms <= upper."""
        given = dict(terms)
        columns, values = np.asarray(list(given), dtype=np.int32), np.asarray(list(given.values()), dtype=np.float64)
        self._solver.addRow(lower, upper, len(given), columns, values)

    def add_network(self, network: Network, lower: FloatArray, upper: FloatArray) -> range:
        """Add the fluxes of a network in steady state, one column for each reaction, with these bounds."""
        fluxes = self.add_columns(lower.tolist(), upper.tolist())
        zero = np.zeros(len(network.metabolites))
        rows = csr_matrix((network.data, (network.indices, network.column_of)), shape=(len(zero), len(fluxes)))
        self._solver.addRows(
            len(zero), zero, zero, rows.nnz, rows.indptr, rows.indices + np.int32(fluxes.start), rows.data
        )
        return fluxes

    def set_bounds(self, column: int, lower: float, upper: float) -> None:
        """Change the bounds of a column."""
        self._solver.changeColBounds(column, lower, upper)

    def pay(self, column: int, weight: float) -> None:
        """Add to a column's weight in the objective."""
        self._weights[column] = self._weights.get(column, 0.0) + weight
        self._solver.changeColCost(column, self._weights[column])

    def maximise(
        self, *, time_limit_s: float, start: Mapping[int, float] | None = None, stop: Callable[[], bool] | None = None
    ) -> Optimum:
        """Solve, on one thread, from the values of some columns in a known solution, until `stop` says so."""
        solver = self._solver
        solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
        solver.changeObjectiveOffset(self.constant)
        options = dict.fromkeys(
            ("primal_feasibility_tolerance", "dual_feasibility_tolerance", "mip_abs_gap"), TOLERANCE
        )
        options |= {"mip_feasibility_tolerance": INTEGRALITY, "mip_rel_gap": 0.0, "time_limit": time_limit_s}
        # Programs of this kind end at the root or after a few nodes; a restart there doubles the mean time.
        for option, value in (options | {"threads": 1, "mip_allow_restart": False}).items():
            solver.setOptionValue(option, value)
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
