"""`redox validate`: experiments on human cells that a model should reproduce."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.core import DEFAULT_BIOMASS
from redox_balancer.cli.options import (
    AsPublished,
    Biomass,
    Curation,
    Figure,
    Model,
    flag,
    report_repairs,
    writable_file,
    write_figure,
)
from redox_balancer.design.settings import TaskSettings
from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import notes, out, show

if TYPE_CHECKING:
    from redox_balancer.evaluation.validation import Validation

CORE_MEDIUM, GENOME_MEDIUM = "physiological", "culture"

EXAMPLE = "Example: redox validate --model Recon3D.json.gz --vary --figure experiments.svg"


def validate(
    *,
    model: Model = None,
    medium: Annotated[
        str | None,
        typer.Option(
            help="Medium: a name or a file; 'culture' by default, 'physiological' for the embedded core.",
            show_default=False,
        ),
    ] = None,
    biomass: Biomass = None,
    as_published: AsPublished = False,
    curation: Curation = None,
    vary: Annotated[
        bool,
        typer.Option(
            "--vary",
            help="Repeat everything at half and twice each cap of the medium, and list what comes out otherwise.",
        ),
    ] = False,
    ratios: Annotated[
        bool, typer.Option("--ratios", help="Growth by NAD+/NADH and energies, on the embedded core.")
    ] = False,
    draws: Annotated[
        int, typer.Option(min=0, help="With --ratios or --directions: repeat it with so many draws of the energies.")
    ] = 0,
    concentrations: Annotated[
        str | None,
        typer.Option(help="With --ratios: concentrations or ranges in M, lac__L_c=5e-3:2e-2.", show_default=False),
    ] = None,
    directions: Annotated[
        bool, typer.Option("--directions", help="What raises and lowers NAD+/NADH instead, on the embedded core.")
    ] = False,
    figure: Figure = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the results into this Markdown page, one section for each model.",
            callback=writable_file,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the experiments that a human network should reproduce, and compare.

    One medium, one curation and one rule for all; the page of the results states the rule. What a model cannot
    express is said with the reason. What it gets wrong stays in the table. Recon3D takes about a minute. The embedded
    core is extended by what it lacks for some of them, unless --as-published.
    """
    from redox_balancer.cell.embedded import EXTENSION  # noqa: PLC0415
    from redox_balancer.cell.media import get_medium  # noqa: PLC0415
    from redox_balancer.cell.models import load_network  # noqa: PLC0415 - loads the solver
    from redox_balancer.cell.records import packaged  # noqa: PLC0415
    from redox_balancer.design.enzymes import load_native_capacities  # noqa: PLC0415
    from redox_balancer.design.task import Task  # noqa: PLC0415
    from redox_balancer.evaluation.validation import validate as run  # noqa: PLC0415
    from redox_balancer.report.experiments import drawn, updated  # noqa: PLC0415

    others = {"ratios": ratios, "vary": vary, "figure": figure, "page": page, "medium": medium, "model": model}
    others |= {"concentrations": concentrations, "curation": curation, "biomass": biomass}
    own_table = "the directions are a table of their own, of the embedded core"
    _refuse_pairs("directions" if directions else "", others | {"as_published": as_published}, own_table)
    _refuse_pairs("ratios" if ratios else "", {"model": model}, "the ratios are of the embedded core")
    if draws and not (ratios or directions):
        raise RedoxError("--draws does not go without --ratios or --directions", hint="add one of the two")
    if concentrations and not ratios:
        raise RedoxError("--concentrations does not go without --ratios", hint="add --ratios")
    if directions:
        _show_directions(draws, as_json=as_json)
        return
    extended = model is None and curation is None and not as_published
    medium = medium or (CORE_MEDIUM if model is None else GENOME_MEDIUM)
    curation = packaged(EXTENSION) if extended else curation
    task = TaskSettings(model=model, medium=medium, biomass=biomass, as_published=as_published, curation=curation)
    chosen = get_medium(task.medium)
    if chosen is None:
        raise RedoxError(
            "the experiments need a medium, and not the bounds of the model",
            hint="choose a medium by its name or a file",
            settings=("medium",),
        )
    with notes().status("reading the model") as status:
        network = load_network(task.model, objective=biomass, as_published=as_published, curation=task.curation)
        if biomass is None and (growth := network.find_reaction(DEFAULT_BIOMASS)):
            network = network.with_objective(growth)
        limits = load_native_capacities(network, as_published=as_published)
        result = run(
            network,
            chosen,
            limits,
            vary=vary,
            ratios=ratios,
            draws=draws,
            ranges=Task(concentrations=tuple(concentrations.split(",")) if concentrations else None).ranges(),
            extended=extended,
            progress=status_progress(status),
        )
    report_repairs(network.repairs)
    if figure is not None:
        write_figure(drawn(result), figure)
    if page is not None:
        write_atomically(page, updated(page.read_text(encoding="utf-8") if page.exists() else "", result).encode())
    if as_json:
        typer.echo(json.dumps(result.data()))
    else:
        _show(result)


def _refuse_pairs(chosen: str, others: Mapping[str, object], reason: str) -> None:
    if chosen and (given := [name for name, value in others.items() if value]):
        raise RedoxError(f"{flag(chosen)} does not go with {flag(given[0])}", hint=f"remove one of the two: {reason}")


def _show_directions(draws: int, *, as_json: bool) -> None:
    from redox_balancer.evaluation.directions import (  # noqa: PLC0415 - loads the solver
        FACTORS,
        compare_directions,
        compare_measured,
    )

    with notes().status("ratios") as status:
        found = list(compare_directions(draws, status_progress(status)))
        measured = list(compare_measured(draws))
    if as_json:
        directions, healthy = ([each.data() for each in some] for some in (found, measured))
        typer.echo(json.dumps({"directions": directions, "measured": healthy}))
        return

    def said(verdict: bool | None, held: float | None) -> str:  # noqa: FBT001
        return {True: "right", False: "wrong", None: "-"}[verdict] + (
            "" if held is None else f", {100 * held:g} % of draws"
        )

    rows = [
        (
            each.direction.finding,
            each.direction.ratio,
            each.state,
            *(f"{value:.3g}" if value else "-" for value in (each.reference, each.cell)),
            each.direction.expected.value,
            said(each.right, each.held) + (", wide" if each.wide else ""),
            each.obstacle or each.direction.source,
        )
        for each in found
    ]
    columns = dict.fromkeys(("finding", "ratio", "state"), "left") | dict.fromkeys(("reference", "cell"), "right")
    show(columns | dict.fromkeys(("expected", "", "source"), "left"), rows)
    for what, extra in (("directions", False), ("others", True)):
        judged = [each.right for each in found if each.direction.extra is extra]
        expressed = len(judged) - judged.count(None)
        out().print(f"{judged.count(True)} of {expressed} {what} come out, of {len(judged)}")
    rows = [
        (
            each.measured.ratio,
            f"{each.measured.value:g}",
            f"{each.window.low:.3g} to {each.window.high:.3g}",
            f"{each.window.best:.3g}" if each.window.best else "-",
            said(each.inside, each.inside_held),
            *(said(*pair) for pair in zip(each.within, each.within_held or (None, None), strict=True)),
            each.measured.source,
        )
        for each in measured
    ]
    names = ("healthy core", "measured", "95 % of growth", "r*", "inside", *(f"within {f:g}" for f in FACTORS))
    show(dict.fromkeys((*names, "source"), "left"), rows)


def _show(result: "Validation") -> None:
    from rich.text import Text  # noqa: PLC0415

    from redox_balancer.evaluation.validation import Standing, shown, tally  # noqa: PLC0415

    colours = {True: "green", False: "red", None: "dim"}
    verdicts = {True: "right", False: "wrong", None: "-"}
    rows = [
        (
            each.experiment.id if position == 0 else "",
            f"{assay.assay}{' (ratio)' if assay.assay.ratio else ''}",
            assay.assay.expected.value,
            Text(shown(assay), style=colours[assay.right]),
            Text(verdicts[assay.right], style=colours[assay.right]),
        )
        for each in result.results
        for position, assay in enumerate(each.assays)
    ]
    show(dict.fromkeys(("experiment", "setting", "expected", "predicted", ""), "left"), rows)
    out().print(f"\n{result.model} on {result.medium}: {tally(result.results)}")
    for each in result.results:
        if each.standing is Standing.WRONG:
            out().print(Text(f"{each.experiment.id}: {each.reason or 'the reason is not known'}", style="red"))
    for flip in result.flips or ():
        out().print(f"flips: {flip}")
    if result.flips == ():
        out().print("nothing flips at half or twice of any cap of the medium")
