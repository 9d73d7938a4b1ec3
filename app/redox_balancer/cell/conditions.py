"""Physiological conditions: the bounds that they limit or open, read from data files.

Limits and openings of one bound combine whatever their order: the largest opened value replaces the bound that the
medium gives, and the smallest limit holds.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, Field, model_validator

from redox_balancer.cell.exchanges import find_exchange
from redox_balancer.cell.media import OPEN, Concentration, Concentrations
from redox_balancer.cell.records import NonNegative, Positive, Record, packaged, pick, read_records
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    import numpy as np

    from redox_balancer.cell.network import Network  # loads NumPy, and the command line reads settings

HEALTHY = "healthy"
JOIN = "+"  # separator of the names of conditions that hold simultaneously


class Side(StrEnum):
    """Bound that a condition tightens."""

    UPTAKE = "uptake"  # largest uptake through an exchange; the lower bound of `x_e <=>` is -value
    EXPORT = "export"  # largest secretion through an exchange; the upper bound of `x_e <=>` is value
    FLUX = "flux"  # largest flux in either direction: both bounds, within the reaction's own direction
    LOWER = "lower"  # the lower bound is -value, in a model that writes the exchange in another way
    UPPER = "upper"  # the upper bound is value, in a model that writes the exchange in another way

    @property
    def of_exchange(self) -> bool:
        """Whether it limits an exchange, however the model writes it."""
        return self in (Side.UPTAKE, Side.EXPORT)

    @property
    def limits_lower(self) -> bool:
        """Whether it limits the lower bound."""
        return self not in (Side.EXPORT, Side.UPPER)

    @property
    def limits_upper(self) -> bool:
        """Whether it limits the upper bound."""
        return self not in (Side.UPTAKE, Side.LOWER)


class Change(BaseModel, extra="forbid", frozen=True):
    """One bound that a condition limits or opens.

    An opened uptake from which something else leaves is a reaction of its own, see `ledgers.with_supply`.
    """

    reaction: str
    side: Side
    value: NonNegative  # under the named condition, mmol/gDW/h
    low: NonNegative  # of the range from which a sampled condition draws the bound, mmol/gDW/h
    high: NonNegative
    source: str
    assumed: bool = False  # the values are assumptions
    opens: bool = False  # `value` replaces the bound of the medium, which may be closed: of an uptake or an export
    leaves: dict[str, Positive] = Field(default_factory=dict)  # by exchange, per unit taken up: {EX_lac__L_e: 1}
    if_unlimited: bool = False  # only where the medium leaves it unlimited (`OPEN`), and no cell line sets it

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError("needs low <= value <= high")
        if self.opens and self.side is Side.FLUX:
            raise ValueError("opens an uptake or an export, not the flux of a reaction")
        if self.leaves and not (self.opens and self.side is Side.UPTAKE):
            raise ValueError("something may leave for an uptake that is opened, not for a limit")
        if self.if_unlimited and (self.opens or not self.side.of_exchange):
            raise ValueError("only the limit of an uptake or an export can depend on the medium")
        return self

    def __hash__(self) -> int:
        return hash((self.reaction, self.side, self.value, self.opens))  # `leaves` has no hash

    @property
    def supply(self) -> str:
        """Id of the reaction that takes up what something else leaves for."""
        names = [self.reaction, *sorted(self.leaves)]
        return re.sub(r"\W", "_", "_".join(["SUPPLY", *(name.removeprefix("EX_") for name in names)]))

    @property
    def leaving(self) -> "list[Change]":
        """Openings of the exchanges through which something may leave for this uptake, as wide as they can become."""
        common = {"side": Side.EXPORT, "leaves": {}}
        shares = self.leaves.items()
        return [self.model_copy(update=common | {"reaction": name, "high": s * self.high}) for name, s in shares]

    def supplied(self, network: "Network") -> "Network":
        """Return a network with the reactions of an uptake for which something leaves, closed."""
        if not self.leaves or self.supply in network.reaction_index or self.missing_from(network):
            return network
        from redox_balancer.cell.ledgers import with_supply  # noqa: PLC0415 - loads NumPy

        found = {name: find_exchange(network, name) for name in (self.reaction, *self.leaves)}
        own = {name: exchange.metabolite for name, exchange in found.items() if exchange}
        shares = {own[name]: share for name, share in self.leaves.items()}
        return with_supply(network, self.supply, own[self.reaction], shares, OPEN)

    def holds(self, network: "Network") -> bool:
        """Whether it applies on the medium of this network."""
        exchange = find_exchange(network, self.reaction) if self.if_unlimited else None
        if exchange is None:
            return True
        return (exchange.uptake if self.side is Side.UPTAKE else exchange.export) >= OPEN * (1 - 1e-9)

    def of(self, network: "Network") -> "Change":
        """Return the change of the bound that holds it in this model, by the model's own reaction id.

        A RedoxError if the model has several reactions for the limited direction of an exchange, or splits a limited
        reaction into one for each direction.
        """
        if self.leaves and self.supply in network.reaction_index:
            return self.model_copy(update={"reaction": self.supply, "side": Side.UPPER, "leaves": {}})
        if not self.side.of_exchange:
            own = network.find_reaction(self.reaction)
            if own and self.side is Side.FLUX and (reverse := network.reverse_of(own)):
                raise RedoxError(
                    f"{own} runs backwards as {reverse}, and a condition can limit one reaction only",
                    hint="join the two in the model, or choose other conditions",
                    settings=("model", "conditions"),
                )
            return self if own in (self.reaction, None) else self.model_copy(update={"reaction": own})
        exchange = find_exchange(network, self.reaction)
        if exchange is None:
            return self
        own, upper, scale = exchange.bound(supply=self.side is Side.UPTAKE)
        terms: dict[str, Any] = {"if_unlimited": False} if self.if_unlimited else {}
        if own != self.reaction:
            terms["reaction"] = own
        if scale != 1.0 or upper is not (self.side is Side.EXPORT):
            terms["side"] = Side.UPPER if upper else Side.LOWER
            terms |= {name: scale * getattr(self, name) for name in ("value", "low", "high")}
        return self.model_copy(update=terms) if terms else self

    def missing_from(self, network: "Network") -> bool:
        """Whether the model has no such reaction, or no exchange where one is limited."""
        find = find_exchange if self.side.of_exchange else type(network).find_reaction
        return any(find(network, name) is None for name in (self.reaction, *self.leaves))

    @property
    def key(self) -> tuple[str, Side]:
        """The bound that is changed, irrespective of the value."""
        return (self.supply, Side.UPPER) if self.leaves else (self.reaction, self.side)

    def widened(self, lower: float, upper: float) -> tuple[float, float]:
        """Return bounds that hold every value to which this change may open a bound, mmol/gDW/h."""
        return (min(lower, -self.high), upper) if self.side.limits_lower else (lower, max(upper, self.high))

    def bounds(self, lower: float, upper: float) -> tuple[float, float]:
        """Return bounds under this change, by the model's own reaction id, from those of the medium, mmol/gDW/h."""
        if not self.opens:
            return limited(lower, upper, self.side, self.value)
        if self.side.limits_lower:
            return -self.value, max(upper, -self.value)
        return min(lower, self.value), self.value

    def joined(self, other: "Change") -> "Change":
        """Return the change that two openings, or two limits, of one bound amount to."""
        choose, names = (max if self.opens else min), ("value", "low", "high")
        return self.model_copy(update={name: choose(getattr(self, name), getattr(other, name)) for name in names})


class Offered(StrEnum):
    """Models in which a condition is used where none is named."""

    ALWAYS = "always"
    GENOME_SCALE = "genome-scale"
    NEVER = "never"  # such as a supplement of the medium, which is of use together with a defect
    EMBEDDED = "embedded"  # used where it is named, and a genome-scale core is not made larger for it


class Condition(Record):
    """A physiological condition: healthy, hypoxic, with an inhibited respiratory complex or a deficient enzyme.

    `changes` are the bounds that it limits or opens, and `reference` is the id of the unperturbed state that growth
    is compared with: the healthy cell, or a cell line. `concentrations` are those that it changes in medium or cell.
    """

    description: str
    changes: tuple[Change, ...] = ()
    concentrations: Concentrations = Field(default_factory=dict)
    reference: str = HEALTHY
    offered: Offered = Offered.ALWAYS

    def missing_from(self, network: "Network") -> list[str]:
        """Return the reactions and exchanges of this condition that the model lacks."""
        return [change.reaction for change in self.changes if change.missing_from(network)]

    def of(self, network: "Network") -> "Condition":
        """Return the condition with the model's own reaction ids, less the limits that do not hold on its medium."""
        own = [(change, change.of(network)) for change in self.changes if change.holds(network)]
        opened = {one.key for _, one in own if one.opens}  # a measured rate of a cell line is a limit, too
        changes = tuple(one for change, one in own if not (change.if_unlimited and one.key in opened))
        return self.model_copy(update={"changes": changes})

    def apply(self, network: "Network") -> "Network":
        """Return a cell, on its medium, under this condition; a RedoxError if it lacks a reaction."""
        bounds: dict[str, tuple[float, float]] = {}
        network = with_supplies(network, [self])
        for change in sorted(self.of(network).changes, key=lambda change: not change.opens):
            own = network.bounds_of(change.reaction)
            bounds[change.reaction] = change.bounds(*bounds.get(change.reaction, own))
        return network.with_bounds(bounds)

    def sampled(self, generator: "np.random.Generator") -> "Condition":
        """Return the condition with each limit drawn uniformly from its range."""
        if not self.changes:
            return self
        changes = [c.model_copy(update={"value": float(generator.uniform(c.low, c.high))}) for c in self.changes]
        return self.model_copy(update={"changes": tuple(changes)})

    def __hash__(self) -> int:
        # Hashed in every step of an environment. The first limit and the last suffice to distinguish sampled
        # conditions, also in a cell line.
        return hash((self.id, self.changes and (self.changes[0].value, self.changes[-1].value)))


def combined(conditions: Sequence[Condition]) -> Condition:
    """Combine conditions into one named `a+b`.

    Where several limit the same bound the lowest limit holds, and where several open it the largest opened value.
    """
    levels: dict[str, Concentration] = {}
    for name, level in (item for condition in conditions for item in condition.concentrations.items()):
        if (known := levels.setdefault(name, level)) != level:
            raise RedoxError(
                f"conditions disagree on {name}: {known.low:g} to {known.high:g} M, "
                f"and {level.low:g} to {level.high:g} M",
                hint=f"combine others than {JOIN.join(condition.id for condition in conditions)}",
                settings=("conditions",),
            )
    joint: dict[tuple[str, Side, bool], Change] = {}
    for change in (change for condition in conditions for change in condition.changes):
        key = (*change.key, change.opens)
        joint[key] = change.joined(joint.get(key, change))
    lines = {condition.reference for condition in conditions} - {HEALTHY}
    line = lines.pop() if lines else ""
    if lines:
        raise RedoxError(f"a cell is of one line, not of {line} and {lines.pop()}", hint="combine those of one line")
    names = [part for condition in conditions for part in condition.id.split(JOIN) if part != line]
    own = {
        "id": JOIN.join([line, *names] if line else names),
        "description": "; ".join(dict.fromkeys(part for c in conditions for part in c.description.split("; "))),
        "changes": tuple(joint.values()),
        "concentrations": levels,
        "reference": line or HEALTHY,
        "offered": Offered.ALWAYS,
    }
    return conditions[0].model_copy(update=own)  # which may hold ratios


def pick_condition(known: dict[str, Condition], name: str) -> Condition:
    """Return the condition of a name; `a+b` is the combination of both, `line+a+b` that in a cell line."""
    names = name.split(JOIN)
    if len(names) > 1 and any(condition.reference == names[0] for condition in known.values()):
        names = [JOIN.join((names[0], part)) for part in names[1:]]
    parts = [pick(known, part, "condition") for part in names]
    return parts[0] if len(parts) == 1 else combined(parts)


def with_supplies(network: "Network", conditions: Iterable[Condition]) -> "Network":
    """Return a network with the reactions of every uptake for which something leaves, closed."""
    for change in (change for condition in conditions for change in condition.changes):
        network = change.supplied(network)
    return network


def limited(lower: float, upper: float, side: Side, value: float) -> tuple[float, float]:
    """Limit one side of a pair of bounds to `value`, mmol/gDW/h; a limit beyond the existing bound has no effect."""
    return max(lower, -value) if side.limits_lower else lower, min(upper, value) if side.limits_upper else upper


@cache
def load_conditions(path: Path | None = None) -> dict[str, Condition]:
    """Return the conditions of a file, by default the packaged ones, by name."""
    return read_records(path or packaged("conditions.toml"), "condition", Condition)
