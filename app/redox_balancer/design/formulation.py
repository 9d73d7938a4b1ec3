"""The bounds of a cell that ever change, as one vector: what a construct opens and a condition closes.

A *point* holds the value of each such bound, mmol/gDW/h, in the order of `Bounds.parameters`, and last the growth
that must be kept, 1/h, which only the program of capacity has. All other bounds of the network stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from redox_balancer.cell.compress import compress
from redox_balancer.cell.media import OPEN, Side, limited
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.parameters import Parameter
from redox_balancer.design.space import H2O2_LEFT, H2O2_SPARE, DesignSpace, State


class StatePoint(NamedTuple):
    """A state with nothing built: its point, and the limit of each reaction that a placement can amplify."""

    point: FloatArray
    native_limits: dict[int, float]


class Bounds:
    """The changing bounds of a design space.

    Parameters
    ----------
    space
        What can be built, into what.
    compressed
        Whether the network is reduced to a smaller one with the same optima; all columns here are the reduced one's.

    Attributes
    ----------
    network
        The cell at natural abundance: native enzymes limited as they are in the healthy cell.
    parameters
        Each bound that changes, with its range.
    """

    def __init__(self, space: DesignSpace, *, compressed: bool = True) -> None:
        self._space = space
        self.network = _at_natural_abundance(space)
        if compressed:
            self.network = compress(self.network, _protected(space))
        self._columns = tuple(self.network.column(placement.reaction) for placement in space.placements)
        self._condition_columns = tuple(self.network.column(parameter.reaction) for parameter in space.parameters)
        # Bounds before any native limit.
        own = {
            self.network.column(reaction): _bounds_of(space.network, reaction)
            for reaction in (*(p.reaction for p in space.placements), *(p.reaction for p in space.parameters))
        }
        self._own_bounds = dict(own)
        for position, (placement, column) in enumerate(zip(space.placements, self._columns, strict=True)):
            if placement.foreign:
                own[column] = placement.bounds(space.largest_cap(position))
        self.parameters: list[Parameter] = []
        self._at: dict[int, tuple[int, int]] = {}
        for column, (lower, upper) in sorted(own.items()):
            upper_at = lower_at = -1
            if upper > 0:
                upper_at = len(self.parameters)
                self.parameters.append(Parameter(column, upper=True, low=0.0, high=upper))
            if lower < 0:
                lower_at = len(self.parameters)
                self.parameters.append(Parameter(column, upper=False, low=lower, high=0.0))
            self._at[column] = upper_at, lower_at
        self._healthy = np.zeros(len(self.parameters) + 1)
        for index, parameter in enumerate(self.parameters):
            bound = self.network.upper if parameter.upper else self.network.lower
            self._healthy[index] = bound[parameter.column]
        # Limits of the reactions that a placement can amplify, before it does.
        self._native_limits = {
            column: space.capacities.get(placement.reaction, OPEN)
            for placement, column in zip(space.placements, self._columns, strict=True)
            if not placement.foreign
        }
        self._usual = [1.0] * len(space.placements)
        self._factors = space.parameter_samples.tolist()
        # What each level of each foreign placement sets.
        self._opened = [
            [self._places(column, placement.bounds(cap)) for cap in placement.caps] if placement.foreign else []
            for placement, column in zip(space.placements, self._columns, strict=True)
        ]

    def under(self, state: State) -> StatePoint:
        """Point of a state with nothing built."""
        point, limits = self._healthy.copy(), self._native_limits.copy()
        for parameter, column, limit in zip(self._space.parameters, self._condition_columns, state, strict=True):
            if limit < OPEN:
                upper_at, lower_at = self._at[column]
                if upper_at >= 0 and parameter.side is not Side.UPTAKE:
                    point[upper_at] = min(point[upper_at], limit)
                if lower_at >= 0 and parameter.side is not Side.EXPORT:
                    point[lower_at] = max(point[lower_at], -limit)
                if column in limits and parameter.side is Side.FLUX:
                    limits[column] = min(limits[column], limit)
        return StatePoint(point, limits)

    def with_placed(
        self, start: StatePoint, placed: Iterable[tuple[int, int]], figures: int | None = None
    ) -> FloatArray:
        """Point of a construct, given by pairs of placement and level index, under a state.

        `figures` is the number of a set of the space's uncertain figures; None takes the library's own.
        """
        factors = self._usual if figures is None else self._factors[figures]
        point = start.point.copy()
        over_expressed: dict[int, float] = {}
        for position, level in placed:
            if self._opened[position]:
                for place, bound in self._opened[position][level]:
                    point[place] = bound * factors[position]
            else:
                column = self._columns[position]
                extra = self._space.placements[position].caps[level] * factors[position]
                over_expressed[column] = over_expressed.get(column, 0.0) + extra
        for column, extra in over_expressed.items():
            bounds = limited(*self._own_bounds[column], Side.FLUX, start.native_limits[column] + extra)
            for place, bound in self._places(column, bounds):
                point[place] = bound
        return point

    def widest(self) -> FloatArray:
        """Point with every bound as far open as it goes and no growth to be kept."""
        return np.asarray([p.high if p.upper else p.low for p in self.parameters] + [0.0])

    def _places(self, column: int, bounds: tuple[float, float]) -> list[tuple[int, float]]:
        lower, upper = bounds
        upper_at, lower_at = self._at[column]
        return [(place, bound) for place, bound in ((upper_at, upper), (lower_at, lower)) if place >= 0]


def _at_natural_abundance(space: DesignSpace) -> Network:
    return space.network.with_bounds(
        {
            reaction: limited(*_bounds_of(space.network, reaction), Side.FLUX, limit)
            for reaction, limit in space.capacities.items()
        }
    )


def _protected(space: DesignSpace) -> set[str]:
    """Reactions with bounds that change or with a weight in some objective."""
    ledger = {H2O2_LEFT, H2O2_SPARE} & space.network.reaction_index.keys()
    return {p.reaction for p in space.placements} | {p.reaction for p in space.parameters} | ledger


def _bounds_of(network: Network, reaction: str) -> tuple[float, float]:
    column = network.column(reaction)
    return float(network.lower[column]), float(network.upper[column])
