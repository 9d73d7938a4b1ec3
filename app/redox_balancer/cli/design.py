"""`redox design`: a construct for a condition, from a trained policy or given, and its analysis in the cell."""

import json
import math
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from redox_balancer.cli.options import (
    ConditionName,
    PolicyRun,
    StartSeed,
    given,
    report_repairs,
    takes_task_without,
    writable_folder,
)
from redox_balancer.errors import RedoxError
from redox_balancer.progress import no_progress
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import phase_progress, status_progress
from redox_balancer.terminal.tables import construct_text, notes, out, show

if TYPE_CHECKING:
    from redox_balancer.design.construct import Construct
    from redox_balancer.design.task import Task
    from redox_balancer.designer.design import Design
    from redox_balancer.designer.proposal import Proposal

EXAMPLE = "Example: redox design experiments/first --condition complex_iii_closed --output designs/first"
LONG_S = 2.0  # time of a search, s, from which its progress is shown
LINKED_SHOWN = 12  # NAD(P)H-linked reactions in the printed table, those whose flux changes most; the files list all


@takes_task_without("sampling")
def design(
    run: PolicyRun = None,
    *,
    task: "Task",
    condition: ConditionName = "healthy",
    construct: Annotated[
        str | None, typer.Option(help="Construct to analyse, without a search: 'LBNOX_c 0.1 % + AOX_m 0.03 %'.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the designed model, fluxes, figure, tables and design.json.", callback=writable_folder
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Time for the search, which ends before with a proof; Ctrl-C ends it too.",
            show_default="0.2, 1 with --reward ratio",
        ),
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(min=1, help="Constructs to value at most, for an answer that repeats by its seed.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=0, hidden=True)] = None,
    seed: StartSeed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Print placements and value, without analysis.")] = False,
    check: Annotated[
        Literal["glpk", "cobrapy"],
        typer.Option(help="What confirms growth and capacity on the whole model; cobrapy takes 2 seconds more."),
    ] = "glpk",
    as_json: AsJson = False,
) -> None:
    """Design a construct for a condition and analyse it in the cell.

    The search starts from constructs that the policy of a run draws, or without one from greedy search and from
    nothing, and says whether its answer is proven optimal. With a run, the options of cell and constructs ask its
    policy about another task than it was trained on: enzymes, cell lines, conditions, a model. Placements and value
    come first. The complete, uncompressed model is then analysed: growth, capacity, guaranteed minimum, flux ranges
    and production envelope. Growth and capacity must agree with the values found before; with --output or --check
    cobrapy COBRApy computes them too, and with --output again from the exported models.
    """
    from redox_balancer.designer.design import make_design  # noqa: PLC0415
    from redox_balancer.designer.proposal import propose  # noqa: PLC0415
    from redox_balancer.designer.trained_run import TrainedRun  # noqa: PLC0415

    if quick and (output is not None or check == "cobrapy"):
        raise RedoxError("--quick writes no files and checks nothing", hint="omit it, or --output and --check")
    opened = None if run is None else TrainedRun.open(run).elsewhere(**given(task))
    task = task if opened is None else opened.task
    console = notes() if as_json else out()
    if samples is not None and construct is None and evaluations is None:
        evaluations = samples + 1  # the option of version 0.1: constructs besides the most probable one
    long = construct is None and seconds is not None and seconds >= LONG_S
    with phase_progress("searching") if long else nullcontext(no_progress) as progress:
        limits = {"seconds": seconds, "evaluations": evaluations, "seed": seed}
        proposal = propose(opened or task, condition, construct, **limits, progress=progress)
    console.print(_answer(proposal))
    report_repairs(proposal.space.network.repairs)
    source = {"run": None if run is None else str(run)}
    if quick and as_json:
        typer.echo(json.dumps(source | proposal.data()))
    if quick:
        return
    with notes().status("analysing the cell") as status:
        made, by_cobrapy, written = make_design(proposal, progress=status_progress(status)), None, []
        if output is not None or check == "cobrapy":
            status.update("loading COBRApy")
            from redox_balancer.designer.model import checked_cell  # noqa: PLC0415 - takes seconds

            cell, by_cobrapy = checked_cell(task, made)
            if output is not None:
                from redox_balancer.designer.export import export  # noqa: PLC0415 - loads Matplotlib

                written = export(cell, made, output, progress=status_progress(status))
    if as_json:
        files = {"cobrapy": by_cobrapy, "output": None if output is None else str(output), "files": written}
        typer.echo(json.dumps(source | made.data() | files))
        return
    _print(made)
    out().print(f"growth and capacity confirmed on the whole model by GLPK{' and COBRApy' if by_cobrapy else ''}")
    if output is not None:
        console.print(f"\n{output}: {', '.join(written)}")


def _answer(proposal: "Proposal") -> str:
    def text(construct: "Construct", value: float) -> str:
        return f"{construct_text(proposal.space.describe(construct))}  value {value:.4f}"

    found, policy = proposal.found, proposal.policy
    answer = f"{proposal.condition.id}: {text(proposal.construct, proposal.task_value)}"
    if found is None:
        return answer
    by = f", by {found.stage}" if found.stage else ""
    answer += f"\n{proposal.proof}{by} ({found.seconds:.2f} s, constructs valued: {found.evaluations:,})"
    answer += f"\n{proposal.measured}" if proposal.measured else ""
    if policy is None:
        return answer
    return f"{answer}\nthe policy alone: {text(policy.construct, policy.value)}"


def _print(made: "Design") -> None:
    proposal, analysis = made.proposal, made.analysis
    outcome, reference, space = proposal.outcome, proposal.reference, proposal.space
    out().print(f"\n{proposal.condition.description}\n")
    texts = ("placement", "enzyme", "EC", "UniProt", "organism", "reaction")
    placed = [
        (
            *(row[key] or "-" for key in ("placement", "name", "ec", "uniprot", "organism", "reaction")),
            f"{100 * row['proteome_fraction']:g} %",
            f"{row['protein_mg_per_gdw']:.3g}",
            f"{row['flux_cap_mmol_gdw_h']:.3g}",
        )
        for row in proposal.placed
    ]
    show(dict.fromkeys(texts, "left") | dict.fromkeys(("proteome", "mg/gDW", "flux cap"), "right"), placed)
    over = "" if space.affordable(proposal.construct) else " (exceeded)"
    share = f" ({100 * analysis.guaranteed / analysis.capacity:.0f} % of it)" if analysis.capacity > 0 else ""
    lines = {
        **({} if space.is_plain else {"value": f"{proposal.task_value:.4f} by the task"}),
        "value" if space.is_plain else "plain value": f"{outcome.value:.4f} healthy respirations",
        "protein": f"{100 * proposal.protein:.3g} % of the proteome, budgets {100 * space.budget:g} % soluble and "
        f"{100 * space.membrane_budget:g} % membrane{over}; costs {100 * proposal.growth_cost:.2g} % of growth",
        "growth": f"{reference.growth:.5f} -> {outcome.growth:.5f} 1/h, healthy {reference.healthy_growth:.5f}",
        **({"cell line": proposal.line_growth} if proposal.line_growth else {}),
        "rescue": f"{100 * outcome.rescue:.1f} % of healthy growth restored",
        "capacity": f"{outcome.capacity:.4f} mmol NAD(P)H/gDW/h with growth of {reference.floor:.5f} at least",
        "guaranteed": f"{analysis.guaranteed:.4f} mmol NAD(P)H/gDW/h at largest growth{share}",
    }
    out().print("\n" + "\n".join(f"{name:<12}{text}" for name, text in lines.items()))
    linked = [found for found in analysis.ranges if found.kind == "linked"]
    linked.sort(key=lambda found: -round(abs(found.flux - found.without), 6) if found.flux == found.flux else 0.0)
    shown = [*made.placed_ranges, *linked[:LINKED_SHOWN]]
    numbers = ("flux without", "with", "range at largest growth", "range at growth floor")
    rows = [
        (
            found.reaction + (" *" if found.in_cycle else ""),
            *(_fluxes(*fluxes) for fluxes in ((found.without,), (found.flux,), found.at_growth, found.at_floor)),
            found.equation,
        )
        for found in shown
    ]
    out().print()
    show({"reaction": "left"} | dict.fromkeys(numbers, "right") | {"equation": "left"}, rows)
    hidden = len(made.placed_ranges) + len(linked) - len(shown)
    rest = f"; {hidden} more reactions with NAD(P)H change less" if hidden else ""
    cycles = (
        "; * can run in an infeasible cycle: its range is not meaningful" if any(f.in_cycle for f in shown) else ""
    )
    out().print(f"\nfluxes in mmol/gDW/h, parsimonious at largest growth{cycles}{rest}")


def _fluxes(*fluxes: float) -> str:
    return "-" if math.isnan(fluxes[0]) else " to ".join(f"{flux:.4f}" for flux in fluxes)
