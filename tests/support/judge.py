"""The judge of linear programs over a small network: status and optimum, proven without a solver of ours.

They are solved in rational arithmetic, where nothing depends on a tolerance; a number means the decimal that it is
written as, so 0.1 is a tenth.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import isinf
from typing import NamedTuple

from redox_balancer.cell.network import Network
from redox_balancer.cell.solution import Status

Exact = Fraction | float
"""A rational number, or an infinite bound."""
PATIENCE = 200
"""Pivots by the steepest slope before Bland's rule, which cannot cycle, takes over."""


class Verdict(NamedTuple):
    """Status, optimum (NaN unless optimal) and, if optimal, an optimal flux of each reaction."""

    status: Status
    objective: Exact
    fluxes: tuple[Fraction, ...] = ()


def exact(value: float) -> Exact:
    """Return the decimal number that a float is written as."""
    return value if isinf(value) else Fraction(repr(float(value)))


class ExactProgram:
    """A flux balance problem in rational arithmetic, by the primal simplex for bounded variables.

    Bounds and objective may change between solves, which start from the last basis.
    """

    def __init__(self, network: Network) -> None:
        self._count = len(network.reactions)
        self.lower = [exact(bound) for bound in network.lower.tolist()]
        self.upper = [exact(bound) for bound in network.upper.tolist()]
        # The tableau gives each basic variable as a sum over nonbasic columns. The mass balance of row i is the basic
        # variable -1 - i at first; once it leaves the basis it is 0 for ever, and is forgotten.
        self._tableau: dict[int, dict[int, Fraction]] = {-1 - row: {} for row in range(len(network.metabolites))}
        for column in range(self._count):
            for entry in range(network.indptr[column], network.indptr[column + 1]):
                if network.data[entry]:
                    balance = self._tableau[-1 - int(network.indices[entry])]
                    balance[column] = Fraction(exact(float(network.data[entry])))
        self._at_upper = [False] * self._count
        self._objective = {network.column(network.objective): Fraction(1)} if network.objective else {}

    def maximise(self, weights: Mapping[int, float] | None = None) -> Verdict:
        """Solve for the weights of these columns; by default for the network's own objective."""
        if any(low > high for low, high in zip(self.lower, self.upper, strict=True)):
            return Verdict(Status.INFEASIBLE, float("nan"))
        if weights is not None:
            self._objective = {column: Fraction(exact(weight)) for column, weight in weights.items()}
        for pivots in range(20_000):
            values = self._values()
            slopes = self._repairing(values)
            repairs = slopes is not None
            entering = self._entering(self._slopes(self._objective) if slopes is None else slopes, pivots > PATIENCE)
            if entering is None:
                if repairs:
                    return Verdict(Status.INFEASIBLE, float("nan"))
                optimum = sum((weight * values[column] for column, weight in self._objective.items()), Fraction(0))
                return Verdict(Status.OPTIMAL, optimum, tuple(values[column] for column in range(self._count)))
            if not self._pivot(*entering, values):
                return Verdict(Status.UNBOUNDED, float("nan"))
        raise AssertionError("the exact simplex does not end")

    def _values(self) -> dict[int, Fraction]:
        """Value of every variable: nonbasic ones rest at a bound, or at 0 if they have none."""
        values = {column: self._resting(column) for column in range(self._count) if column not in self._tableau}
        basic = {
            variable: sum((factor * values[column] for column, factor in row.items()), Fraction(0))
            for variable, row in self._tableau.items()
        }
        return values | basic

    def _resting(self, column: int) -> Fraction:
        ends = (self.upper, self.lower) if self._at_upper[column] else (self.lower, self.upper)
        bound = next((end[column] for end in ends if not isinf(end[column])), Fraction(0))
        return Fraction(bound)

    def _bounds(self, variable: int) -> tuple[Exact, Exact]:
        return (self.lower[variable], self.upper[variable]) if variable >= 0 else (Fraction(0), Fraction(0))

    def _slopes(self, weights: Mapping[int, Fraction]) -> dict[int, Fraction]:
        """Change of a weighted sum of variables per unit of each nonbasic column."""
        slopes: dict[int, Fraction] = {}
        for variable, weight in weights.items():
            for column, factor in self._tableau.get(variable, {variable: Fraction(1)}).items():
                slopes[column] = slopes.get(column, Fraction(0)) + weight * factor
        return slopes

    def _repairing(self, values: Mapping[int, Fraction]) -> dict[int, Fraction] | None:
        """Slopes of the sum of all violations, downwards; None where there is none."""
        wrong = {}
        for variable in self._tableau:
            low, high = self._bounds(variable)
            if values[variable] < low:
                wrong[variable] = Fraction(1)
            elif values[variable] > high:
                wrong[variable] = Fraction(-1)
        return self._slopes(wrong) if wrong else None

    def _entering(self, slopes: Mapping[int, Fraction], bland: bool) -> tuple[int, int] | None:  # noqa: FBT001
        """A nonbasic column that can move so that the sum grows, and its direction."""
        able = []
        for column, slope in slopes.items():
            low, high = self.lower[column], self.upper[column]
            value = self._resting(column)
            if (slope > 0 and value < high) or (slope < 0 and value > low):
                able.append((column if bland else -abs(slope), column, 1 if slope > 0 else -1))
        return min(able)[1:] if able else None

    def _pivot(self, column: int, direction: int, values: Mapping[int, Fraction]) -> bool:
        """Move a column until the first bound is met; False where none is."""
        own = self.upper[column] - self.lower[column]
        # Ties go to the variable with the smallest number; the column itself comes last.
        steps = [(own, self._count, direction > 0)] if not isinf(own) else []
        for variable, row in self._tableau.items():
            if column in row:
                speed = direction * row[column]
                met = self._met(variable, values[variable], upwards=speed > 0)
                if met is not None:
                    steps.append(((met[0] - values[variable]) / speed, variable, met[1]))
        if not steps:
            return False
        _, leaving, at_upper = min(steps)
        if leaving == self._count:
            self._at_upper[column] = at_upper
        else:
            self._exchange(leaving, column, at_upper=at_upper)
        return True

    def _met(self, variable: int, value: Fraction, *, upwards: bool) -> tuple[Exact, bool] | None:
        """The bound that a basic variable meets first, and whether it is the upper one.

        A violated bound is met from outside; the other one does not count until then.
        """
        low, high = self._bounds(variable)
        if upwards:
            bound, at_upper = (low, False) if value < low else (high, True)
        else:
            bound, at_upper = (high, True) if value > high else (low, False)
        reached = not isinf(bound) and (bound >= value if upwards else bound <= value)
        return (bound, at_upper) if reached else None

    def _exchange(self, leaving: int, column: int, *, at_upper: bool) -> None:
        """Let a column replace a basic variable, which then rests at a bound."""
        row = self._tableau.pop(leaving)
        factor = 1 / row.pop(column)
        entered = {other: -factor * value for other, value in row.items()}
        if leaving >= 0:
            entered[leaving] = factor
            self._at_upper[leaving] = at_upper
        for other_row in self._tableau.values():
            through = other_row.pop(column, None)
            if through is not None:
                for other, value in entered.items():
                    total = other_row.get(other, 0) + through * value
                    if total:
                        other_row[other] = total
                    else:
                        other_row.pop(other, None)
        self._tableau[column] = entered


def judge(network: Network, weights: Mapping[int, float] | None = None) -> Verdict:
    """Return the proven status and optimum of a small network, in rational arithmetic."""
    return ExactProgram(network).maximise(weights)
