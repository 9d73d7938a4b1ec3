"""The embedded human redox core: two tables to read and edit, and the COBRA JSON file generated from them.

The tables are `data/human_redox_core/reactions.tsv` and `metabolites.tsv`; programs load
`data/human_redox_core.json`, which `python -m redox_balancer.cell.embedded` regenerates. Fluxes are in mmol/gDW/h,
growth in 1/h.
"""

import json
from pathlib import Path
from typing import Any

from redox_balancer.cell.equation import parse_equation
from redox_balancer.cell.records import packaged, table_rows
from redox_balancer.errors import RedoxError
from redox_balancer.files import write_atomically

CORE_ID = "human_redox_core"  # model id of the embedded core, and the name of its files in the package data
EXTENSION = f"{CORE_ID}/extension.toml"
"""Curation in the package data that adds to the core what it lacks for experiments on the NADH/NAD+ ratio."""
GROWTH_REACTION = "BIOMASS_proxy"
COMPARTMENTS = {
    "c": "cytosol",
    "e": "extracellular space",
    "i": "mitochondrial intermembrane space",
    "m": "mitochondrial matrix",
}


def core_json() -> Path:
    """Return the path of the embedded core as a COBRA JSON file."""
    return packaged(f"{CORE_ID}.json")


def core_from_tables(folder: Path) -> dict[str, Any]:
    """Build the model, a COBRA JSON document in which the source of each row is a note, from its two tables.

    These are `reactions.tsv` (id, equation, lower, upper, name, subsystem, source) with bounds in mmol/gDW/h, and
    `metabolites.tsv` (id, name, formula, charge, source). A RedoxError if a row does not match the header, an
    equation contradicts its bounds or names an unknown metabolite, or an id is repeated.
    """
    metabolites = _rows(folder / "metabolites.tsv")
    reactions = _rows(folder / "reactions.tsv")
    known = {row["id"] for row in metabolites}
    return {
        "metabolites": [
            {
                "id": row["id"],
                "name": row["name"],
                "compartment": row["id"].rpartition("_")[2],
                "charge": int(row["charge"]),
                "formula": row["formula"],
                "notes": {"source": row["source"]},
            }
            for row in metabolites
        ],
        "reactions": [_reaction(row, known) for row in reactions],
        "genes": [],
        "id": CORE_ID,
        "compartments": COMPARTMENTS,
        "version": "1",
    }


def core_text() -> str:
    """Return the content of the JSON file generated from the tables."""
    return json.dumps(core_from_tables(packaged(CORE_ID)), indent=1) + "\n"


def _reaction(row: dict[str, str], known: set[str]) -> dict[str, Any]:
    stoichiometry = parse_equation(row["equation"])
    if unknown := stoichiometry.keys() - known:
        problem = f"{row['id']}: no metabolite {min(unknown)!r} in metabolites.tsv"
        raise RedoxError(problem, hint="add a row for it, or correct the id")
    lower, upper = float(row["lower"]), float(row["upper"])
    if lower > upper or (lower < 0 and "-->" in row["equation"]):
        raise RedoxError(f"{row['id']}: bounds {lower:g} and {upper:g} contradict {row['equation']!r}")
    reaction: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "metabolites": stoichiometry,
        "lower_bound": lower,
        "upper_bound": upper,
        "gene_reaction_rule": "",
        "subsystem": row["subsystem"],
        "notes": {"source": row["source"]},
    }
    if row["id"] == GROWTH_REACTION:
        reaction["objective_coefficient"] = 1.0
    return reaction


def _rows(path: Path) -> list[dict[str, str]]:
    header, *rows = table_rows(path.read_text(encoding="utf-8"))
    found: dict[str, dict[str, str]] = {}
    for name, *cells in rows:
        if len(cells) != len(header) - 1:
            raise RedoxError(f"{path.name}: {name} has another number of cells than the header")
        if name in found:
            raise RedoxError(f"{path.name}: {name} is repeated")
        found[name] = dict(zip(header, (name, *cells), strict=True))
    return list(found.values())


if __name__ == "__main__":
    write_atomically(core_json(), core_text().encode())
