"""A design: a proposal, and the analysis of the whole cell with its construct."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from redox_balancer.design.evaluator import Outcome
from redox_balancer.designer.analysis import Analysis, FluxRange, analyse
from redox_balancer.designer.proposal import Proposal
from redox_balancer.designer.whole_cell import WholeCell
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

AGREEMENT = 1e-6
"""Largest difference between two computations of growth or capacity, relative for values above 1."""

FLUX_CHOICE = (
    "parsimonious (pFBA): the flux distribution of the smallest total flux among all optimal ones, so without "
    "thermodynamically infeasible cycles; a single optimal vertex depends on the path of the solver"
)


@dataclass(frozen=True)
class Design:
    """A proposal and its analysis; a RedoxError if growth or capacity differ between the two."""

    proposal: Proposal
    analysis: Analysis

    def __post_init__(self) -> None:
        check_agreement(
            "GLPK on the whole model", self.analysis.growth, self.analysis.capacity, self.proposal.outcome
        )

    @property
    def placed_ranges(self) -> list[FluxRange]:
        """Flux ranges of the inserted and over-expressed reactions."""
        return [found for found in self.analysis.ranges if found.kind != "linked"]

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON; None for values that do not exist."""
        analysis = self.analysis
        return self.proposal.data() | {
            "guaranteed": analysis.guaranteed,
            "whole_model": {"growth": analysis.growth, "capacity": analysis.capacity},
            "flux_ranges": [found.data() for found in analysis.ranges],
            "envelope": None if analysis.envelope is None else asdict(analysis.envelope),
            "flux_choice": FLUX_CHOICE,
        }


def make_design(proposal: Proposal, *, linked: bool = True, progress: Progress = no_progress) -> Design:
    """Put a proposed construct into its cell, and analyse that.

    `linked` and `progress` are those of `analyse`. A RedoxError if the whole network has another growth or capacity
    than the evaluator found.
    """
    floor = proposal.reference.floor
    cell = WholeCell.of(proposal.space, proposal.construct, proposal.condition, floor=floor)
    return Design(proposal, analyse(cell, linked=linked, progress=progress))


def make_designs(proposals: Iterable[Proposal], *, progress: Progress = no_progress) -> list[Design]:
    """Designs of several proposals, without the flux ranges of other NAD(P)H-linked reactions."""
    designs = []
    for proposal in proposals:
        progress(f"designs: {proposal.condition.id}")
        designs.append(make_design(proposal, linked=False))
    return designs


def check_agreement(source: str, growth: float, capacity: float, outcome: Outcome) -> None:
    """Raise a RedoxError if growth or capacity by `source` differ by more than `AGREEMENT` from an outcome."""
    for name, theirs, ours in (("growth", growth, outcome.growth), ("capacity", capacity, outcome.capacity)):
        if not abs(theirs - ours) <= AGREEMENT * max(1.0, abs(ours)):
            raise RedoxError(
                f"{name} is {ours:.9g} by the evaluator and {theirs:.9g} by {source}",
                hint="the model is probably badly scaled; if it is not, please report this with the model",
            )
