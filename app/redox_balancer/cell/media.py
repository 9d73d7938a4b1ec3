"""Media and conditions: what the cell is fed and what is wrong with it, read from data files.

Uptakes are positive, as in the rest of the ecosystem: an uptake of 0.64 for `EX_glc__D_e` lets at most
0.64 mmol/gDW/h in. Exchanges a medium does not name let nothing in and everything out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from redox_balancer.cell.records import NonNegative, Record, packaged, pick, read_records
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    import numpy as np

    from redox_balancer.cell.network import Network  # loads NumPy, and the command line reads settings

MODEL_MEDIUM = "model"
HEALTHY = "healthy"
JOIN = "+"
"""Between the names of conditions that hold at once."""
OPEN = 1000.0
"""Bound of a reaction that nothing limits, mmol/gDW/h: the convention of the BiGG models."""


class Medium(Record):
    """Largest uptake of each exchange, and the bounds that go with a medium.

    Attributes
    ----------
    description, source, assumed
        What it is and where its figures come from.
    uptakes
        Largest uptake by exchange reaction, mmol/gDW/h, positive.
    close_sinks
        Whether sinks and demands (single-metabolite reactions inside the cell) are closed.
    maintenance
        Least flux of a maintenance reaction, mmol/gDW/h.
    """

    description: str
    source: str
    assumed: bool = False
    close_sinks: bool = True
    uptakes: dict[str, NonNegative]
    maintenance: dict[str, NonNegative] = Field(default_factory=dict)

    def apply(self, network: Network) -> Network:
        """Network fed with this medium; exchanges the model lacks are passed over (a core has fewer).

        Raises
        ------
        RedoxError
            The model has none of the medium's exchanges.
        """
        exchanges = set(network.exchanges)
        found = {network.find_reaction(exchange): uptake for exchange, uptake in self.uptakes.items()}
        if not exchanges & found.keys():
            raise RedoxError(
                f"model {network.id} has none of the exchanges of medium {self.id!r}",
                hint="use --medium model for the bounds the model comes with; a model in other identifiers than "
                "BiGG's needs BiGG names among its annotations",
            )
        bounds: dict[str, tuple[float, float]] = {}
        for reaction in network.boundary:
            if reaction in exchanges:
                upper = float(network.upper[network.column(reaction)])
                bounds[reaction] = (-found.get(reaction, 0.0), max(upper, 0.0))
            elif self.close_sinks:
                bounds[reaction] = (0.0, 0.0)
        for reaction, least in self.maintenance.items():
            own = network.find_reaction(reaction)
            if own is not None:
                bounds[own] = (least, OPEN)
        return network.with_bounds(bounds)


class Side(StrEnum):
    """Which bound a condition lowers."""

    UPTAKE = "uptake"
    """Largest uptake through an exchange: the lower bound is -value."""
    EXPORT = "export"
    """Largest secretion through an exchange: the upper bound is value."""
    FLUX = "flux"
    """Largest flux either way: both bounds, as far as the reaction's direction allows."""


class Change(BaseModel):
    """One bound that a condition lowers.

    Attributes
    ----------
    reaction, side
        Which bound.
    value
        The bound under the named condition, mmol/gDW/h.
    low, high
        Range that a sampled condition draws from, mmol/gDW/h.
    source, assumed
        Where the figures come from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reaction: str
    side: Side
    value: NonNegative
    low: NonNegative
    high: NonNegative
    source: str
    assumed: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.value <= self.high or self.high == 0:
            raise ValueError("needs low <= value <= high and high > 0")
        return self

    def of(self, network: Network) -> Change:
        """The change in a model's own identifiers."""
        own = network.find_reaction(self.reaction)
        return self if own in (self.reaction, None) else self.model_copy(update={"reaction": own})

    @property
    def key(self) -> tuple[str, Side]:
        """What is lowered, whatever the limit."""
        return self.reaction, self.side


class Condition(Record):
    """A state of the cell: the healthy one, a lack of oxygen, a blocked complex, a deficient enzyme."""

    description: str
    changes: tuple[Change, ...] = ()

    def missing_from(self, network: Network) -> list[str]:
        """Reactions this condition speaks of and the model does not have."""
        return [change.reaction for change in self.changes if network.find_reaction(change.reaction) is None]

    def of(self, network: Network) -> Condition:
        """The condition in a model's own identifiers."""
        changes = tuple(change.of(network) for change in self.changes)
        if all(own is change for own, change in zip(changes, self.changes, strict=True)):
            return self
        return self.model_copy(update={"changes": changes})

    def sampled(self, generator: np.random.Generator) -> Condition:
        """The condition with each limit drawn uniformly from its range."""
        if not self.changes:
            return self
        drawn = [float(generator.uniform(change.low, change.high)) for change in self.changes]
        changes = (c.model_copy(update={"value": value}) for c, value in zip(self.changes, drawn, strict=True))
        return self.model_copy(update={"changes": tuple(changes)})

    def __hash__(self) -> int:
        # Hashed at every step of an environment. One limit tells sampled conditions apart.
        return hash((self.id, self.changes and self.changes[0].value))


def combined(conditions: Sequence[Condition]) -> Condition:
    """Several conditions at once, named `a+b`; where two lower the same bound, the lower limit holds."""
    lowest: dict[tuple[str, Side], Change] = {}
    for change in itertools.chain.from_iterable(condition.changes for condition in conditions):
        other = lowest.get(change.key, change)
        lowest[change.key] = change.model_copy(
            update={name: min(getattr(change, name), getattr(other, name)) for name in ("value", "low", "high")}
        )
    return Condition(
        id=JOIN.join(condition.id for condition in conditions),
        description="; ".join(condition.description for condition in conditions),
        changes=tuple(lowest.values()),
    )


def pick_condition(known: dict[str, Condition], name: str) -> Condition:
    """Condition of that name; `a+b` is both at once."""
    parts = [pick(known, part, "condition") for part in name.split(JOIN)]
    return parts[0] if len(parts) == 1 else combined(parts)


def limited(lower: float, upper: float, side: Side, value: float) -> tuple[float, float]:
    """Bounds once one side is limited to `value`; a limit above the bound in force changes nothing."""
    if side is Side.UPTAKE:
        return max(lower, -value), upper
    if side is Side.EXPORT:
        return lower, min(upper, value)
    return max(lower, -value), min(upper, value)


def get_medium(name: str) -> Medium | None:
    """Medium of that name; None for `model`, the bounds a model comes with."""
    return None if name == MODEL_MEDIUM else pick(load_media(), name, "medium")


@cache
def load_media() -> dict[str, Medium]:
    """Media that come with the package, by name."""
    return read_records(packaged("media.toml"), "medium", Medium)


@cache
def load_conditions(path: Path | None = None) -> dict[str, Condition]:
    """Conditions of a file, or those that come with the package, by name."""
    return read_records(path or packaged("conditions.toml"), "condition", Condition)


def apply_medium(network: Network, name: str) -> Network:
    """Network on the medium of that name; `model` leaves the bounds as they are."""
    medium = get_medium(name)
    return network if medium is None else medium.apply(network)
