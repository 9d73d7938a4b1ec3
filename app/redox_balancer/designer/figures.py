"""Figures of a design."""

from dataclasses import replace

from redox_balancer.cell.embedded import CORE_ID
from redox_balancer.design.figures import ratio_curves
from redox_balancer.design.ratio_diagnosis import diagnose_ratios
from redox_balancer.designer.design import Design
from redox_balancer.designer.proposal import Proposal
from redox_balancer.drawing import BEST, POLICY, RANDOM, Drawing, blank


def envelope(design: Design) -> Drawing:
    """Production envelope of a design that has one: capacity against growth, growth without the construct, its floor.

    A design has none where nothing grows or no inserted reaction consumes NAD(P)H.
    """
    found, proposal = design.analysis.envelope, design.proposal
    if found is None:
        raise ValueError(f"{proposal.condition.id}: this design has no envelope")
    figure, axes = blank(6.0, 3.0)
    axes.fill_between(found.growth, found.smallest, found.largest, color=POLICY, alpha=0.18, linewidth=0)
    axes.plot(found.growth, found.largest, color=POLICY, label="largest")
    axes.plot(found.growth, found.smallest, color=POLICY, linestyle=":", label="smallest")
    axes.plot([found.growth[-1]], [design.analysis.guaranteed], "o", color=BEST, label="guaranteed", clip_on=False)
    axes.axvline(proposal.reference.floor, color=RANDOM, linestyle="--", label="growth floor")
    axes.axvline(proposal.reference.growth, color=BEST, linestyle="-", linewidth=0.8, label="growth without")
    axes.set_xlabel("growth (1/h)")
    axes.set_ylabel("NAD(P)H consumption\n(mmol/gDW/h)")
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return Drawing(
        f"envelope {proposal.condition.id}",
        figure,
        f"{proposal.condition.id}: the construct consumes at least {design.analysis.guaranteed:.4g} at the largest "
        f"growth of {design.analysis.growth:.4g} 1/h, and at most {design.analysis.capacity:.4g} mmol NAD(P)H/gDW/h "
        "with growth at its floor",
    )


def ratios(proposal: Proposal) -> Drawing | None:
    """Growth against NAD+/NADH, without and with a construct; None where nothing grows, or energies are not known."""
    space = replace(proposal.space, conditions=(proposal.condition,), ratios=None)
    if space.network.id != CORE_ID:
        return None
    levels = proposal.space.ratios.concentrations if proposal.space.ratios else {}
    diagnoses = list(diagnose_ratios(space, concentrations=levels, construct=proposal.construct, curves=True))
    return ratio_curves(diagnoses) if any(diagnosis.curves for diagnosis in diagnoses) else None
