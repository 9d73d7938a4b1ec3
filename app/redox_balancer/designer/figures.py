"""Figures of a design."""

from redox_balancer.designer.design import Design
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
