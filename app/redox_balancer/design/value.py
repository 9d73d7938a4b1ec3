"""What a construct is worth, from optimal values of linear programs only.

A single flux of an optimal vertex is not unique; the optimum is. Two programs are solved:

(a) mu* = largest growth;
(b) capacity = most NAD(P)H that inserted reactions take from the pools, less the price of H2O2 they leave,
    with growth held at floor = max(0.95 mu_wt(condition), 0.05 mu_wt(healthy)).

    value = capacity / (2 x healthy oxygen uptake) + rescue - 10 x max(0, 0.95 - mu / mu_wt(condition))

One O2 takes four electrons, which is two NAD(P)H: capacity is measured in healthy respirations. Expression
costs growth in proportion (Scott et al. 2010, Science 330:1099): wherever growth is valued it is
mu = mu* (1 - phi / phi_max), in the floor as well. rescue = (mu - mu_wt(condition)) / mu_wt(healthy) where
the condition lowers growth, else 0. The empty construct is worth 0.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Self, TypeVar

from redox_balancer.cell.lp import FluxLP, Solution, Status
from redox_balancer.cell.media import OPEN, Side, limited
from redox_balancer.cell.network import Network
from redox_balancer.design.construct import Construct
from redox_balancer.design.space import H2O2_LEFT, DesignSpace, State
from redox_balancer.errors import RedoxError

Key = TypeVar("Key")
Kept = TypeVar("Kept")

CACHE_ENTRIES = 5_000
CACHE_DROP = 1_000
NO_GROWTH = 1e-9
"""Growth below this, 1/h, is the solver's round-off."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The cell without a construct: growth under a state and the growth to be kept, 1/h."""

    growth: float
    floor: float
    lowered: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A construct under a state.

    Attributes
    ----------
    value
        What it is worth, in healthy respirations.
    growth
        Largest growth, the cost of expression taken off, 1/h.
    capacity
        NAD(P)H taken at the growth floor less the price of H2O2, mmol/gDW/h.
    rescue
        Share of healthy growth won back.
    """

    value: float
    growth: float
    capacity: float
    rescue: float


@dataclass(frozen=True, slots=True)
class Valued:
    """A construct and what it gives."""

    construct: Construct
    outcome: Outcome


class Evaluator:
    """Values of constructs on one design space; holds the linear programs, so one per process.

    Parameters
    ----------
    space
        What can be built, into what.
    cache_entries
        How many outcomes are remembered; the oldest `CACHE_DROP` go when it is full. 0 remembers none, which suits
        a search that asks for nothing twice; what the cell does without a construct is remembered in any case.
    """

    def __init__(self, space: DesignSpace, *, cache_entries: int = CACHE_ENTRIES) -> None:
        self.space = space
        network = self._network = _at_natural_abundance(space)
        settings = space.settings
        self._parameter_columns = tuple(network.column(parameter.reaction) for parameter in space.parameters)
        self._placement_columns = tuple(network.column(placement.reaction) for placement in space.placements)
        capacity_weights = space.electrons()
        if H2O2_LEFT in network.reaction_index:
            capacity_weights[network.column(H2O2_LEFT)] = -settings.h2o2_price
        self._growth_column = network.column(network.objective)
        self._growth_bounds = (
            float(network.lower[self._growth_column]),
            float(network.upper[self._growth_column]),
        )
        self._growth_lp = FluxLP(network)
        if settings.reward == "capacity":
            self._flux_lp = FluxLP(network, {})
            self._flux_lp.set_objective_columns(capacity_weights)
        else:
            self._flux_lp = FluxLP(network)
            sinks = {network.column(p.reaction): 1e-3 for p in space.placements if p.foreign}
            self._flux_lp.set_objective_columns({self._growth_column: 1.0, **sinks})
        self._bounds: dict[int, tuple[float, float]] = {}
        self._outcomes: dict[tuple[tuple[int, ...], State], Outcome] = {}
        self._references: dict[State, Reference] = {}
        self._cache_entries = cache_entries
        healthy = self._growth(Construct.empty(len(space.placements)), space.healthy)
        if healthy <= NO_GROWTH:
            raise RedoxError(
                f"nothing grows: model {network.id} has growth 0 on this medium",
                hint="redox model info FILE --medium M shows growth on a medium; choose another --medium",
            )
        self.healthy_growth = healthy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the linear programs."""
        self._growth_lp.close()
        self._flux_lp.close()

    def reset(self) -> None:
        """Forget bases and caches, so that what follows depends on what is asked alone."""
        self._growth_lp.reset_basis()
        self._flux_lp.reset_basis()
        self._outcomes.clear()
        self._references.clear()

    @property
    def solves(self) -> int:
        """Linear programs solved so far."""
        return self._growth_lp.solves + self._flux_lp.solves

    def reference(self, state: State) -> Reference:
        """The cell without a construct under a state."""
        known = self._references.get(state)
        if known is not None:
            return known
        settings = self.space.settings
        growth = self._growth(Construct.empty(len(self.space.placements)), state)
        reference = Reference(
            growth=growth,
            floor=max(settings.growth_fraction * growth, settings.healthy_floor * self.healthy_growth),
            lowered=growth < self.healthy_growth * (1 - 1e-6),
        )
        remember(self._references, state, reference)
        return reference

    def evaluate(self, construct: Construct, state: State) -> Outcome:
        """Outcome of a construct under a state."""
        key = (construct.levels, state)
        known = self._outcomes.get(key)
        if known is not None:
            return known
        outcome = self._evaluate(construct, state)
        remember(self._outcomes, key, outcome, self._cache_entries)
        return outcome

    def _evaluate(self, construct: Construct, state: State) -> Outcome:
        space, settings = self.space, self.space.settings
        reference = self.reference(state)
        keep = 1.0 - space.protein(construct) / settings.phi_max
        growth = keep * self._growth(construct, state) if len(construct) else reference.growth
        if settings.reward == "sink-flux":
            flux = self._sink_flux(construct, state)
            return Outcome(value=flux, growth=growth, capacity=flux, rescue=0.0)
        capacity = 0.0
        if growth >= reference.floor * (1 - 1e-9) and keep > 0:
            capacity = self._capacity(construct, state, reference.floor / keep)
        rescue = (growth - reference.growth) / self.healthy_growth if reference.lowered else 0.0
        shortfall = 0.0
        if reference.growth > NO_GROWTH:
            shortfall = max(0.0, settings.growth_fraction - growth / reference.growth)
        value = capacity / (2.0 * space.oxygen_uptake) + rescue - settings.growth_penalty * shortfall
        return Outcome(value=value, growth=growth, capacity=capacity, rescue=rescue)

    def _growth(self, construct: Construct, state: State) -> float:
        """Program (a): largest growth before the cost of expression, 1/h."""
        self._apply(construct, state)
        solution = self._growth_lp.maximise()
        if solution.status is Status.INFEASIBLE:
            return 0.0
        growth = _optimum(solution, "growth")
        return growth if growth > NO_GROWTH else 0.0

    def _capacity(self, construct: Construct, state: State, floor: float) -> float:
        """Program (b) with growth of at least `floor`, 1/h, before the cost of expression."""
        if not any(self.space.placements[placement].foreign for placement, _ in construct):
            return 0.0
        self._apply(construct, state)
        # A floor at the very optimum is infeasible by round-off: leave the solver's own tolerance.
        self._flux_lp.set_bounds(self._growth_column, floor * (1 - 1e-9), self._growth_bounds[1])
        solution = self._flux_lp.maximise()
        if solution.status is Status.INFEASIBLE:
            return 0.0
        return max(0.0, _optimum(solution, "capacity"))

    def _sink_flux(self, construct: Construct, state: State) -> float:
        self._apply(construct, state)
        solution = self._flux_lp.maximise()
        if solution.status is Status.INFEASIBLE:
            return 0.0
        _optimum(solution, "sink flux")
        columns = (self.space.network.column(p.reaction) for p in self.space.placements if p.foreign)
        return sum(abs(self._flux_lp.flux(column)) for column in columns)

    def _apply(self, construct: Construct, state: State) -> None:
        """Set the bounds of both programs; only those that differ from the ones in force are touched."""
        wanted = self._changed_bounds(construct, state)
        for column in self._bounds.keys() - wanted.keys():
            self._set(column, (float(self._network.lower[column]), float(self._network.upper[column])))
        for column, bounds in wanted.items():
            if self._bounds.get(column) != bounds:
                self._set(column, bounds)
        self._bounds = wanted

    def _set(self, column: int, bounds: tuple[float, float]) -> None:
        self._growth_lp.set_bounds(column, *bounds)
        self._flux_lp.set_bounds(column, *bounds)

    def _changed_bounds(self, construct: Construct, state: State) -> dict[int, tuple[float, float]]:
        """Bounds, by column, that differ from those of the healthy cell with nothing inserted."""
        space = self.space
        changed: dict[int, tuple[float, float]] = {}
        for parameter, column, limit in zip(space.parameters, self._parameter_columns, state, strict=True):
            if limit < OPEN:
                bounds = changed.get(column, (float(self._network.lower[column]), float(self._network.upper[column])))
                changed[column] = limited(*bounds, parameter.side, limit)
        over_expressed: dict[str, float] = {}
        for position, level in construct:
            placement = space.placements[position]
            if placement.foreign:
                changed[self._placement_columns[position]] = placement.bounds(placement.caps[level])
            else:
                reaction = placement.reaction
                over_expressed[reaction] = over_expressed.get(reaction, 0.0) + placement.caps[level]
        for reaction, extra in over_expressed.items():
            column = space.network.column(reaction)
            bounds = float(space.network.lower[column]), float(space.network.upper[column])
            changed[column] = limited(*bounds, Side.FLUX, space.native_limit(reaction, state) + extra)
        return changed


def _at_natural_abundance(space: DesignSpace) -> Network:
    """Network whose native enzymes are limited as they are in the healthy cell."""
    network = space.network
    bounds = {}
    for reaction in space.capacities:
        column = network.column(reaction)
        lower, upper = float(network.lower[column]), float(network.upper[column])
        bounds[reaction] = limited(lower, upper, Side.FLUX, space.capacities[reaction])
    return network.with_bounds(bounds)


def _optimum(solution: Solution, what: str) -> float:
    if not solution.optimal:
        raise RedoxError(
            f"the largest {what} could not be found: {solution.status.value}",
            hint="check the model's bounds (redox model info FILE), or raise the time limit of a solve",
        )
    return solution.objective


def remember(cache: dict[Key, Kept], key: Key, kept: Kept, entries: int = CACHE_ENTRIES) -> None:
    """Put an entry into a bounded cache; when it is full the oldest `CACHE_DROP` entries go first."""
    if entries == 0:
        return
    if len(cache) >= entries:
        for oldest in list(itertools.islice(cache, min(CACHE_DROP, entries))):
            del cache[oldest]
    cache[key] = kept
