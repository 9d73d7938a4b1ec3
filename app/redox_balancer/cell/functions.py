"""Metabolic functions: whether a model can do what a cell must be able to do.

A function names what may enter and leave, and what has to: with the boundary closed otherwise, the model performs it
if a steady state does so. Protons cross freely unless it names them, since lists leave them out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from redox_balancer.cell.function_list import EVERYTHING, Function
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.names import split_metabolite
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.records import packaged, table_rows
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

if TYPE_CHECKING:
    import cobra

SLACK = 1e-6  # share of a function that may be missing: round-off


class FunctionTest(NamedTuple):
    """How a model performs a function.

    `share` is the largest share of what it needs, 0 to 1, or None where the model lacks something that it names:
    the metabolites and reactions in `missing`.
    """

    function: Function
    share: float | None
    missing: tuple[str, ...] = ()

    @property
    def performed(self) -> bool:
        """Whether the model performs it."""
        return self.share is not None and self.share >= 1.0 - SLACK

    @property
    def passed(self) -> bool:
        """Whether that is what the list expects."""
        return self.share is not None and self.performed is not self.function.should_fail


def display_names(model: "cobra.Model", network: Network) -> dict[str, str]:
    """The own id of each metabolite by its name and compartment, as published lists name it: `glucose[e]`.

    A name of several metabolites is left out.
    """
    pairs = [(f"{m.name}[{network.compartment_of(m.id)}]", m.id) for m in model.metabolites if m.name]
    count = Counter(name for name, _ in pairs)
    return {name: own for name, own in pairs if count[name] == 1}


@cache
def _published_names() -> dict[str, str]:
    """BiGG name by the name that Human-GEM's lists of functions use, without compartment."""
    return dict(table_rows(packaged("metabolite_names.tsv").read_text(encoding="utf-8")))


class FunctionalCell:
    """A model as its functions see it: closed, with columns for all that they let in and out.

    Forced fluxes of the model are not enforced; growth and all other reactions inside stay as they are. `names` are
    further names of metabolites, see `display_names`. `network` is the closed model with the new columns, closed,
    too, and `missing` what the model lacks, by function that names it.
    """

    def __init__(
        self, network: Network, functions: Iterable[Function], names: Mapping[str, str] | None = None
    ) -> None:
        self._network, self._names = network, names or {}
        self.missing: dict[str, tuple[str, ...]] = {}
        self._bounds: dict[str, dict[str, tuple[float, float]]] = {}
        self._goals: dict[str, Column] = {}
        columns: dict[str, Column] = {}
        for function in functions:
            lacking = [name for name in function.metabolites if self._find(name) is None]
            lacking += [name for name in function.changed if network.find_reaction(name) is None]
            if lacking:
                self.missing[function.name] = tuple(lacking)
            else:
                columns |= self._columns(function)
        closed = network.unforced().with_bounds(dict.fromkeys(network.boundary, (0.0, 0.0)))
        self.network = closed.with_columns([*columns.values(), *self._goals.values()])

    def _find(self, name: str) -> str | None:
        """Own id of a metabolite by the model's name or id, its BiGG name, or a name that Human-GEM uses."""
        network = self._network
        if found := self._names.get(name) or network.find_metabolite(name):
            return found
        species, letter = split_metabolite(name)
        return network.find_metabolite(f"{_published_names().get(name.rpartition('[')[0], species)}_{letter}")

    def _columns(self, function: Function) -> Iterator[tuple[str, Column]]:
        """The columns that a function needs; their bounds and its goal, the sum of all that it needs, are noted.

        What may be more than needed has a column of its own, so that the goal is a single flux.
        """
        network = self._network
        goal: defaultdict[str, float] = defaultdict(float)
        bounds: dict[str, tuple[float, float]] = {}
        supply: dict[str, list[float]] = {}
        for flows, sign in ((function.inputs, 1.0), (function.outputs, -1.0)):
            for name, amount in sorted(flows.items(), key=lambda flow: not EVERYTHING.fullmatch(flow[0])):
                for own in self._metabolites(name):
                    goal[own] += sign * amount.least
                    supply.setdefault(own, [0.0, 0.0])[flows is function.inputs] = amount.most - amount.least
        if protons := network.find_metabolite("h_e"):
            supply.setdefault(protons, [OPEN, OPEN])
        for own, (removed, supplied) in supply.items():
            yield f"flow {own}", Column(f"flow {own}", {own: 1.0})
            bounds[f"flow {own}"] = (-removed, supplied)
        for number, (equation, amount) in enumerate(function.equations):
            found = {str(self._find(name)): value for name, value in equation.items()}
            needed = max(amount.least, 0.0)
            for own, value in found.items():
                goal[own] += needed * value
            column = f"equation {number} of {function.name}"
            yield column, Column(column, found)
            bounds[column] = (min(amount.least, 0.0), amount.most - needed)
        for reaction, limits in function.changed.items():
            bounds[str(network.find_reaction(reaction))] = limits
        # Coefficients of an ordinary size, whatever the amounts: a list asks for 0.0001 albumin.
        scale = max(map(abs, goal.values()), default=0.0) or 1.0
        name, shares = f"goal {function.name}", {own: value / scale for own, value in goal.items() if value}
        self._goals[function.name] = Column(name, shares)
        bounds[name] = (0.0, scale)
        self._bounds[function.name] = bounds

    def _metabolites(self, name: str) -> Iterable[str]:
        """The metabolite of a name, or all of a compartment or of the model for ALLMETSIN and ALLMETS."""
        if not (everything := EVERYTHING.fullmatch(name)):
            return (str(self._find(name)),)
        letter = everything[1]
        return (m for m in self._network.metabolites if letter in (None, self._network.compartment_of(m)))

    def goal(self, function: Function) -> tuple[str, float]:
        """Name of the column that performs a function, and the flux at which it does."""
        column = self._goals[function.name]
        return column.id, self._bounds[function.name][column.id][1]

    def bounds(self, function: Function) -> dict[str, tuple[float, float]]:
        """Bounds that differ from those of `network` while a function is performed, mmol/gDW/h."""
        return self._bounds[function.name]


def perform(
    network: Network,
    functions: Iterable[Function],
    names: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> list[FunctionTest]:
    """Test which functions a model performs; arguments as of `FunctionalCell`.

    A RedoxError if a function's linear program has no optimum.
    """
    functions = tuple(functions)
    cell = FunctionalCell(network, functions, names)
    outcomes = []
    with FluxLP(cell.network, {}) as lp:
        for done, function in enumerate(functions):
            progress("functions", done, len(functions))
            if missing := cell.missing.get(function.name):
                outcomes.append(FunctionTest(function, None, missing))
                continue
            goal, needed = cell.goal(function)
            for column, bounds in cell.bounds(function).items():
                lp.set_bounds(cell.network.column(column), *bounds)
            lp.set_objective({goal: 1.0})
            solution = lp.maximise()
            if not solution.optimal:
                raise RedoxError(f"the function {function.name!r} ended {solution.status.value} on {network.id}")
            outcomes.append(FunctionTest(function, min(1.0, solution.objective / needed)))
            for column in cell.bounds(function):
                lp.set_bounds(cell.network.column(column), *cell.network.bounds_of(column))
    return outcomes
