"""The cell with a construct as linear programs over its whole network, with no reaction lumped or removed.

Nothing here is compressed, presolved or taken from a critical region or a cut: each program goes to GLPK with every
reaction of the model and of the construct, so its optima check the evaluator's. What both share is the reading of the
model, `design/formulation.py` and GLPK; `model.py` builds the same cell with COBRApy, which shares the formulation
alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.consistency import one_way_parts
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import Column, Network
from redox_balancer.design.construct import Construct
from redox_balancer.design.formulation import (
    Weights,
    capacity_weights,
    growth_kept,
    guaranteed_weights,
    reaction_bounds,
)
from redox_balancer.design.placement import H2O2_BALANCE, H2O2_LEFT, H2O2_SPARE, Placement
from redox_balancer.design.space import DesignSpace

METER = "REDOX_METER"
"""Reaction, numbered, whose flux is a weighted sum of others: a sum can then be held as a bound."""
SOLVE_LIMIT_S = 600.0
NO_FLUX = 1e-9
"""Flux below this, mmol/gDW/h, is round-off of the solver."""


@dataclass(frozen=True, eq=False)
class WholeCell:
    """A construct in a cell under a condition.

    Attributes
    ----------
    space, construct, condition
        What is built, and where.
    network
        The reactions of the model and those that the construct adds, with their bounds, mmol/gDW/h.
    keep
        Share of growth that is left after the cost of expression.
    floor
        Growth after the cost of expression that is held while capacity is maximised, 1/h.
    """

    space: DesignSpace
    construct: Construct
    condition: Condition
    network: Network
    keep: float
    floor: float

    @classmethod
    def of(cls, space: DesignSpace, construct: Construct, condition: Condition, *, floor: float) -> Self:
        """Put a construct into a cell; `floor` is the growth to hold while capacity is maximised, 1/h."""
        placed = {space.placements[position].reaction for position, _ in construct}
        absent = {one.reaction for one in space.placements if one.foreign} - placed
        if not any(space.network.stoichiometry_of(reaction).get(H2O2_BALANCE, 0.0) > 0 for reaction in placed):
            absent |= {H2O2_LEFT, H2O2_SPARE}
        present = (reaction for reaction in space.network.reactions if reaction not in absent)
        bounds = reaction_bounds(space, construct, condition)
        network = space.network.with_bounds(bounds).subset(present)
        return cls(space, construct, condition, network, growth_kept(space.settings, space.protein(construct)), floor)

    @property
    def placements(self) -> list[Placement]:
        """The placements of the construct."""
        return [self.space.placements[position] for position, _ in self.construct]

    @property
    def biomass(self) -> str:
        """The reaction whose flux is growth before the cost of expression."""
        return self.network.objective

    @property
    def capacity(self) -> Weights:
        """Weight of each reaction in the capacity, NAD(P)H per flux."""
        present = self.network.reaction_index
        return {reaction: weight for reaction, weight in capacity_weights(self.space).items() if reaction in present}

    def without_construct(self) -> "WholeCell":
        """The cell without the construct and the cost of its expression; the reactions stay, with no flux."""
        empty = Construct.empty(len(self.space.placements))
        bounds = reaction_bounds(self.space, empty, self.condition)
        kept = {reaction: bounds[reaction] for reaction in self.network.reactions}
        return replace(self, construct=empty, network=self.network.with_bounds(kept), keep=1.0)

    @cached_property
    def meters(self) -> tuple[Weights, ...]:
        """What is metered: the capacity, and the linear functions whose smallest value is guaranteed."""
        return (self.capacity, *guaranteed_weights(self.space, self.placements))

    @cached_property
    def metered(self) -> Network:
        """The network with a reaction for each of the `meters`."""
        weights: dict[str, dict[str, float]] = {}
        for number, functions in enumerate(self.meters):
            for reaction, weight in functions.items():
                weights.setdefault(reaction, {})[_token(number)] = weight
        network = self.network
        rest = network.subset(reaction for reaction in network.reactions if reaction not in weights)
        columns = [
            Column(reaction, network.stoichiometry_of(reaction) | tokens, *network.bounds_of(reaction))
            for reaction, tokens in weights.items()
        ]
        most = 1.0 + sum(max(map(abs, network.bounds_of(r))) * max(map(abs, w.values())) for r, w in weights.items())
        tokens = [_token(number) for number in range(len(self.meters))]
        columns += [Column(meter(n), {token: -1.0}, -most, most) for n, token in enumerate(tokens)]
        return rest.with_columns(columns, new_metabolites=(*network.metabolites, *tokens))


class WholeCellLP:
    """The linear program of a cell, which is solved repeatedly from its last basis.

    Objectives are weights by reaction; fluxes are in mmol/gDW/h. Attribute `network` is that of `WholeCell.metered`.
    """

    def __init__(self, cell: WholeCell) -> None:
        self.network = cell.metered
        self._lp = FluxLP(self.network, {}, time_limit_s=SOLVE_LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lp.close()

    @contextmanager
    def bounded(self, reaction: str, lower: float, upper: float | None = None) -> Iterator[None]:
        """Hold a flux at or above `lower`, and at or below `upper` where it is given."""
        column, (low, high) = self.network.column(reaction), self.network.bounds_of(reaction)
        # An optimum that is to be held may be beyond a bound by round-off.
        held = min(max(low, lower), high)
        self._lp.set_bounds(column, held, high if upper is None else max(held, upper))
        try:
            yield
        finally:
            self._lp.set_bounds(column, low, high)

    def largest(self, weights: Mapping[str, float]) -> float:
        """Largest weighted sum of fluxes; NaN where the program is infeasible."""
        self._lp.set_objective(weights)
        return self._lp.maximise().objective

    def smallest(self, weights: Mapping[str, float]) -> float:
        """Smallest weighted sum of fluxes; NaN where the program is infeasible."""
        return -self.largest({reaction: -weight for reaction, weight in weights.items()})

    def range(self, reaction: str) -> tuple[float, float]:
        """Smallest and largest flux of a reaction."""
        return self.smallest({reaction: 1.0}), self.largest({reaction: 1.0})


def least_total_flux(network: Network, held: Mapping[str, float]) -> dict[str, float] | None:
    """Flux of each reaction, mmol/gDW/h, in the distribution of the smallest total; None where none is feasible.

    `network` is that of `WholeCell.metered`, whose meters count nothing; `held` has the least flux of some reactions.
    """
    highest = {reaction: network.bounds_of(reaction)[1] for reaction in held}
    network = network.with_bounds({name: (min(low, highest[name]), highest[name]) for name, low in held.items()})
    parts, reaction_of = one_way_parts(network)
    forward = np.count_nonzero(network.upper > 0)
    substances = ~np.array([reaction.startswith(METER) for reaction in network.reactions])
    with FluxLP(parts, {}, time_limit_s=SOLVE_LIMIT_S) as lp:
        lp.set_objective_columns(dict.fromkeys(np.flatnonzero(substances[reaction_of]).tolist(), -1.0))
        if not lp.maximise().optimal:
            return None
        found = lp.fluxes()
    found[np.abs(found) < NO_FLUX] = 0.0
    found[forward:] *= -1.0
    fluxes = np.bincount(reaction_of, found, minlength=len(network.reactions))
    return dict(zip(np.array(network.reactions)[substances].tolist(), fluxes[substances].tolist(), strict=True))


def meter(number: int) -> str:
    """Reaction whose flux is the sum of a meter."""
    return f"{METER}_{number}"


def _token(number: int) -> str:
    return f"redox_meter_{number}"
