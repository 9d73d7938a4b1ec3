"""Placements, each one enzyme in one compartment of a model, and their reactions in a network.

A bookkeeping metabolite counts H2O2 formed minus H2O2 removed by inserted reactions. The surplus drains through
`H2O2_LEFT`, which has a price in the value of a construct; removing more than was formed is free (`H2O2_SPARE`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from redox_balancer.cell.media import OPEN
from redox_balancer.cell.network import LEDGER, Column, Network
from redox_balancer.design.enzymes import Enzyme, Site

H2O2_BALANCE = f"h2o2{LEDGER}"  # id of the bookkeeping metabolite
H2O2_LEFT = "H2O2_LEFT"
H2O2_SPARE = "H2O2_SPARE"


class Reason(StrEnum):
    """Reason why an entry of the library is excluded."""

    MISSING = "missing"  # the model lacks a metabolite
    UNBALANCED = "not balanced"  # the reaction creates or destroys atoms or charge, by the formulas of the model
    CYCLE = "cycle"
    """The reaction closes a thermodynamically infeasible cycle: it carries flux with all exchanges closed."""
    IDLE = "idle"  # the placement has no effect: it carries no flux, or the native enzyme limits nothing
    DOMINATED = "dominated"  # another entry does the same with less protein


@dataclass(frozen=True)
class ExcludedEntry:
    """An entry of the library (`<enzyme>_<compartment>`) that is not offered, why, and the cycle that it closes."""

    id: str
    reason: Reason
    detail: str
    cycle: tuple[str, ...] = ()

    @property
    def at_fault(self) -> bool:
        """Whether the entry violates a conservation law, rather than being of no use."""
        return self.reason in (Reason.UNBALANCED, Reason.CYCLE)


@dataclass(frozen=True)
class Placement:
    """One enzyme in one compartment: a column of the network and its enzyme capacity at each level."""

    id: str  # <enzyme>_<compartment>
    enzyme: Enzyme
    site: Site
    reaction: str  # SINK_<id> for a foreign reaction, else the native reaction
    stoichiometry: Mapping[str, float]  # of the site's reaction by the model's own metabolite ids
    foreign: bool
    caps: tuple[float, ...]  # enzyme capacity at each level, mmol/gDW/h, in units of the column's own coefficients
    cofactor_mm: float | None = None  # free concentration of the NAD(P)H that it consumes, mM, where known

    @property
    def column(self) -> Column:
        """The closed reaction that a foreign placement adds to a network."""
        return Column(self.reaction, self.stoichiometry)

    def bounds(self, flux: float) -> tuple[float, float]:
        """Bounds of a foreign placement that may carry `flux`, mmol/gDW/h."""
        return (-flux if self.site.reversible else 0.0), flux


def with_insertions(network: Network, placements: Sequence[Placement]) -> Network:
    """Network with a closed column for each foreign placement and, where they involve H2O2, its bookkeeping."""
    columns: list[Column] = []
    bookkeeping = False
    for placement in placements:
        if not placement.foreign:
            continue
        stoichiometry = dict(placement.stoichiometry)
        formed = sum(c for metabolite, c in stoichiometry.items() if network.is_species(metabolite, "h2o2"))
        if formed:
            stoichiometry[H2O2_BALANCE] = formed
            bookkeeping = True
        columns.append(Column(placement.reaction, stoichiometry))
    if not bookkeeping:
        return network.with_columns(columns)
    columns += [
        Column(H2O2_LEFT, {H2O2_BALANCE: -1.0}, 0.0, OPEN),
        Column(H2O2_SPARE, {H2O2_BALANCE: 1.0}, 0.0, OPEN),
    ]
    return network.with_columns(columns, new_metabolites=[H2O2_BALANCE])
