"""Ratios of NAD+ to NADH that are held under a condition: values, ranges, and what they leave of capacities."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import Network
from redox_balancer.cell.ratio_table import Ratio, RatioTable
from redox_balancer.cell.records import packaged_rows
from redox_balancer.errors import RedoxError


class HeldCondition(Condition):
    """A condition under which ratios of NAD+ to NADH are held, in the order of `HeldRatios.held`."""

    ratios: tuple[float, ...] = ()

    def __hash__(self) -> int:
        return hash((self.id, self.ratios, self.changes and (self.changes[0].value, self.changes[-1].value)))

    @property
    def released(self) -> Condition:
        """The same without a ratio that is held."""
        return Condition.model_construct(**{name: getattr(self, name) for name in Condition.model_fields})


@dataclass(frozen=True)
class HeldRatio:
    """A ratio of NAD+ to NADH that is held at a value, or at one drawn log-uniformly from a range."""

    ratio: Ratio
    value: float
    low: float
    high: float

    def drawn(self, generator: np.random.Generator) -> float:
        """Draw a value from the range; the end of a range without width needs no generator."""
        if self.low == self.high:
            return self.value
        return math.exp(generator.uniform(math.log(self.low), math.log(self.high)))


Maker = Callable[[Condition, tuple[Ratio, ...]], RatioTable]


@dataclass(frozen=True, eq=False)
class HeldRatios:
    """The ratios that the conditions of a design space hold, and how capacities depend on them."""

    held: tuple[HeldRatio, ...]  # in the order of `HeldCondition.ratios`
    sought: tuple[Ratio, ...]  # what the reward `ratio` is about
    reactions: tuple[str, ...]  # those whose capacity depends on a ratio
    growth: float  # from which a state counts, 1/h
    make: Maker = field(repr=False)  # the table of a condition, for every construct and all limits in their ranges
    concentrations: Mapping[str, tuple[float, float]]  # ranges that go before all others, M, by metabolite
    checksum: str  # of energies and ranges of concentrations
    _tables: dict[tuple[str, tuple[Ratio, ...]], RatioTable] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # All tables that an actor or a worker needs are made, and what makes them loads SciPy.
        return {**self.__dict__, "make": None}

    @cached_property
    def ratios(self) -> tuple[Ratio, ...]:
        """The ratios that are held."""
        return tuple(one.ratio for one in self.held)

    def table(self, condition: Condition, ratios: tuple[Ratio, ...]) -> RatioTable:
        """The table of a condition, computed once."""
        key = condition.id, ratios
        if key not in self._tables:
            self._tables[key] = self.make(condition, ratios)
        return self._tables[key]

    def make_tables(self, conditions: Iterable[Condition]) -> None:
        """Compute the tables of conditions, before the design space is pickled."""
        for condition in conditions:
            for key in [*([self.ratios] if self.held else []), *((ratio,) for ratio in self.sought)]:
                self.table(condition, key)

    def holding(self, condition: Condition, generator: np.random.Generator | None = None) -> Condition:
        """A condition with each ratio held at its value, or with a generator at one drawn from its range."""
        values = tuple(one.value if generator is None else one.drawn(generator) for one in self.held)
        return HeldCondition.model_construct(**{**dict(condition), "ratios": values}) if values else condition


def parse_ranges(
    texts: Iterable[str], setting: str, example: str, *, alone: bool = False
) -> Iterator[tuple[str, tuple[float, float] | None]]:
    """Names with values or ranges, as in `c=700` or `c=10:1000`; None for a name `alone`, where that is allowed."""
    for text in texts:
        name, equals, figures = text.partition("=")
        low, _, high = figures.partition(":")
        try:
            yield name.strip(), None if alone and not equals else (float(low), float(high or low))
        except ValueError:
            raise RedoxError(f"cannot read {text!r}", hint=f"write {example}", settings=(setting,)) from None


def usual_ratios() -> dict[str, tuple[float, ...]]:
    """Value and range of the ratio of each compartment, see `held_ratios.tsv`."""
    rows = packaged_rows("thermodynamics/held_ratios.tsv")
    return {letter: tuple(map(float, figures)) for letter, *figures, _ in rows}


def held_ratios(
    texts: Iterable[str], network: Network, spans: Mapping[Ratio, tuple[float, float]]
) -> tuple[HeldRatio, ...]:
    """Read ratios to be held, such as `c`, `c=700` or `c=10:1000`, by compartment.

    `spans` are decimal logarithms of what the ranges of concentrations allow. A RedoxError if a compartment has no
    NAD+ with NADH, or a ratio is none that the concentrations can have.
    """
    known = {network.compartment_of(ratio.numerator): ratio for ratio in spans}
    usual, found = usual_ratios(), {}
    for letter, given in parse_ranges(
        texts, "held_ratios", "c for the cytosol, c=700, or c=10:1000 for a range", alone=True
    ):
        ratio = known.get(letter)
        if ratio is None or not (given or letter in usual):
            raise RedoxError(
                f"compartment {letter!r} has no NAD+ with NADH" if ratio is None else f"{letter} has no usual ratio",
                hint=f"known: {', '.join(known)}" if ratio is None else f"give one: {letter}=10:1000",
                settings=("held_ratios",),
            )
        value, low, high = (
            (math.sqrt(given[0] * given[1]), *given) if given and min(given) > 0 else usual.get(letter, ())
        )
        ends = tuple(10.0**end for end in spans[ratio])
        if (given and min(given) <= 0) or not ends[0] <= low <= high <= ends[1]:
            shown = given or (low, high)
            raise RedoxError(
                f"{ratio} = {shown[0]:g} to {shown[1]:g} is no range within {ends[0]:.2g} to {ends[1]:.2g}",
                hint="the concentrations of both allow no other ratio; give the smaller figure first",
                settings=("held_ratios",),
            )
        found[letter] = HeldRatio(ratio, value, low, high)
    return tuple(found.values())
