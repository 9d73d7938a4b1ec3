"""`redox enzymes`: the library as a table, and what of it fits a model."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from redox_balancer.cli.options import AsJson, Enzymes, Model
from redox_balancer.errors import RedoxError

EXAMPLE = "Example: redox enzymes --model core.json --json"


def enzymes(
    *,
    enzymes: Enzymes = None,
    model: Model = None,
    assumed: Annotated[bool, typer.Option("--assumed", help="List the figures that no source gives.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the enzyme library, checked against a model.

    Every placement must use metabolites and reactions of the model and balance in its formulas, and none may
    carry flux with all exchanges closed; exit code 2 names the first that does not hold.
    """
    from redox_balancer.cell.models import load_network  # noqa: PLC0415 - loads the model
    from redox_balancer.cli.tables import out, table  # noqa: PLC0415
    from redox_balancer.design.enzymes import load_library, looping  # noqa: PLC0415
    from redox_balancer.design.space import LEVELS, DesignSpace  # noqa: PLC0415

    library = load_library(enzymes)
    if assumed:
        figures = [
            (enzyme.id, name, figure.value, figure.source)
            for enzyme in library.values()
            for name in ("kcat_per_s", "mass_kda", "km_mm")
            if (figure := getattr(enzyme, name)) is not None and figure.assumed
        ]
        if as_json:
            keys = ("enzyme", "figure", "value", "source")
            typer.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in figures]))
        else:
            out().print(table({"enzyme": "left", "figure": "left", "value": "right", "source": "left"}, figures))
        return
    space = DesignSpace.build(load_network(model), library, ())
    loops = looping(space.network, space.placements)
    rows = [
        {
            "placement": placement.id,
            "name": placement.enzyme.name,
            "ec": placement.enzyme.ec,
            "organism": placement.enzyme.organism,
            "role": placement.enzyme.role.value,
            "reaction": placement.reaction,
            "kcat_per_s": placement.enzyme.kcat_per_s.value,
            "mass_kda": placement.enzyme.mass_kda.value,
            "flux_cap_at_0.1_percent": placement.caps[LEVELS.index(1e-3)],
            "loop_flux": loops.get(placement.id, 0.0),
        }
        for placement in space.placements
    ]
    if as_json:
        typer.echo(json.dumps({"model": space.network.id, "placements": rows}))
    else:
        columns = {"placement": "left", "enzyme": "left", "EC": "left", "role": "left", "reaction": "left"}
        numbers = {"kcat 1/s": "right", "kDa": "right", "cap at 0.1 %": "right"}
        out().print(
            table(
                columns | numbers,
                [
                    (
                        *(row[key] for key in ("placement", "name", "ec", "role", "reaction")),
                        f"{row['kcat_per_s']:g}",
                        f"{row['mass_kda']:g}",
                        f"{row['flux_cap_at_0.1_percent']:.3g}",
                    )
                    for row in rows
                ],
            )
        )
        out().print(
            f"\n{len(rows)} placements of {len(library)} enzymes fit {space.network.id} and balance; "
            "caps in mmol/gDW/h for 0.1 % of the proteome"
        )
    if loops:
        worst, flux = max(loops.items(), key=lambda item: item[1])
        raise RedoxError(
            f"{worst} carries {flux:.3g} mmol/gDW/h with every exchange closed: it closes a loop",
            hint="remove it from the library, or mend the direction of the native reactions it cycles with",
        )
