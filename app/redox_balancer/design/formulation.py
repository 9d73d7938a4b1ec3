"""Formulation of a construct's value as linear programs: the one place for its bounds, floors, costs and weights.

The evaluator solves these programs for one construct at a time, the oracle for all of them at once, and the COBRApy
model of a design carries the same bounds. The rules for the bound of a reaction, in mmol/gDW/h:

- Native enzymes are limited to their capacity at natural abundance, either way.
- A condition lowers the uptake, the export or the flux of a reaction, or opens an uptake or an export beyond that of
  the medium. On a native reaction that a placement can amplify, a lowered flux is what is left of the native enzyme.
- A foreign enzyme may carry the enzyme capacity of its level.
- Over-expressing a native enzyme adds the enzyme capacity of the level to what the condition leaves of it.

Expression costs growth in proportion (Scott et al. 2010, Science 330:1099): growth is (1 - phi / phi_max) times the
flux of the biomass reaction, phi being the proteome fraction of the construct.

A *point* is the vector of all bounds that ever change, in the order of `Formulation.parameters`, followed by the
biomass flux to be held, 1/h, which only the program of capacity reads. All other bounds of the network are constant.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.compress import compress
from redox_balancer.cell.conditions import Condition, Side, limited
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.parameters import Parameter
from redox_balancer.cell.presolve import presolve
from redox_balancer.cell.ratio_table import Ratio
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import NADPH
from redox_balancer.design.held_ratios import HeldCondition
from redox_balancer.design.placement import H2O2_BALANCE, H2O2_LEFT, H2O2_SPARE, Placement
from redox_balancer.design.space import DesignSpace, ValueSettings

NO_GROWTH = 1e-9  # growth below this, 1/h, is round-off of the solver

AT_OPTIMUM = 1.0 - 1e-6
"""Fraction of the optimum that is held where "at the optimum" is meant: exactly 1 is infeasible by round-off."""

ROUND_OFF = 1e-9  # relative distance kept from a threshold, which would be infeasible by round-off at the optimum
UNLIMITED = 1e6  # bound in place of an infinite one where the network does not limit the flux either, mmol/gDW/h

Weights = dict[str, float]  # weight of each reaction in a linear objective; zero for those not listed


class UnmodifiedCell(NamedTuple):
    """A cell without a construct, under a condition."""

    limits: FloatArray  # see `DesignSpace.limits`
    point: FloatArray  # values of all changing bounds
    native_limits: dict[int, float]  # of each reaction that a placement can amplify, by column, mmol/gDW/h
    capacities: FloatArray  # `point` before ratios that are held take their share
    shares: FloatArray | None = None  # what they leave of each bound


class Formulation:
    """Bounds of a design space as a function of condition and construct.

    Attributes
    ----------
    network
        The cell at natural abundance: native enzymes limited as in the healthy cell. If `compressed`, it is reduced
        to a smaller one with the same optima, and all columns are those of that one.
    parameters
        Each bound that changes, with its range.
    presolved
        The presolved form of a reduced network that is solved by it.
    columns
        Column of each placement's reaction.
    ends
        Places of the upper and the lower bound of each placement, shape (2, P), as in `places`.
    enzyme_capacities
        By parameter sample, None for the library's own: flux of each placement at each level, (P, L), mmol/gDW/h.
    lowest, highest
        The widest bounds that any level of a placement sets, shape (P, 1), mmol/gDW/h.
    places, own_bounds
        By column: places of its upper and lower bound among the parameters, -1 for one that is always 0, and its
        bounds before any native limit, mmol/gDW/h.
    """

    def __init__(self, space: DesignSpace, *, compressed: bool = True) -> None:
        self._space = space
        self.network = at_natural_abundance(space.network, space.capacities)
        if compressed:
            self.network = compress(self.network, _protected(space))
        self.columns = tuple(self.network.column(placement.reaction) for placement in space.placements)
        self._condition_columns = tuple(self.network.column(change.reaction) for change in space.changes)
        self.own_bounds = {
            self.network.column(reaction): space.network.bounds_of(reaction)
            for reaction in (*(p.reaction for p in space.placements), *(c.reaction for c in space.changes))
        }
        widest, placed = dict(self.own_bounds), list(zip(space.placements, self.columns, strict=True))
        for position, (placement, column) in enumerate(placed):
            if placement.foreign:
                widest[column] = placement.bounds(space.largest_cap(position))
        for change, column in zip(space.changes, self._condition_columns, strict=True):
            widest[column] = change.widened(*widest[column]) if change.opens else widest[column]
        coupled = [self.network.column(reaction) for reaction in space.ratios.reactions] if space.ratios else []
        for column in coupled:
            widest.setdefault(column, (self.network.lower.item(column), self.network.upper.item(column)))
        for column, bounds in _finite_bounds(self.network, widest).items():
            widest[column] = self.own_bounds[column] = bounds
            low, high = np.clip([self.network.lower[column], self.network.upper[column]], *bounds).tolist()
            self.network = self.network.with_bounds({self.network.reactions[column]: (low, high)})
        self.presolved = presolve(self.network, _protected(space)) if compressed else None
        self.parameters: list[Parameter] = []
        self.places = {column: self._add_parameters(column, *bounds) for column, bounds in sorted(widest.items())}
        # Places of the bounds that depend on ratios, and which of a table's shares, shape (2, C), is that of each.
        ends = self._ends(coupled).ravel()
        self._shared = np.stack([ends, np.roll(np.arange(len(ends)), len(coupled))])[:, ends >= 0]
        healthy = self.network.lower, self.network.upper
        self._healthy = np.array([*(healthy[p.upper][p.column] for p in self.parameters), 0.0])
        # Limits of the reactions that a placement can amplify, before it does.
        self._native_limits = {c: space.capacities.get(p.reaction, math.inf) for p, c in placed if not p.foreign}
        caps = np.array([placement.caps for placement in space.placements])
        sampled = enumerate(caps * factors[:, None] for factors in space.parameter_samples)
        self.enzyme_capacities: dict[int | None, FloatArray] = {None: caps, **dict(sampled)}
        self.ends = self._ends(self.columns)
        self._widest = {c: p.bounds(math.inf) if p.foreign else self.own_bounds[c] for p, c in placed}
        self.lowest, self.highest = np.array([self._widest[c] for c in self.columns]).reshape(-1, 2).T[..., None]

    def under(self, condition: Condition) -> UnmodifiedCell:
        """The cell without a construct under a condition."""
        point, native_limits = self._healthy.copy(), self._native_limits.copy()
        limits = self._space.limits(condition)
        for position in np.flatnonzero(limits != self._space.unchanged).tolist():
            change, column = self._space.changes[position], self._condition_columns[position]
            limit = float(limits[position])
            upper_at, lower_at = self.places[column]
            if upper_at >= 0 and change.side.limits_upper:
                point[upper_at] = limit if change.opens else min(point[upper_at], limit)
            if lower_at >= 0 and change.side.limits_lower:
                point[lower_at] = -limit if change.opens else max(point[lower_at], -limit)
            if column in native_limits and change.side is Side.FLUX:
                native_limits[column] = min(native_limits[column], limit)
        shares = None
        if isinstance(condition, HeldCondition) and self._space.ratios:
            shares = self.shares(condition, self._space.ratios.ratios, np.array(condition.ratios))
        return UnmodifiedCell(limits, point if shares is None else point * shares, native_limits, point, shares)

    def shares(self, condition: Condition, ratios: tuple[Ratio, ...], values: FloatArray | float) -> FloatArray:
        """What ratios leave of each bound, in the order of a point, see `RatioTable`; all 0 where none can grow."""
        places, chosen = self._shared
        shares = np.ones(len(self._healthy))
        if self._space.ratios is not None:
            found = self._space.ratios.table(condition, ratios).shares(values).ravel()
            if not found.any():
                return np.zeros(len(shares))
            shares[places] = found[chosen]
        return shares

    def with_placed(
        self, cell: UnmodifiedCell, placed: Iterable[tuple[int, int]], sample: int | None = None
    ) -> FloatArray:
        """Point of a construct, given by pairs of placement and level index, in a cell at the ratios that it holds.

        `sample` is the index of one of the space's parameter samples; None takes the library's own parameters.
        """
        point = self.with_capacities(cell, placed, sample)
        return point if cell.shares is None else point * cell.shares

    def with_capacities(
        self, cell: UnmodifiedCell, placed: Iterable[tuple[int, int]], sample: int | None = None
    ) -> FloatArray:
        """`with_placed` before ratios take their share."""
        capacities, point = self.enzyme_capacities[sample], cell.capacities.copy()
        added: dict[int, float] = {}
        for position, level in placed:
            column = self.columns[position]
            added[column] = added.get(column, 0.0) + capacities.item(position, level)
        for column, capacity in added.items():
            lower, upper = self._widest[column]
            most = cell.native_limits.get(column, 0.0) + capacity
            upper_at, lower_at = self.places[column]
            if upper_at >= 0:
                point[upper_at] = min(upper, most)
            if lower_at >= 0:
                point[lower_at] = max(lower, -most)
        return point

    def placed_bounds(self, cell: UnmodifiedCell, capacities: FloatArray) -> FloatArray:
        """Upper and lower bound that placements of such capacities set in a cell, shape (2, P, L), mmol/gDW/h."""
        own = np.array([cell.native_limits.get(column, 0.0) for column in self.columns])
        most = own[:, None] + capacities
        bounds = np.empty((2, *most.shape))
        np.minimum(self.highest, most, out=bounds[0])
        np.maximum(self.lowest, -most, out=bounds[1])
        return bounds if cell.shares is None else bounds * cell.shares[self.ends][:, :, None]

    def steps(self, cell: UnmodifiedCell, bounds: FloatArray) -> FloatArray:
        """What each of the `placed_bounds` adds to the point of a cell, and last nothing, shape (P L + 1, point)."""
        _, placements, levels = bounds.shape
        steps = np.zeros((placements * levels + 1, len(cell.point)))
        for ends, changes in zip(self.ends, bounds - cell.point[self.ends][:, :, None], strict=True):
            at = np.flatnonzero(ends >= 0)
            steps[:-1].reshape(placements, levels, -1)[at, :, ends[at]] = changes[at]
        return steps

    def bounds(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound of every column at a point."""
        lower, upper = self.network.lower.copy(), self.network.upper.copy()
        for parameter, bound in zip(self.parameters, point[:-1].tolist(), strict=True):
            (upper if parameter.upper else lower)[parameter.column] = bound
        return lower, upper

    def widest_bounds(
        self, cell: UnmodifiedCell, capacities: Sequence[Sequence[float]]
    ) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound of every column in a cell with each placement at its largest capacity or beyond."""
        lower, upper = self.bounds(cell.point)
        for placement, column, caps in zip(self._space.placements, self.columns, capacities, strict=True):
            if placement.foreign:
                lower[column], upper[column] = placement.bounds(max(caps))
            else:
                lower[column], upper[column] = self.own_bounds[column]
        return lower, upper

    def widest(self) -> FloatArray:
        """Point with every bound as wide as its range and no growth to be held."""
        return np.asarray([p.high if p.upper else p.low for p in self.parameters] + [0.0])

    def _ends(self, columns: Iterable[int]) -> NDArray[np.intp]:
        """Places of the upper and the lower bound of each of C columns, shape (2, C)."""
        return np.array([self.places[column] for column in columns], dtype=np.intp).reshape(-1, 2).T

    def _add_parameters(self, column: int, lower: float, upper: float) -> tuple[int, int]:
        """Places of the upper and the lower bound of a column among the parameters, -1 for one that is always 0."""
        upper_at = lower_at = -1
        if upper > 0:
            upper_at = len(self.parameters)
            least = min(0.0, self.network.upper.item(column))
            self.parameters.append(Parameter(column, upper=True, low=least, high=upper))
        if lower < 0:
            lower_at = len(self.parameters)
            most = max(0.0, self.network.lower.item(column))
            self.parameters.append(Parameter(column, upper=False, low=lower, high=most))
        return upper_at, lower_at


def reaction_bounds(space: DesignSpace, construct: Construct, condition: Condition) -> dict[str, tuple[float, float]]:
    """Bounds of every reaction of a space's network with a construct under a condition, mmol/gDW/h."""
    formulation = Formulation(space, compressed=False)
    lower, upper = formulation.bounds(formulation.with_placed(formulation.under(condition), construct))
    return dict(zip(space.network.reactions, zip(lower.tolist(), upper.tolist(), strict=True), strict=True))


def growth_kept(settings: ValueSettings, protein: float) -> float:
    """Share of growth that is left when a construct takes `protein`, a proteome fraction."""
    return 1.0 - protein / settings.phi_max


def growth_floor(settings: ValueSettings, growth: float, healthy_growth: float) -> float:
    """Growth that must be kept while capacity is counted, 1/h, in a cell that grows so much without a construct."""
    return max(settings.growth_fraction * growth, settings.healthy_floor * healthy_growth)


def reaches_floor(growth: float, floor: float) -> bool:
    """Whether growth is at the floor, within round-off."""
    return growth >= floor * (1 - ROUND_OFF)


def held_biomass_flux(growth: float, kept: float) -> float:
    """Lower bound of the biomass flux that holds `growth`, 1/h, where expression leaves the share `kept` of it."""
    return growth / kept * (1 - ROUND_OFF)


def nadph_weights(space: DesignSpace) -> Weights:
    """NAD(P)H that each foreign reaction takes from the pools per flux, all compartments together.

    Two electrons each. Producers count negative, and moving electrons from NADH to NADPH counts nothing.
    """
    weights = {}
    for placement in space.placements:
        amounts = placement.stoichiometry.items() if placement.foreign else ()
        if taken := -sum(amount for name, amount in amounts if space.network.is_species(name, *NADPH)):
            weights[placement.reaction] = taken
    return weights


def capacity_weights(space: DesignSpace) -> Weights:
    """NAD(P)H sink capacity: NAD(P)H that foreign reactions take per flux, less the price of H2O2 that is left."""
    weights = nadph_weights(space)
    if H2O2_LEFT in space.network.reaction_index:
        weights[H2O2_LEFT] = -space.settings.h2o2_price
    return weights


def guaranteed_weights(space: DesignSpace, placements: Iterable[Placement] | None = None) -> list[Weights]:
    """Linear functions whose smaller one is the sink capacity, so that its minimum is the smaller of their minima.

    The price of H2O2 applies where some is left: capacity = min(taken, taken - price x formed). To maximise it, one
    program with the bookkeeping metabolite is enough. To minimise it the metabolite is of no use: the program would
    leave H2O2 that nothing has formed. `placements` are what is built, by default everything that the space offers.
    """
    chosen = space.placements if placements is None else placements
    reactions = dict.fromkeys(placement.reaction for placement in chosen if placement.foreign)
    taken = {reaction: weight for reaction, weight in nadph_weights(space).items() if reaction in reactions}
    priced, price = dict(taken), space.settings.h2o2_price
    for reaction in reactions:
        formed = space.network.stoichiometry_of(reaction).get(H2O2_BALANCE, 0.0)
        if formed and price:
            priced[reaction] = priced.get(reaction, 0.0) - price * formed
    return [taken] if priced == taken else [taken, priced]


def at_natural_abundance(network: Network, capacities: Mapping[str, float]) -> Network:
    """A cell with its native limits, mmol/gDW/h, by reaction."""
    return network.with_bounds(
        {reaction: limited(*network.bounds_of(reaction), Side.FLUX, limit) for reaction, limit in capacities.items()}
    )


def _finite_bounds(network: Network, widest: Mapping[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """Replace infinite bounds by the largest flux that the network allows; return the bounds of these columns.

    Critical regions need a range for each bound. `widest` are bounds by column, as wide as they ever are, mmol/gDW/h.
    """
    infinite = [column for column, bounds in widest.items() if np.isinf(bounds).any()]
    if not infinite:
        return {}
    finite: dict[int, tuple[float, float]] = {}
    with FluxLP(network, {}) as lp:
        for column, bounds in widest.items():
            lp.set_bounds(column, *bounds)
        for column in infinite:
            limits = []
            for sign, bound in zip((-1.0, 1.0), widest[column], strict=True):
                lp.set_objective_columns({column: sign})
                most = lp.maximise(far=True) if np.isinf(bound) else None
                largest = max(most.objective, 0.0) if most and most.optimal else UNLIMITED
                limits.append(bound if most is None else sign * min(largest * (1 + 1e-6) + 1e-6, UNLIMITED))
            finite[column] = limits[0], limits[1]
    return finite


def _protected(space: DesignSpace) -> set[str]:
    """Reactions with bounds that change or with a weight in some objective."""
    bookkeeping = {H2O2_LEFT, H2O2_SPARE} & space.network.reaction_index.keys()
    coupled = set(space.ratios.reactions if space.ratios else ())
    return {p.reaction for p in space.placements} | {c.reaction for c in space.changes} | bookkeeping | coupled
