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

Two other tasks change this. With the reward `guaranteed` the capacity is the least that inserted reactions take at
largest growth: what is coupled to growth. With uncertain figures the value is the mean over sampled sets of them.
"""

from __future__ import annotations

import itertools
from dataclasses import astuple, dataclass
from typing import NamedTuple, Self, TypeVar

from redox_balancer.cell.lp import Solution, Status
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.regions import AGREEMENT, REGION_BYTES, Parameter, ParametricLP
from redox_balancer.design.construct import Construct
from redox_balancer.design.formulation import (
    AT_OPTIMUM,
    NO_GROWTH,
    Formulation,
    UnmodifiedCell,
    capacity_weights,
    growth_floor,
    growth_kept,
    guaranteed_weights,
    held_biomass_flux,
    reaches_floor,
)
from redox_balancer.design.space import DesignSpace, State
from redox_balancer.errors import RedoxError

Key = TypeVar("Key")
Kept = TypeVar("Kept")

CACHE_ENTRIES = 5_000
CACHE_DROP = 1_000
STATES = 1_000
"""States remembered; a sampled one never comes again once its episode has ended."""


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
        NAD(P)H taken less the price of H2O2, mmol/gDW/h: the most at the growth floor, or with the reward
        `guaranteed` the least at largest growth, which is negative where the construct may run the other way.
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


class _Start(NamedTuple):
    """A state, computed once: what the cell is without a construct and the bounds it starts from."""

    reference: Reference
    cell: UnmodifiedCell


class Evaluator:
    """Values of constructs on one design space; holds the linear programs, so one per process.

    Parameters
    ----------
    space
        What can be built, into what.
    cache_entries
        How many outcomes are remembered; the oldest `CACHE_DROP` go when it is full. 0 remembers none, which suits
        a search that asks for nothing twice; what the cell does without a construct is remembered in any case.
    region_bytes
        Memory for the critical regions of each program, see `ParametricLP`; with 0 every optimum is solved for.
    compressed
        Solve on a smaller network with the same optima, see `compress`.
    exact_check
        Solve the plain programs as well and compare each outcome; a difference is a RedoxError.
    """

    def __init__(
        self,
        space: DesignSpace,
        *,
        cache_entries: int = CACHE_ENTRIES,
        region_bytes: int = REGION_BYTES,
        compressed: bool = True,
        exact_check: bool = False,
    ) -> None:
        self.space = space
        settings = space.settings
        self._formulation = Formulation(space, compressed=compressed)
        network, parameters = self._formulation.network, self._formulation.parameters
        growth = network.column(network.objective)
        self._foreign = tuple(placement.foreign for placement in space.placements)
        self._growth_lp = ParametricLP(network, {growth: 1.0}, parameters, region_bytes=region_bytes)
        most = _optimum(self._growth_lp.maximise(self._formulation.widest()[:-1]), "growth")
        if settings.reward == "sink-flux":
            # A flux is no optimum: it is read from the vertex that a solve ends at.
            sinks = {network.column(p.reaction): 1e-3 for p in space.placements if p.foreign}
            self._flux_lps = [ParametricLP(network, {growth: 1.0, **sinks}, parameters, region_bytes=0)]
        else:
            floor = Parameter(growth, upper=False, low=0.0, high=max(0.0, most) * (1 + 1e-6))
            if settings.reward == "capacity":
                objectives = [capacity_weights(space)]
            else:
                # The minimum is the negative of a maximum.
                objectives = [{r: -weight for r, weight in weights.items()} for weights in guaranteed_weights(space)]
            self._flux_lps = [
                ParametricLP(
                    network,
                    {network.column(reaction): weight for reaction, weight in weights.items()},
                    [*parameters, floor],
                    region_bytes=region_bytes,
                )
                for weights in objectives
            ]
        self._lps = (self._growth_lp, *self._flux_lps)
        self._outcomes: dict[tuple[tuple[int, ...], State, int | None], Outcome] = {}
        self._means: dict[tuple[tuple[int, ...], State], Outcome] = {}
        self._starts: dict[State, _Start] = {}
        self._cache_entries = cache_entries
        self.healthy_growth = self._growth(self._formulation.under(space.healthy).point)
        if self.healthy_growth <= NO_GROWTH:
            raise RedoxError(
                f"nothing grows: model {network.id} has growth 0 on this medium",
                hint="redox model info FILE --medium M shows growth on a medium; choose another --medium",
            )
        self._plain = Evaluator(space, cache_entries=0, region_bytes=0, compressed=False) if exact_check else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the linear programs."""
        for lp in self._lps:
            lp.close()
        if self._plain is not None:
            self._plain.close()

    def reset(self) -> None:
        """Forget bases, regions and caches, so that what follows depends on what is asked alone."""
        for lp in self._lps:
            lp.reset()
        self._outcomes.clear()
        self._means.clear()
        self._starts.clear()
        if self._plain is not None:
            self._plain.reset()

    @property
    def solves(self) -> int:
        """Linear programs solved so far."""
        return sum(lp.solves for lp in self._lps)

    @property
    def lookups(self) -> int:
        """Optima asked for so far."""
        return sum(lp.lookups for lp in self._lps)

    @property
    def hits(self) -> int:
        """Optima that a critical region gave."""
        return sum(lp.hits for lp in self._lps)

    @property
    def disagreements(self) -> int:
        """Look-ups that a solve has contradicted; anything but 0 is a fault."""
        return sum(lp.disagreements for lp in self._lps)

    def reference(self, state: State) -> Reference:
        """The cell without a construct under a state."""
        return self._start(state).reference

    def _start(self, state: State) -> _Start:
        known = self._starts.get(state)
        if known is not None:
            return known
        cell = self._formulation.under(state)
        growth = self._growth(cell.point)
        reference = Reference(
            growth=growth,
            floor=growth_floor(self.space.settings, growth, self.healthy_growth),
            lowered=growth < self.healthy_growth * (1 - 1e-6),
        )
        start = _Start(reference, cell)
        remember(self._starts, state, start, STATES)
        return start

    def evaluate(self, construct: Construct, state: State) -> Outcome:
        """What a construct is worth under a state: its outcome, or the mean of those of all sets of figures."""
        sets = len(self.space.parameter_samples)
        if not sets:
            return self.outcome(construct, state)
        key = (construct.levels, state)
        known = self._means.get(key)
        if known is None:
            outcomes = [self.outcome(construct, state, figures) for figures in range(sets)]
            known = Outcome(*(sum(figures) / sets for figures in zip(*map(astuple, outcomes), strict=True)))
            remember(self._means, key, known, self._cache_entries)
        return known

    def outcome(self, construct: Construct, state: State, figures: int | None = None) -> Outcome:
        """Outcome of a construct under a state with one set of figures; None takes the library's own."""
        key = (construct.levels, state, figures)
        known = self._outcomes.get(key)
        if known is not None:
            return known
        outcome = self._outcome(construct, state, figures)
        if self._plain is not None:
            self._compare(construct, state, outcome, self._plain.outcome(construct, state, figures))
        remember(self._outcomes, key, outcome, self._cache_entries)
        return outcome

    def _outcome(self, construct: Construct, state: State, figures: int | None) -> Outcome:
        space, settings = self.space, self.space.settings
        reference, cell = self._start(state)
        placed = tuple(construct)
        keep = growth_kept(settings, space.protein(construct))
        growth, point = reference.growth, cell.point
        if placed:
            point = self._formulation.with_placed(cell, placed, figures)
            growth = keep * self._growth(point)
        if settings.reward == "sink-flux":
            flux = self._sink_flux(point)
            return Outcome(value=flux, growth=growth, capacity=flux, rescue=0.0)
        capacity = 0.0
        # Native enzymes alone take nothing from the pools.
        if reaches_floor(growth, reference.floor) and keep > 0 and any(self._foreign[place] for place, _ in placed):
            if settings.reward == "guaranteed":
                point[-1] = growth / keep * AT_OPTIMUM
                capacity = self._least(point)
            else:
                point[-1] = held_biomass_flux(reference.floor, keep)
                capacity = self._capacity(point)
        rescue = (growth - reference.growth) / self.healthy_growth if reference.lowered else 0.0
        shortfall = 0.0
        if reference.growth > NO_GROWTH:
            shortfall = max(0.0, settings.growth_fraction - growth / reference.growth)
        value = capacity / (2.0 * space.oxygen_uptake) + rescue - settings.growth_penalty * shortfall
        return Outcome(value=value, growth=growth, capacity=capacity, rescue=rescue)

    def _growth(self, point: FloatArray) -> float:
        """Program (a): largest growth before the cost of expression, 1/h."""
        solution = self._growth_lp.maximise(point[:-1])
        if solution.status is Status.INFEASIBLE:
            return 0.0
        growth = _optimum(solution, "growth")
        return growth if growth > NO_GROWTH else 0.0

    def _capacity(self, point: FloatArray) -> float:
        """Program (b), growth of at least the last of `point`, 1/h, before the cost of expression."""
        solution = self._flux_lps[0].maximise(point)
        if solution.status is Status.INFEASIBLE:
            return 0.0
        return max(0.0, _optimum(solution, "capacity"))

    def _least(self, point: FloatArray) -> float:
        """The least of the same quantity with growth of at least the last of `point`."""
        return min(-_optimum(lp.maximise(point), "guaranteed minimum") for lp in self._flux_lps)

    def _sink_flux(self, point: FloatArray) -> float:
        solution = self._flux_lps[0].maximise(point[:-1])
        if solution.status is Status.INFEASIBLE:
            return 0.0
        _optimum(solution, "sink flux")
        columns = (self._formulation.network.column(p.reaction) for p in self.space.placements if p.foreign)
        return sum(abs(self._flux_lps[0].flux(column)) for column in columns)

    def _compare(self, construct: Construct, state: State, outcome: Outcome, plain: Outcome) -> None:
        for name in ("value", "growth", "capacity", "rescue"):
            ours, theirs = getattr(outcome, name), getattr(plain, name)
            if abs(ours - theirs) > AGREEMENT * max(1.0, abs(theirs)):
                placed = [f"{p['placement']} {p['proteome_fraction']:g}" for p in self.space.describe(construct)]
                raise RedoxError(
                    f"{name} of {' + '.join(placed) or 'nothing'} under {state} is {ours:.12g}, "
                    f"and {theirs:.12g} by the plain linear program",
                    hint="train without --exact-check to go on, and please report this with the model",
                )


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
