"""A placement, one enzyme in one compartment of a model, and the reason why a library entry cannot be one."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from redox_balancer.cell.network import Column
from redox_balancer.design.enzymes import Enzyme, Site


class Reason(StrEnum):
    """Reason why an entry of the library is excluded."""

    MISSING = "missing"
    """The model lacks a metabolite."""
    UNBALANCED = "not balanced"
    """The reaction creates or destroys atoms or charge, by the formulas of the model."""
    CYCLE = "cycle"
    """The reaction closes a thermodynamically infeasible cycle: it carries flux with all exchanges closed."""
    IDLE = "idle"
    """The placement has no effect: it carries no flux, or the native enzyme limits nothing."""
    DOMINATED = "dominated"
    """Another entry does the same with less protein."""


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
