"""Results of a linear program: how a solve ended, and what its final basis shows."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray, IntArray


class Status(Enum):
    """Termination status of a solve. Infeasible and unbounded are results; a failing solver raises `LPError`."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    TIME_LIMIT = "time limit"


class Solution(NamedTuple):
    """Result of a solve: termination status, and the optimum, NaN unless the status is `Status.OPTIMAL`."""

    status: Status
    objective: float

    @property
    def optimal(self) -> bool:
        """Whether `objective` is the optimum."""
        return self.status is Status.OPTIMAL


class ReducedCosts(NamedTuple):
    """`Tableau.reduced_costs`, `at_upper` and `constant` of C columns, and which of them `rest` at a bound."""

    costs: FloatArray
    at_upper: NDArray[np.bool_]
    rest: NDArray[np.bool_]
    constant: float | None = None


class Tableau(NamedTuple):
    """An optimal vertex as a function of the bounds of C columns that are not basic, all other bounds fixed.

    A fixed column (equal bounds) counts as at the bound that the sign of its reduced cost would hold it at if they
    differed. `vertex` has fluxes, and then imbalances of the M metabolites, as rows over (values of the columns, 1);
    0 for the value of a column that is basic or not at a bound. `constant` is the optimum if the columns had no flux,
    by the reduced costs of all others.
    """

    reduced_costs: FloatArray  # change of the objective per unit of a column, shape (C,); 0 where it is basic
    at_upper: NDArray[np.bool_]  # nonbasic at the upper bound, shape (C,)
    vertex: FloatArray  # shape (reactions + M, C + 1), mmol/gDW/h
    constant: float | None = None  # None if it is not proven

    def of(self, columns: Sequence[int]) -> ReducedCosts:
        """What it says of the reduced costs of its columns."""
        rest = self.vertex[columns, np.arange(len(columns))] != 0.0
        return ReducedCosts(self.reduced_costs, self.at_upper, rest, self.constant)


class FarkasCertificate(NamedTuple):
    """Proof of infeasibility: a sum of fluxes that is 0 in every steady state and below 0 for all within the bounds.

    It is the sum of `weights` times the fluxes of `columns`, both of shape (N,).
    """

    columns: IntArray
    weights: FloatArray
