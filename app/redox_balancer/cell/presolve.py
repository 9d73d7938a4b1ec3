"""Presolve: a linear program over a genome-scale network as one with a fifth of the mass balances.

Bounds that stand for "unlimited" are left aside, and these rules are applied until none applies (Andersen & Andersen
1995, Math. Program. 71:221):

1. A flux that its mass balance alone keeps within its bounds, or that has none, is substituted by the other fluxes of
   this balance: both disappear.
2. A reaction parallel to one that is not limited in its direction is removed, as is one without a metabolite left and
   one that is the only one of a metabolite.

What is left is a relaxation, so its optimum is an upper bound and what is infeasible there is so in the network. Its
fluxes determine all fluxes of the network: where these are within the bounds, the optimum is that of the network.
Where they are not, `PresolvedLP` solves the network itself.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from redox_balancer.cell.compress import Compression, direction
from redox_balancer.cell.glpk import UNLIMITED
from redox_balancer.cell.lp import FluxLP, LPError, is_plain
from redox_balancer.cell.network import FloatArray, IntArray, Network
from redox_balancer.cell.solution import FarkasCertificate, ReducedCosts, Solution, Status, Tableau

FILL = 400
"""Largest number of new coefficients that a substitution may cause."""
STABLE = 0.01
"""Smallest coefficient to divide by, relative to the largest of the column."""
ROUND_OFF = 1e-12
"""Weight in a proof of infeasibility, relative to the largest, that is round-off."""


@dataclass(frozen=True, eq=False)
class Presolved:
    """A network and its presolved form.

    Attributes
    ----------
    network, reduced
        Before and after. The columns of `reduced` have the ids that they have in `network`.
    kept, substituted
        Columns of the network that are left, in the order of those of `reduced`, and that follow from them. All
        others carry no flux.
    limits
        The network with the bounds that have to be observed yet: without those that follow from mass balances.
    least, most
        Bounds that `reduced` has left aside, shape (reactions,), mmol/gDW/h; infinite where there is none.
    """

    network: Network
    reduced: Network
    kept: IntArray
    substituted: IntArray
    limits: Network
    least: FloatArray
    most: FloatArray
    _lift: Any

    def fluxes(self, reduced: FloatArray) -> FloatArray:
        """All fluxes of the network that belong to fluxes of the reduced one, shape (reactions of it,)."""
        fluxes = np.zeros(len(self.least))
        fluxes[self.kept] = reduced
        fluxes[self.substituted] = self._lift @ reduced
        return fluxes

    def lifted(self, tableau: Tableau) -> Tableau:
        """The tableau of the network that belongs to one of the reduced network; what carries no flux has no row."""
        fluxes, imbalances = np.vsplit(tableau.vertex, [len(self.kept)])
        own = np.arange(len(imbalances)) + len(self.least)
        variables = np.concatenate([self.kept, self.substituted, own])
        return Tableau(tableau.at, variables, np.vstack([fluxes, self._lift @ fluxes, imbalances]))


def presolve(network: Network, protected: Iterable[str]) -> Presolved | None:
    """Presolve a network; None where it is so small or well scaled that it needs no proofs (`is_plain`).

    `protected` are the reactions whose bounds change or that have a weight in an objective, as for `compress`.
    """
    if is_plain(network):
        return None
    work = _Presolve(network, {network.column(reaction) for reaction in (*protected, network.objective)})
    while work.drop() or work.substitute():
        pass
    work.drop_redundant_balances()
    return work.presolved()


class _Presolve(Compression):
    """Working state of a presolve."""

    def __init__(self, network: Network, protected: set[int]) -> None:
        super().__init__(network, protected)
        self._substitutions: dict[int, dict[int, float]] = {}
        self._least, self._most = np.full((2, len(network.reactions)), ((-np.inf,), (np.inf,)))

    def drop(self) -> bool:
        """Apply rule 2; return whether it applied."""
        before, alike = len(self._columns), dict[tuple[tuple[int, float], ...], int]()
        for touching in self._rows.values():
            self._drop_idle(touching - self._protected if len(touching) == 1 else ())
        self._drop_idle([column for column, entries in self._columns.items() if not entries])
        for column in sorted(self._columns.keys() - self._protected):
            if not self._columns[column]:  # a flux other than 0 is forced
                continue
            along = direction(self._columns[column])
            other = alike.setdefault(along, column)
            if other != column and not self._absorbs(other, column) and self._absorbs(column, other):
                alike[along] = column
        return len(self._columns) < before

    def substitute(self) -> bool:
        """Apply rule 1, where it causes fewest new coefficients first; return whether it applied."""
        queue = [(place[0], column) for column in self._columns if (place := self._place(column))]
        heapq.heapify(queue)
        before = len(self._columns)
        while queue:
            fill, column = heapq.heappop(queue)
            place = self._place(column)
            if place is not None and place[0] > fill:
                heapq.heappush(queue, (place[0], column))
            elif place is not None:
                self._substitute(column, place[1])
        return len(self._columns) < before

    def presolved(self) -> Presolved:
        """Return the result."""
        reduced, network = self.network(), self._network
        kept = np.fromiter(sorted(self._columns), np.int32)
        place = {column: position for position, column in enumerate(kept.tolist())}
        lift: dict[int, dict[int, float]] = {}
        for column, weights in reversed(self._substitutions.items()):
            lift[column] = {}
            for other, weight in weights.items():
                parts = lift[other] if other in lift else {place[other]: 1.0} if other in place else {}
                for position, share in parts.items():
                    lift[column][position] = lift[column].get(position, 0.0) + weight * share
        columns = np.fromiter(lift, np.int32)
        lower, upper = network.lower.copy(), network.upper.copy()
        lower[columns], upper[columns] = self._least[columns], self._most[columns]
        import scipy.sparse as sp  # noqa: PLC0415 - actors on a core that needs no proofs do without

        starts = np.cumsum([0, *map(len, lift.values())])
        chosen = [position for parts in lift.values() for position in parts]
        data = [share for parts in lift.values() for share in parts.values()]
        product = sp.csr_array((data, chosen, starts), shape=(len(lift), len(kept)), dtype=np.float64)
        limits = replace(network, lower=lower, upper=upper)
        return Presolved(network, reduced, kept, columns, limits, self._least, self._most, product)

    def _drop_idle(self, columns: Iterable[int]) -> None:
        """Remove columns that can be 0, except protected ones."""
        for column in columns:
            if column not in self._protected and self._lower[column] <= 0.0 <= self._upper[column]:
                self._remove(column)

    def _absorbs(self, first: int, second: int) -> bool:
        """Remove the second of two parallel columns if the first can take its flux; return whether it can."""
        row = min(self._columns[first])
        lower, upper = self._scaled(second, self._columns[second][row] / self._columns[first][row])
        at_least, at_most = self._lower[first], self._upper[first]
        falls, rises = at_least <= -UNLIMITED or lower == 0, at_most >= UNLIMITED or upper == 0
        if not (falls and rises and lower <= 0.0 <= upper):
            return False
        self._least[first], self._most[first] = self._network.lower[first], self._network.upper[first]
        self._lower[first], self._upper[first] = at_least + lower, at_most + upper
        self._remove(second)
        return True

    def _place(self, column: int) -> tuple[int, int] | None:
        """Number of new coefficients, and the row, for the substitution of a column; None where there is none."""
        entries = self._columns.get(column, {}) if column not in self._protected else {}
        smallest = STABLE * max(map(abs, entries.values()), default=0.0)
        sizes = sorted((len(self._rows[row]), row) for row, value in entries.items() if abs(value) >= smallest)
        for size, row in sizes:
            fill = (size - 1) * (len(entries) - 1) - (size + len(entries) - 1)
            if fill > FILL:
                return None
            above, below = self._kept_within(column, row)
            if (above or self._lower[column] <= -UNLIMITED) and (below or self._upper[column] >= UNLIMITED):
                return fill, row
        return None

    def _kept_within(self, column: int, row: int) -> tuple[bool, bool]:
        """Whether the signs of the other fluxes of a balance keep one above its lower bound, and below its upper one.

        They can where the bound is 0 or on the far side of it.
        """
        forwards = self._columns[column][row] > 0
        above, below = self._lower[column] <= 0.0, self._upper[column] >= 0.0
        for other in self._rows[row] - {column}:
            falls = other in self._protected or self._lower[other] < 0
            rises = other in self._protected or self._upper[other] > 0
            if (self._columns[other][row] > 0) == forwards:
                falls, rises = rises, falls
            above, below = above and not falls, below and not rises
        return above, below

    def _substitute(self, column: int, row: int) -> None:
        above, below = self._kept_within(column, row)
        self._least[column] = -np.inf if above else self._network.lower[column]
        self._most[column] = np.inf if below else self._network.upper[column]
        entries = self._columns[column]
        weights = {other: -self._columns[other][row] / entries[row] for other in sorted(self._rows[row] - {column})}
        self._substitutions[column] = weights
        for other, weight in weights.items():
            for balance, value in entries.items():
                if balance != row:
                    self._add(other, balance, weight * value)
            del self._columns[other][row]
        self._remove(column)
        del self._rows[row]


class PresolvedLP:
    """What `FluxLP` does for a network, by its presolved form wherever the fluxes are within all bounds.

    Bounds of protected reactions alone can be set. `objective` has their weights by column of the network; all others
    weigh 0. `solves` counts the solves so far.
    """

    def __init__(self, presolved: Presolved, objective: Mapping[int, float]) -> None:
        self._presolved, self._objective = presolved, objective
        self._place = np.zeros(len(presolved.least), dtype=np.int32)
        self._place[presolved.kept] = np.arange(len(presolved.kept))
        self._bounds: dict[int, tuple[float, float]] = {}
        self._reduced = self._start()
        self._whole: FluxLP | None = None
        self._answers_whole, self.solves = False, 0

    def _start(self) -> FluxLP:
        lp = FluxLP(self._presolved.reduced, {}, proven=True)
        lp.set_objective_columns({self._place.item(column): weight for column, weight in self._objective.items()})
        for column, bounds in self._bounds.items():
            lp.set_bounds(self._place.item(column), *bounds)
        return lp

    def close(self) -> None:
        """Free the problems; further calls do nothing."""
        self._reduced.close()
        self._forget_whole()

    def set_bounds(self, column: int, lower: float, upper: float) -> None:
        """Change the bounds of a protected column, mmol/gDW/h."""
        self._bounds[column] = lower, upper
        self._reduced.set_bounds(self._place.item(column), lower, upper)
        if self._whole is not None:
            self._whole.set_bounds(column, lower, upper)

    def maximise(self, *, far: bool = False) -> Solution:
        """Solve from the last basis, see `FluxLP.maximise`."""
        self.solves += 1
        self._answers_whole = False
        if not self._reduced.hides_bounds:  # for one hard proof; from then on cycles would reach them
            self._reduced.close()
            self._reduced = self._start()
        try:
            solution = self._reduced.maximise(far=far)
            if self._holds(solution):
                return solution
        except LPError:
            pass
        self._answers_whole = True
        return self._network_lp().maximise(far=True)

    def _holds(self, solution: Solution) -> bool:
        """Whether an answer of the reduced network is one of the network."""
        if solution.status is not Status.OPTIMAL:
            return solution.status is not Status.UNBOUNDED
        fluxes = self._presolved.fluxes(self._reduced.fluxes())
        return bool(((fluxes >= self._presolved.least) & (fluxes <= self._presolved.most)).all())

    def _network_lp(self) -> FluxLP:
        if self._whole is None:
            self._whole = FluxLP(self._presolved.network, {})
            self._whole.set_objective_columns(self._objective)
            for column, bounds in self._bounds.items():
                self._whole.set_bounds(column, *bounds)
        return self._whole

    def flux(self, column: int) -> float:
        """Return the flux of a protected column at the last optimum, mmol/gDW/h."""
        if self._answers_whole:
            return self._network_lp().flux(column)
        return self._reduced.flux(self._place.item(column))

    def tableau(self, columns: Sequence[int]) -> Tableau | None:
        """Read the response of the last optimal basis to protected columns; None where there is none."""
        if self._answers_whole:
            return self._network_lp().tableau(columns)
        tableau = self._reduced.tableau(self._place[list(columns)].tolist())
        return tableau and self._presolved.lifted(tableau)

    def reduced_costs(self, columns: Sequence[int]) -> ReducedCosts | None:
        """Read what the last optimal basis says of protected columns; None where there is none."""
        if self._answers_whole:
            return self._network_lp().reduced_costs(columns)
        return self._reduced.reduced_costs(self._place[list(columns)].tolist())

    def farkas_certificate(self) -> FarkasCertificate | None:
        """Return the proof of the last infeasible solve by fluxes of the network, None where there is none."""
        if self._answers_whole:
            return self._network_lp().farkas_certificate()
        found = self._reduced.farkas_certificate()
        if found is None:
            return None
        counted = np.abs(found.weights) > ROUND_OFF * np.abs(found.weights).max()
        own, weights = found.columns[counted], found.weights[counted]
        columns, reduced, network = self._presolved.kept[own], self._presolved.reduced, self._presolved.network
        # The proof is by one bound of each column; of one that has taken in another, that may be wider than its own.
        proving = np.where(weights > 0, reduced.upper[own], reduced.lower[own])
        wider = proving != np.where(weights > 0, network.upper[columns], network.lower[columns])
        return None if wider.any() else FarkasCertificate(columns, weights)

    def reset_basis(self) -> None:
        """Discard the last basis, so that the next solve depends on bounds and objective alone."""
        self._reduced.reset_basis()
        self._forget_whole()

    def _forget_whole(self) -> None:
        if self._whole is not None:
            self._whole.close()
            self._whole = None
