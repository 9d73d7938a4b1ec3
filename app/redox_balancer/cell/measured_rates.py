"""What measured exchange rates say about a model: whether they can hold at once, and what follows at measured growth.

With uptakes limited to measured rates, growth is often one uptake over its biomass coefficient: a division, and not a
prediction. What a model does predict is whether the other measured rates lie within their flux ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from redox_balancer.cell.cell_lines import TOLERANCE, CellLine
from redox_balancer.cell.exchanges import Exchange, find_exchange
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Column, Network
from redox_balancer.errors import RedoxError

RELEASED = ("EX_lac__L_e", "EX_ala__L_e", "EX_glu__L_e")
"""By-products whose measured release is compared with its flux range."""

SMALLEST_RATE = 1e-3
"""Rates below this, mmol/gDW/h, count as this large where deviations are compared."""

_ROUND_OFF = 1e-6
_SHOWN = 4


class Division(NamedTuple):
    """The largest growth that one uptake allows: uptake, mmol/gDW/h, over biomass coefficient, mmol/gDW, in 1/h."""

    exchange: str
    uptake: float
    coefficient: float
    growth: float

    def says(self, growth: float) -> str:
        """Compare growth, 1/h, with this one, in a line."""
        text = f"{self.exchange} {self.uptake:.4g} / {self.coefficient:.4g} in biomass = {self.growth:.5f} 1/h"
        if growth >= self.growth * (1 - 1e-3):
            return f"{text}: growth is this division, not a prediction"
        return f"{text}: growth is {growth / self.growth:.1%} of it"


class FluxRange_(NamedTuple):
    """placeholder"""


@dataclass(frozen=True)
class MeasuredRange:
    """A measured rate and the fluxes that the model allows when its own bound is lifted, mmol/gDW/h."""

    exchange: str
    measured: float
    smallest: float
    largest: float

    @property
    def inside(self) -> bool:
        """Whether the measured rate is within the range."""
        margin = _ROUND_OFF * max(1.0, abs(self.measured))
        return self.smallest - margin <= self.measured <= self.largest + margin


@dataclass(frozen=True)
class LineCheck:
    """A cell line at its measured growth.

    Attributes
    ----------
    line, growth
        The line, and its measured growth, 1/h.
    exceeded
        Measured rates that must be exceeded, by more than `TOLERANCE`, to reach that growth: needed over measured.
        The sum of the relative excesses is the smallest possible.
    ranges
        Flux ranges of by-products that the line releases.
    """

    line: str
    growth: float
    exceeded: Mapping[str, float]
    ranges: tuple[MeasuredRange, ...]


def uptake_division(network: Network, growth: float) -> Division | None:
    """Find the uptake that limits growth most closely, as if it were limited by that uptake alone.

    It is the smallest uptake over biomass coefficient that is not below `growth`, 1/h, within a thousandth; smaller
    ones belong to metabolites that the cell makes. None where biomass lists nothing that is taken up.
    """
    found = []
    for metabolite, coefficient in network.stoichiometry_of(network.objective).items():
        exchange = _taken_up(network, metabolite) if coefficient < 0 else None
        if exchange is not None and growth * (1 - 1e-3) <= (ratio := exchange.uptake / -coefficient):
            found.append(Division(exchange.importer.id, exchange.uptake, -coefficient, ratio))
    return min(found, key=lambda division: division.growth, default=None)


def with_exact_rates(network: Network, line: CellLine) -> Network:
    """Return a cell on its medium in which the measured rates of a line are forced, within `TOLERANCE`.

    Raises
    ------
    RedoxError
        The rates contradict each other: no steady state has all of them.
    """
    forced = line.forced(network)
    with FluxLP(forced, {}) as lp:
        lp.crash_basis()
        if lp.maximise().optimal:
            return forced
    needed = _smallest_excess(forced, line)
    named = sorted(needed, key=lambda name: -abs(needed[name] - line.rates[name]) / abs(line.rates[name]))
    texts = [f"{name} {line.rates[name]:g} would have to be {needed[name]:.3g}" for name in named[:_SHOWN]]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    raise RedoxError(
        f"the measured rates of {line.id} contradict each other in model {network.id}: {', '.join(texts)}{more}"
        if needed
        else f"the measured rates of {line.id} and the medium contradict each other in model {network.id}",
        hint="correct them, or use them as limits",
        settings=("cells_file", "exact_rates"),
    )


def check_line(network: Network, line: CellLine, released: Sequence[str] = RELEASED) -> LineCheck:
    """Compare the measured release of by-products with what a model allows at measured growth.

    Parameters
    ----------
    network
        The cell on its medium.
    line
        A line with measured growth; its rates are limits, except the one whose range is computed.
    released
        By-products, as far as the line releases them.

    Raises
    ------
    RedoxError
        The growth of the line was not measured, or cannot be reached even with larger uptakes.
    """
    if line.growth is None:
        raise RedoxError(f"the growth of cell line {line.id} was not measured", hint="add it to the row `growth`")
    limited = line.condition(network).apply(network).with_bounds({network.objective: (line.growth, line.growth)})
    rates = {name: rate for name in released if (rate := line.rates.get(name, 0.0)) > 0 and find_exchange(network, name)}
    opened = limited.with_bounds(dict(_lifted(limited, name) for name in rates))
    needed = _smallest_excess(opened, line)
    if needed is None:
        raise RedoxError(
            f"cell line {line.id} cannot grow at {line.growth:g} 1/h in model {network.id} on this medium, whatever "
            "it takes up of what was measured",
            hint="choose a medium that holds the rest of what biomass needs",
            settings=("medium",),
        )
    raised = {}
    for name, rate in needed.items():
        exchange = find_exchange(network, name)
        reaction, upper, scale = exchange.bound(supply=rate < 0)
        lower, higher = limited.bounds_of(reaction)
        most = scale * abs(rate) * (1 + _ROUND_OFF)
        raised[reaction] = (lower, max(higher, most)) if upper else (min(lower, -most), higher)
    limited = limited.with_bounds(raised)
    ranges = []
    for name, rate in rates.items():
        smallest, largest = _flux_range(limited.with_bounds(dict([_lifted(limited, name)])), name)
        ranges.append(MeasuredRange(name, rate, smallest, largest))
    return LineCheck(
        line.id, line.growth, {name: rate / line.rates[name] for name, rate in needed.items()}, tuple(ranges)
    )
