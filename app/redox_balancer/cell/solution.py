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
    """What an optimal basis says of C columns.

    A fixed column (equal bounds) counts as at the bound that the sign of its reduced cost would hold it at if they
    differed. `constant` is the optimum if the columns had no flux, by the reduced costs of all others.
    """

    costs: FloatArray  # change of the objective per unit of a column, shape (C,); 0 where it is basic
    at_upper: NDArray[np.bool_]  # nonbasic at the upper bound, shape (C,)
    rest: NDArray[np.bool_]  # at a bound, shape (C,)
    constant: float | None = None  # None if it is not proven


class Tableau(NamedTuple):
    """An optimal vertex as a function of the bounds of C columns that are not basic, all other bounds fixed.

    `vertex` has rows over (values of the columns, 1), in mmol/gDW/h, with 0 for the value of a column that does not
    rest at a bound: those of R `variables`, which are fluxes, and imbalances by their number plus that of all fluxes.
    """

    at: ReducedCosts
    variables: NDArray[np.intp]  # shape (R,)
    vertex: FloatArray  # shape (R, C + 1)

    def responding(self, columns: Sequence[int]) -> tuple[NDArray[np.intp], FloatArray]:
        """The variables that respond to its columns, and these themselves, ascending, and their rows."""
        chosen = np.zeros(self.variables.max(initial=-1) + 1, dtype=np.bool_)
        chosen[list(columns)] = True
        places = (chosen[self.variables] | self.vertex[:, :-1].any(axis=1)).nonzero()[0]
        places = places[self.variables[places].argsort()]
        return self.variables[places], self.vertex[places]


class FarkasCertificate(NamedTuple):
    """Proof of infeasibility: a sum of fluxes that is 0 in every steady state and below 0 for all within the bounds.

    It is the sum of `weights` times the fluxes of `columns`, both of shape (N,).
    """

    columns: IntArray
    weights: FloatArray
