"""Options that several subcommands share: what a run is about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Cell and constructs"

Model = Annotated[
    Path | None,
    typer.Option(
        help="Model file (JSON, SBML, MAT, YAML, also .gz); the embedded core if not given.", rich_help_panel=PANEL
    ),
]
Enzymes = Annotated[
    Path | None, typer.Option(help="Enzyme library (TOML); the package's if not given.", rich_help_panel=PANEL)
]
MediumName = Annotated[
    str, typer.Option(help="Medium, or 'model' for the bounds the model comes with.", rich_help_panel=PANEL)
]
Conditions = Annotated[
    str | None,
    typer.Option(help="Ids of conditions, separated by commas; all that fit if not given.", rich_help_panel=PANEL),
]
ConditionsFile = Annotated[
    Path | None, typer.Option(help="File of conditions (TOML); the package's if not given.", rich_help_panel=PANEL)
]
Biomass = Annotated[
    str | None,
    typer.Option(help="Reaction that is growth; the model's objective if not given.", rich_help_panel=PANEL),
]
Placements = Annotated[
    int, typer.Option(min=1, max=10, help="Placements of a construct at most (K).", rich_help_panel=PANEL)
]
Budget = Annotated[float, typer.Option(help="Protein budget, as a share of the proteome.", rich_help_panel=PANEL)]
Saturation = Annotated[
    float, typer.Option(help="Share of kcat at which an enzyme runs in the cell.", rich_help_panel=PANEL)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def names(text: str | None) -> tuple[str, ...] | None:
    """Ids of a list separated by commas; None stays None."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())
