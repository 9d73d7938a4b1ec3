"""`redox enzymes`: the library as a table, which entries fit a model, and why the others do not."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from redox_balancer.cli.options import AsPublished, Biomass, Curation, Enzymes, Model, report_repairs
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.tables import out, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redox_balancer.design.enzymes import Enzyme

EXAMPLE = "Example: redox enzymes --model core.json --json"


OLD_REASONS: dict[str, str] = {"cycle": "loop", "dominated": "outdone"}
"""Reasons of exclusion that version 0.1 called otherwise."""


def enzymes(
    *,
    enzymes: Enzymes = None,
    model: Model = None,
    biomass: Biomass = None,
    as_published: AsPublished = False,
    curation: Curation = None,
    assumed: Annotated[
        bool, typer.Option("--assumed", help="List the parameters that were not measured on the protein itself.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the enzyme library and how it fits a model.

    Every placement must use metabolites of the model, be balanced, and carry no flux with all exchanges closed, alone
    or with the others. A placement whose reaction the model already has raises the limit of that reaction. Excluded
    entries are listed with the reason, infeasible cycles with their reactions; exit code 2 if nothing fits.
    """
    from redox_balancer.design.enzymes import load_library  # noqa: PLC0415 - loads the solver
    from redox_balancer.design.space import LEVELS  # noqa: PLC0415
    from redox_balancer.design.task import Task  # noqa: PLC0415

    if assumed:
        _print_unmeasured(load_library(enzymes), as_json=as_json)
        return
    space = Task(model=model, enzymes=enzymes, biomass=biomass, as_published=as_published, curation=curation).space()
    report_repairs(space.network.repairs)
    rows = [
        {
            "placement": placement.id,
            "name": enzyme.name,
            "ec": enzyme.ec,
            "uniprot": enzyme.uniprot.accession if enzyme.uniprot else None,
            "organism": enzyme.organism,
            "role": enzyme.role.value,
            "membrane": enzyme.membrane,
            "reaction": placement.reaction,
            "native": not placement.foreign,
            "equation": placement.site.reaction,
            "kcat_per_s": enzyme.kcat_per_s.value,
            "km_mm": enzyme.km_mm.value if enzyme.km_mm else None,
            "mass_kda": enzyme.mass_kda.value,
            "flux_cap_at_0.1_percent": placement.caps[LEVELS.index(1e-3)],
        }
        for placement in space.placements
        for enzyme in [placement.enzyme]
    ]
    if as_json:
        excluded = [
            {"placement": entry.id, "reason": entry.reason.value, "detail": entry.detail, "cycle": list(entry.cycle)}
            for entry in space.excluded
        ]
        # Key and reasons of version 0.1, for one more version.
        left_out = [
            row | {"reason": OLD_REASONS.get(entry.reason, entry.reason.value)}
            for row, entry in zip(excluded, space.excluded, strict=True)
        ]
        answer = {"model": space.network.id, "placements": rows, "excluded": excluded, "left_out": left_out}
        typer.echo(json.dumps(answer))
        return
    texts = dict.fromkeys(("placement", "enzyme", "EC", "role", "budget", "reaction"), "left")
    cells = [
        (
            *(row[key] for key in ("placement", "name", "ec", "role")),
            "membrane" if row["membrane"] else "soluble",
            row["reaction"],
            f"{row['kcat_per_s']:g}",
            f"{row['mass_kda']:g}",
            f"{row['flux_cap_at_0.1_percent']:.3g}",
        )
        for row in rows
    ]
    show(texts | dict.fromkeys(("kcat 1/s", "kDa", "cap at 0.1 %"), "right"), cells)
    out().print(
        f"\n{len(rows)} placements fit {space.network.id}; caps in mmol/gDW/h for 0.1 % of the proteome. "
        f"Excluded of the library's {len(rows) + len(space.excluded)}:\n"
    )
    reasons = [(entry.id, entry.reason.value, entry.detail) for entry in space.excluded]
    show({"placement": "left", "reason": "left", "detail": "left"}, reasons)


def _print_unmeasured(library: "Mapping[str, Enzyme]", *, as_json: bool) -> None:
    from redox_balancer.design.enzymes import Confidence  # noqa: PLC0415

    rows = [
        (enzyme.id, parameter, value, confidence.value, source)
        for enzyme in library.values()
        for parameter, value, confidence, source in enzyme.sourced_values()
        if confidence is not Confidence.MEASURED
    ]
    if as_json:
        keys = ("enzyme", "figure", "value", "confidence", "source")
        typer.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
        return
    headings = {"enzyme": "left", "parameter": "left", "value": "right", "confidence": "left", "source": "left"}
    show(headings, rows)
