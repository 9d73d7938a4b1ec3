"""What measured exchange rates say about a model: whether they can hold at once, and what follows at measured growth.

With uptakes limited to measured rates, growth is often one uptake over its biomass coefficient: a division, and not a
prediction. What a model does predict is whether the other measured rates lie within their flux ranges.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from redox_balancer.cell.cell_lines import UNLIMITED, CellLine
from redox_balancer.cell.exchanges import Exchange, find_exchange
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import Column, Network
from redox_balancer.cell.repairs import shortened
from redox_balancer.errors import RedoxError

RELEASED = ("EX_lac__L_e", "EX_ala__L_e", "EX_glu__L_e")
"""By-products whose measured release is compared with its flux range."""

SMALLEST_RATE = 1e-3  # rates below this, mmol/gDW/h, count as this large where deviations are compared
LEAST_EXCESS = 1e-8  # deviation in mmol/gDW/h that is no round-off of the solver
ROUND_OFF = 1e-6  # relative margin of a bound that an optimum has reached
_SAME = 1 - 1e-3  # share of a division from which on growth is that division


class Division(NamedTuple):
    """The largest growth that one uptake allows: uptake, mmol/gDW/h, over biomass coefficient, mmol/gDW, in 1/h."""

    exchange: str
    uptake: float
    coefficient: float

    @property
    def growth(self) -> float:
        """The quotient, 1/h."""
        return self.uptake / self.coefficient

    def says(self, growth: float) -> str:
        """Compare growth, 1/h, with this one, in a line."""
        share = growth / self.growth
        said = "a division, not a prediction" if share > _SAME else f"growth is {share:.1%} of it"
        quotient = f"{self.uptake:.4g} / {self.coefficient:.4g} in biomass"
        return f"{self.exchange} {quotient} = {self.growth:.5f} 1/h: {said}"


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
        margin = ROUND_OFF * max(1.0, abs(self.measured))
        return self.smallest - margin <= self.measured <= self.largest + margin

    def __str__(self) -> str:
        where = "in" if self.inside else "not in"
        return f"{self.exchange} {self.measured:.4g} {where} {self.smallest:.3f} to {self.largest:.3f}"


@dataclass(frozen=True)
class LineCheck:
    """A cell line at its measured growth, 1/h, with the flux ranges of by-products that it releases.

    `exceeded` are the measured rates that must be exceeded, by more than the tolerance, to reach that growth: needed
    over measured. The sum of the relative excesses is the smallest possible.
    """

    line: str
    growth: float
    exceeded: Mapping[str, float]
    ranges: tuple[MeasuredRange, ...]

    def __str__(self) -> str:
        exceeded = ", ".join(f"{name} {factor:.2f}" for name, factor in self.exceeded.items()) or "none"
        return "; ".join([f"{self.line} at {self.growth:g} 1/h: exceeded {exceeded}", *map(str, self.ranges)])


def biomass_divisions(network: Network) -> dict[str, Division]:
    """Growth that each uptake would allow alone, by exchange: of all that biomass lists and a medium limits."""
    found = {}
    for metabolite, coefficient in network.stoichiometry_of(network.objective).items():
        for species in network.species_of(metabolite) if coefficient < 0 else ():
            exchange = find_exchange(network, f"{species}_e")
            if exchange is not None and 0.0 < exchange.uptake < UNLIMITED:
                name = exchange.importer.id
                found[name] = Division(name, exchange.uptake, -coefficient)
    return found


def nearest_division(network: Network, growth: float) -> Division | None:
    """Find the uptake that would allow the least growth alone, but no less than `growth`, 1/h.

    Smaller ones belong to metabolites that the cell makes. None where biomass lists nothing that is taken up.
    """
    found = biomass_divisions(network).values()
    return min((one for one in found if one.growth >= growth * _SAME), key=lambda one: one.growth, default=None)


def with_exact_rates(network: Network, line: CellLine) -> Network:
    """Return a cell on its medium in which the measured rates of a line are forced, within `TOLERANCE`.

    A RedoxError if the rates contradict each other: no steady state has all of them.
    """
    forced = line.forced(network)
    with FluxLP(forced, {}) as lp:
        lp.crash_basis()
        if lp.maximise().optimal:
            return forced
    needed = _closest_rates(forced, line, forced=True) or {}
    texts = [f"{name} {line.rates[name]:g} would have to be {rate:.3g}" for name, rate in needed.items()]
    raise RedoxError(
        f"the measured rates of {line.id} cannot hold at once in model {network.id}: "
        + (shortened(texts) if texts else "the medium or a forced flux is against them"),
        hint="correct them, or let the rates be limits",
        settings=("cells_file", "exact_rates"),
    )


def check_line(network: Network, line: CellLine) -> LineCheck:
    """Compare the measured release of by-products (`RELEASED`) with what a cell on its medium allows.

    It has the measured growth of the line, whose rates are limits, except the one whose range is computed. A
    RedoxError if that growth was not measured, or cannot be reached even with larger uptakes.
    """
    if line.growth is None:
        raise RedoxError(f"the growth of cell line {line.id} was not measured", hint="add a row `growth` to its file")
    cell = line.condition(network).apply(network).with_bounds({network.objective: (line.growth, line.growth)})
    needed = _closest_rates(cell, line)
    if needed is None:
        raise RedoxError(
            f"cell line {line.id} cannot grow at its measured {line.growth:g} 1/h in model {network.id}, however "
            "much it takes up of what was measured",
            hint="choose a medium that holds the rest of what biomass needs",
            settings=("medium",),
        )
    found = line.exchanges(network)
    cell = cell.with_bounds(dict(_with_rate(cell, e, needed[name]) for name, e, _ in found if name in needed))
    ranges = []
    with FluxLP(cell, {}) as lp:
        lp.crash_basis()
        for name, exchange, rate in found:
            if name not in RELEASED or rate <= 0:
                continue
            reaction, lifted = _with_rate(cell, exchange, OPEN)
            lp.set_bounds(cell.column(reaction), *lifted)
            ends = []
            for sign in (-1.0, 1.0):
                lp.set_objective({part.id: -sign * part.coefficient for part in exchange.reactions})
                ends.append(sign * lp.maximise().objective + 0.0)
            lp.set_bounds(cell.column(reaction), *cell.bounds_of(reaction))
            ranges.append(MeasuredRange(name, rate, *ends))
    exceeded = {name: rate / line.rates[name] for name, rate in needed.items()}
    return LineCheck(line.id, line.growth, exceeded, tuple(ranges))


def _closest_rates(network: Network, line: CellLine, *, forced: bool = False) -> dict[str, float] | None:
    """Rates outside of a network's bounds that make it feasible, mmol/gDW/h; None where no rates do.

    The sum of their relative distances from the bounds is the smallest possible; the most distant one comes first.
    Limits are exceeded in the measured direction alone, and `forced` rates missed in either.
    """
    columns, weights, owners = [], {}, {}
    for name, exchange, rate in line.exchanges(network):
        for sign in (1.0, -1.0) if forced else (math.copysign(1.0, -rate),):
            columns.append(Column(f"{name} {sign:+}", {exchange.metabolite: sign}, 0.0, OPEN))
            weights[columns[-1].id] = -1.0 / max(abs(rate), SMALLEST_RATE)
            owners[columns[-1].id] = name, exchange
    elastic = network.with_columns(columns)
    with FluxLP(elastic, weights) as lp:
        lp.crash_basis()
        if not lp.maximise().optimal:
            return None
        fluxes = dict(zip(elastic.reactions, lp.fluxes().tolist(), strict=True))
    needed = {}
    for column in sorted(weights, key=lambda column: weights[column] * fluxes[column]):
        if fluxes[column] > LEAST_EXCESS:
            name, exchange = owners[column]
            parts = elastic.boundary_coefficients[exchange.metabolite]
            removed = -sum(coefficient * fluxes[reaction] for reaction, coefficient in parts.items())
            needed[name] = removed if abs(removed) > LEAST_EXCESS else 0.0
    return needed


def _with_rate(network: Network, exchange: Exchange, rate: float) -> tuple[str, tuple[float, float]]:
    """The reaction of an exchange that has a rate, and its bounds where that rate is possible, mmol/gDW/h."""
    reaction, upper, scale = exchange.bound(supply=rate < 0)
    most = scale * abs(rate) * (1 + ROUND_OFF)
    lower, higher = network.bounds_of(reaction)
    return reaction, ((lower, max(higher, most)) if upper else (min(lower, -most), higher))
