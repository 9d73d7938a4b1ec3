"""Results of a linear program: how a solve ended, and what its final basis shows."""

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


class Tableau(NamedTuple):
    """Response of an optimal basis to the values of P columns, the other nonbasic ones fixed.

    The basic variables are v_B = fluxes + response d for a change d of those columns. The B rows are the basic
    variables that respond to any of the columns, and those of the columns that are basic themselves.

    Attributes
    ----------
    reduced_costs
        Change of the objective per unit of each column, shape (P,); 0 where the column is basic.
    at_upper
        Whether a column is nonbasic at its upper bound, shape (P,). For a fixed column (equal bounds) it is the bound
        that the sign of its reduced cost would hold it at if the bounds differed.
    basic
        Column of each basic variable, shape (B,); -1 for a mass balance, which is fixed at 0.
    fluxes
        Value of each basic variable, shape (B,), mmol/gDW/h.
    response
        Change of each basic variable per unit of each column, shape (B, P); 0 where the column is basic.
    """

    reduced_costs: FloatArray
    at_upper: NDArray[np.bool_]
    basic: IntArray
    fluxes: FloatArray
    response: FloatArray


class FarkasCertificate(NamedTuple):
    """Proof of infeasibility: a sum of fluxes that is 0 in every steady state and below 0 for all within the bounds.

    It is the sum of `weights` times the fluxes of `columns`, both of shape (N,).
    """

    columns: IntArray
    weights: FloatArray
