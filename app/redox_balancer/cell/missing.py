"""What a medium lacks where nothing grows on it: the smallest set of uptakes, and of secretions, that would help.

Two questions decide whether a cell grows: whether a steady state in the allowed directions makes biomass, and whether
the fluxes that bounds force, such as maintenance, are possible within the bounds. Each is a linear program

    maximise t   subject to   S (v + f t) = 0,  bounds of v,  0 <= t <= 1

where f are the forced fluxes, or 1 in the growth reaction; the answer is yes if t = 1. Where it is smaller, its dual
solution is the proof: t stays smaller unless one of the exchanges with a negative reduced cost opens. Each such proof
is a row of a covering problem, whose smallest solution is tried next (combinatorial Benders decomposition: Codato &
Fischetti 2006, Oper. Res. 54:756), so the first set that works is a smallest one. HiGHS, through SciPy, solves both.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, linprog, milp

from redox_balancer.cell.consistency import stoichiometric_matrix
from redox_balancer.cell.exchanges import extracellular_exchanges, find_exchange
from redox_balancer.cell.media import OPEN, load_media
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.repairs import shortened
from redox_balancer.errors import RedoxError

TIME_LIMIT_S = 20.0
SHOWN = 20  # missing uptakes that an error names

_NEARLY_ONE = 1.0 - 1e-6
_REDUCED_COST = 1e-9
_UNUSUAL = 1e-3
"""Extra cost of an uptake that no packaged medium has: of two smallest sets the more usual one is named."""


@dataclass(frozen=True)
class MissingUptakes:
    """Uptakes, secretions and drains that make a cell grow; none where nothing does.

    They are named by BiGG, a closed secretion as `secretion of EX_co2_e`. `complete` says whether they suffice and no
    smaller set does; otherwise time was short, and there are at least as many.
    """

    exchanges: tuple[str, ...]
    complete: bool = True

    def __str__(self) -> str:
        if not self.exchanges:
            return "no uptake or secretion would make it grow"
        return f"missing: {'' if self.complete else 'at least '}{shortened(self.exchanges, SHOWN)}"


class _SolverError(Exception):
    """A linear program ended without an answer."""


class _Candidate(NamedTuple):
    """A bound that may be opened: its column, whether it is the upper one, its name and its cost."""

    column: int
    is_upper: bool
    name: str
    weight: float


def largest_flux(
    matrix: sp.csc_array, column: int, lower: FloatArray, upper: FloatArray, time_limit_s: float = TIME_LIMIT_S
) -> OptimizeResult:
    """Maximise one column v_j subject to matrix v = 0 and the bounds, by HiGHS; `fun` of the answer is -v_j."""
    costs = np.zeros(matrix.shape[1])
    costs[column] = -1.0
    balance, bounds = np.zeros(matrix.shape[0]), np.column_stack([lower, upper])
    return linprog(costs, A_eq=matrix, b_eq=balance, bounds=bounds, options={"time_limit": time_limit_s})


class _Question(NamedTuple):
    """A linear program with t as its last column."""

    matrix: sp.csc_array
    lower: FloatArray
    upper: FloatArray

    def ask(self, opened: Iterable[_Candidate]) -> tuple[bool, FloatArray, FloatArray]:
        """Whether t = 1 is possible with these bounds opened, and the reduced costs at lower and at upper bounds."""
        lower, upper = self.lower.copy(), self.upper.copy()
        for column, is_upper, _, _ in opened:
            (upper if is_upper else lower)[column] = np.inf if is_upper else -np.inf
        found = largest_flux(self.matrix, -1, lower, upper)
        if found.status != 0:
            raise _SolverError(found.message)
        return bool(found.x[-1] > _NEARLY_ONE), found.lower.marginals, -found.upper.marginals


def does_not_grow(
    network: Network, medium: str = "this medium", status: str = "", missing: MissingUptakes | None = None
) -> RedoxError:
    """The error for a cell that does not grow on its medium, with the uptakes that are missing.

    `status` is that of the linear program, if it says more than a growth of 0, and `missing` what is known already.
    """
    what = f"{network.objective} of {network.id} does not grow on {medium}{status and f' ({status})'}"
    hint = "choose another medium or growth reaction"
    missing = missing or missing_uptakes(network)
    if missing is None:
        return RedoxError(what, hint=hint, settings=("medium", "biomass"))
    if missing.exchanges:
        hint = f"add what is missing to the medium, or {hint}"
    else:
        hint = "check the bounds of the model, and that it can make all that the growth reaction consumes"
    return RedoxError(f"{what}; {missing}", hint=hint, settings=("medium", "biomass"))


def missing_uptakes(network: Network, time_limit_s: float = TIME_LIMIT_S) -> MissingUptakes | None:
    """Find a smallest set of uptakes, and of closed drains, that makes a cell grow which does not.

    None if the solver failed. After `time_limit_s` the search ends with what is missing at least.
    """
    end = time.monotonic() + time_limit_s
    lower, upper = network.lower, network.upper
    forced = np.where(lower > 0, lower, np.where(upper < 0, upper, 0.0))
    growth = network.column(network.objective)
    if upper[growth] <= 0.0:
        return MissingUptakes(())
    grown = np.zeros(len(lower))
    grown[growth] = 1.0
    S = stoichiometric_matrix(network)

    def question(flux: FloatArray, lowest: FloatArray, highest: FloatArray) -> _Question:
        matrix = sp.hstack([S, sp.csc_array((S @ flux)[:, None])], format="csc")
        return _Question(matrix, np.append(lowest, 0.0), np.append(highest, 1.0))

    backward = np.where((lower < 0) & (grown == 0), -np.inf, 0.0)
    questions = [question(grown, backward, np.where(upper > 0, np.inf, 0.0))]
    if forced.any():
        questions.append(question(forced, lower - np.maximum(forced, 0.0), upper - np.minimum(forced, 0.0)))
    candidates = _candidates(network)
    cuts: list[list[int]] = []
    while True:
        chosen = _smallest_cover(cuts, [candidate.weight for candidate in candidates])
        if chosen is None:
            return MissingUptakes(())
        names = tuple(candidates[place].name for place in chosen)
        if cuts and time.monotonic() > end:
            return MissingUptakes(names, complete=False)
        try:
            cut = next((cut for each in questions if (cut := _cut(each, candidates, chosen)) is not None), None)
        except _SolverError:
            return None
        if cut is None:
            return MissingUptakes(names)
        cuts.append(cut)


def _candidates(network: Network) -> list[_Candidate]:
    """Uptakes that are not unlimited, and secretions and drains that are closed: growth may need one of them."""
    listed = {name for medium in load_media().values() for name in medium.uptakes}
    usual = {exchange.metabolite for name in listed if (exchange := find_exchange(network, name)) is not None}
    found = []
    for exchange in extracellular_exchanges(network):
        if exchange.uptake < OPEN:
            supplier = exchange.importer
            name = network.bigg_names.get(supplier.id, supplier.id)
            name = f"more of {name}" if exchange.uptake > 0 else name
            weight = 1.0 if exchange.metabolite in usual else 1.0 + _UNUSUAL
            found.append(_Candidate(network.column(supplier.id), supplier.coefficient > 0, name, weight))
        if not exchange.export:
            remover = exchange.exporter
            name = f"secretion of {network.bigg_names.get(remover.id, remover.id)}"
            found.append(_Candidate(network.column(remover.id), remover.coefficient < 0, name, 1.0 + 3 * _UNUSUAL))
    for drain in sorted(set(network.boundary) - set(network.exchanges)):
        column = network.column(drain)
        if network.lower[column] == network.upper[column] == 0.0:
            removes = bool(network.data[network.indptr[column]] < 0)
            found.append(_Candidate(column, removes, drain, 1.0 + 2 * _UNUSUAL))
    return found


def _cut(question: _Question, candidates: Sequence[_Candidate], chosen: Sequence[int]) -> list[int] | None:
    """Candidates of which at least one has to be opened besides the chosen ones; None if these suffice.

    All candidates that a proof does not name may be opened without refuting it: the proof of that is a stronger one.
    """
    opened, cut = set(chosen), None
    while True:
        enough, at_lower, at_upper = question.ask(candidates[place] for place in opened)
        if enough:
            return cut
        costs = [(at_upper if is_upper else at_lower)[column] for column, is_upper, _, _ in candidates]
        cut = [place for place, cost in enumerate(costs) if place not in opened and cost > _REDUCED_COST]
        if len(opened) + len(cut) == len(candidates):
            return cut
        opened |= set(range(len(candidates))) - set(cut)


def _smallest_cover(cuts: Sequence[Sequence[int]], weights: Sequence[float]) -> list[int] | None:
    """The cheapest set with an element of each cut; None if there is none."""
    if not cuts:
        return []
    if not all(cuts):
        return None
    rows = [row for row, cut in enumerate(cuts) for _ in cut]
    entries = np.ones(len(rows)), (rows, [place for cut in cuts for place in cut])
    matrix = sp.csc_array(entries, shape=(len(cuts), len(weights)))
    cover, whole = LinearConstraint(matrix, 1.0, np.inf), np.ones(len(weights))
    found = milp(weights, integrality=whole, bounds=Bounds(0.0, 1.0), constraints=cover)
    return np.flatnonzero(found.x > 0.5).tolist()
