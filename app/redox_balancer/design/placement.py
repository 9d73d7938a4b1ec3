"""A placement, one enzyme in one compartment of a model, and why an entry of the library is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from redox_balancer.cell.network import Column
from redox_balancer.design.enzymes import Enzyme, Site


class Reason(StrEnum):
    """Why an entry of the library cannot be placed in a model."""

    MISSING = "missing"
    """The model lacks a metabolite."""
    UNBALANCED = "not balanced"
    """It makes or loses atoms or charge in the model's formulas."""
    LOOP = "loop"
    """It runs with nothing entering or leaving the cell."""
    IDLE = "idle"
    """It can change nothing: it carries no flux, or the native enzyme is not limited."""
    OUTDONE = "outdone"
    """Another entry does the same with less protein."""


@dataclass(frozen=True)
class ExcludedEntry:
    """An entry of the library that is not offered.

    Attributes
    ----------
    id
        `<enzyme>_<compartment>`.
    reason
        The kind of reason.
    detail
        The reason in words.
    cycle
        The reactions of the loop it closes.
    """

    id: str
    reason: Reason
    detail: str
    cycle: tuple[str, ...] = ()

    @property
    def at_fault(self) -> bool:
        """Whether it would make something from nothing, rather than being of no use."""
        return self.reason in (Reason.UNBALANCED, Reason.LOOP)


@dataclass(frozen=True)
class Placement:
    """One enzyme in one compartment: a column of the network and the flux each level buys.

    Attributes
    ----------
    id
        `<enzyme>_<compartment>`.
    enzyme, site
        The library's entries.
    reaction
        `SINK_<id>` for foreign chemistry, else the native reaction.
    stoichiometry
        The site's coefficients by the model's own metabolite ids.
    foreign
        Whether the reaction is new to the cell.
    caps
        Flux bought by each level, mmol/gDW/h, counted in the reaction's own coefficients.
    """

    id: str
    enzyme: Enzyme
    site: Site
    reaction: str
    stoichiometry: Mapping[str, float]
    foreign: bool
    caps: tuple[float, ...]

    @property
    def column(self) -> Column:
        """The closed reaction that foreign chemistry adds to a network."""
        return Column(self.reaction, self.stoichiometry)

    def bounds(self, flux: float) -> tuple[float, float]:
        """Bounds of foreign chemistry that may carry `flux`, mmol/gDW/h."""
        return (-flux if self.site.reversible else 0.0), flux
