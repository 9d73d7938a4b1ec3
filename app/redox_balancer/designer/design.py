"""A design: a proposal, and what COBRApy says of it in the whole model, with nothing lumped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cobra

from redox_balancer.design.evaluator import Outcome
from redox_balancer.designer.analysis import Analysis, FluxRange, analyse
from redox_balancer.designer.model import DesignedCell, designed_cell
from redox_balancer.designer.proposal import Proposal
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

AGREEMENT = 1e-6
"""Largest difference between the linear programs and COBRApy, relative where a figure is above 1."""

FLUX_CHOICE = (
    "parsimonious (pFBA): the solution of the smallest sum among all with the optimum, so without free loops; "
    "a single optimal vertex is an accident of the solver's path"
)


@dataclass(frozen=True)
class Design:
    """A proposal and what COBRApy says of it; growth and capacity are the same, or this is a RedoxError."""

    proposal: Proposal
    analysis: Analysis

    def __post_init__(self) -> None:
        agree("COBRApy", self.analysis.growth, self.analysis.capacity, self.proposal.outcome)

    @property
    def placed_ranges(self) -> list[FluxRange]:
        """Fluxes of inserted and over-expressed reactions."""
        return [found for found in self.analysis.ranges if found.kind != "linked"]

    def data(self) -> dict[str, Any]:
        """All of it, ready for JSON; None for what does not exist."""
        analysis = self.analysis
        return self.proposal.data() | {
            "guaranteed": analysis.guaranteed,
            "cobrapy": {"growth": analysis.growth, "capacity": analysis.capacity},
            "flux_ranges": [_without_nan(asdict(found)) for found in analysis.ranges],
            "envelope": None if analysis.envelope is None else asdict(analysis.envelope),
            "flux_choice": FLUX_CHOICE,
        }


def work_out(
    model: cobra.Model, proposal: Proposal, *, linked: bool = True, progress: Progress = no_progress
) -> tuple[Design, DesignedCell]:
    """Put a proposal into the model it was made for, and ask COBRApy what it does there.

    `model` is changed, see `designed_cell`; `linked` and `progress` are those of `analyse`.
    """
    floor = proposal.reference.floor
    cell = designed_cell(model, proposal.space, proposal.construct, proposal.condition, floor=floor)
    return Design(proposal, analyse(cell, linked=linked, progress=progress)), cell


def agree(who: str, growth: float, capacity: float, outcome: Outcome) -> None:
    """Compare growth and capacity with an outcome.

    Raises
    ------
    RedoxError
        They differ by more than `AGREEMENT`.
    """
    for name, theirs, ours in (("growth", growth, outcome.growth), ("capacity", capacity, outcome.capacity)):
        if not abs(theirs - ours) <= AGREEMENT * max(1.0, abs(ours)):
            raise RedoxError(
                f"{name} is {ours:.9g} by the linear programs and {theirs:.9g} by {who}",
                hint="the model is too badly scaled to be trusted; if it is not, please report this with the model",
            )


def _without_nan(record: Mapping[str, Any]) -> dict[str, Any]:
    """Record whose NaN are None, which JSON knows; a range without figures is None as a whole."""

    def told(value: Any) -> Any:
        if isinstance(value, float) and math.isnan(value):
            return None
        if isinstance(value, tuple):
            return None if any(math.isnan(part) for part in value) else list(value)
        return value

    return {name: told(value) for name, value in record.items()}
