"""A design: a proposal, and the analysis of the cell with its construct by COBRApy."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from redox_balancer.cell.cobrapy import cobra
from redox_balancer.design.evaluator import Outcome
from redox_balancer.design.task import Task
from redox_balancer.designer.analysis import Analysis, FluxRange, analyse
from redox_balancer.designer.model import DesignedCell, designed_cell, open_model
from redox_balancer.designer.proposal import Proposal
from redox_balancer.errors import RedoxError
from redox_balancer.progress import Progress, no_progress

AGREEMENT = 1e-6
"""Largest difference between the evaluator's linear programs and COBRApy, relative for values above 1."""

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
        check_agreement("COBRApy", self.analysis.growth, self.analysis.capacity, self.proposal.outcome)

    @property
    def placed_ranges(self) -> list[FluxRange]:
        """Flux ranges of the inserted and over-expressed reactions."""
        return [found for found in self.analysis.ranges if found.kind != "linked"]

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON; None for values that do not exist."""
        analysis = self.analysis
        return self.proposal.data() | {
            "guaranteed": analysis.guaranteed,
            "cobrapy": {"growth": analysis.growth, "capacity": analysis.capacity},
            "flux_ranges": [found.data() for found in analysis.ranges],
            "envelope": None if analysis.envelope is None else asdict(analysis.envelope),
            "flux_choice": FLUX_CHOICE,
        }


def make_design(
    model: cobra.Model, proposal: Proposal, *, linked: bool = True, progress: Progress = no_progress
) -> tuple[Design, DesignedCell]:
    """Put a proposed construct into the model it was proposed for, and analyse the cell.

    `model` is changed, see `designed_cell`; `linked` and `progress` are those of `analyse`. A RedoxError if COBRApy
    computes another growth or capacity than the evaluator did.
    """
    floor = proposal.reference.floor
    cell = designed_cell(model, proposal.space, proposal.construct, proposal.condition, floor=floor)
    return Design(proposal, analyse(cell, linked=linked, progress=progress)), cell


def make_designs(task: Task, proposals: Iterable[Proposal], *, progress: Progress = no_progress) -> list[Design]:
    """Designs of several proposals of one task, without the flux ranges of other NAD(P)H-linked reactions."""
    model = open_model(task)
    designs = []
    for proposal in proposals:
        progress(f"designs: {proposal.condition.id}")
        with model:
            designs.append(make_design(model, proposal, linked=False)[0])
    return designs


def check_agreement(source: str, growth: float, capacity: float, outcome: Outcome) -> None:
    """Raise a RedoxError if growth or capacity by `source` differ by more than `AGREEMENT` from an outcome."""
    for name, theirs, ours in (("growth", growth, outcome.growth), ("capacity", capacity, outcome.capacity)):
        if not abs(theirs - ours) <= AGREEMENT * max(1.0, abs(ours)):
            raise RedoxError(
                f"{name} is {ours:.9g} by the evaluator and {theirs:.9g} by {source}",
                hint="the model is probably badly scaled; if it is not, please report this with the model",
            )
