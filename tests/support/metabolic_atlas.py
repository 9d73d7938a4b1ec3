"""The embedded core in the format of Human-GEM: MAM and MAR ids, BiGG names among the annotations.

A stand-in for a Human-GEM file. It copies from Human-GEM: five digits and a compartment
letter in `MAM02553c`, `MAR04388` for reactions, compartments by name (`Extracellular`), identifiers.org annotations
`bigg.metabolite` without compartment in the SBML, none in the YAML, whose cross-references lie beside it in
`metabolites.tsv` and `reactions.tsv` with the columns mets, metBiGGID, rxns and rxnBiGGID.
"""

import csv
from pathlib import Path

import cobra

from redox_balancer.cell.embedded import core_json
from redox_balancer.cell.models import load_model

KNOWN = {"nad": 2552, "nadh": 2553, "nadp": 2554, "nadph": 2555, "h": 2039, "h2o": 2040, "q10": 3103, "q10h2": 3102}
"""Numbers that Human-GEM gives; the others count from 1."""

NAMES = {"c": "Cytosol", "e": "Extracellular", "m": "Mitochondria", "i": "Inner mitochondria"}


def metabolic_atlas(*, annotated: bool) -> tuple[cobra.Model, dict[str, str], dict[str, str]]:
    """The core under other ids, and BiGG name by own id for its metabolites and reactions."""
    model = load_model(core_json()).model
    model.id = "HumanGEM"
    species = sorted({m.id.rpartition("_")[0] for m in model.metabolites})
    number = {name: KNOWN.get(name, position + 1) for position, name in enumerate(species)}
    metabolites, reactions = {}, {}
    for metabolite in model.metabolites:
        name, _, compartment = metabolite.id.rpartition("_")
        own = f"MAM{number[name]:05d}{compartment}"
        metabolites[own] = name
        metabolite.id = own
        if annotated:
            metabolite.annotation = {"bigg.metabolite": name, "sbo": "SBO:0000247"}
    for position, reaction in enumerate(model.reactions):
        own = f"MAR{3900 + position:05d}"
        reactions[own] = reaction.id
        reaction.id = own
        if annotated and not reactions[own].startswith("EX_"):
            reaction.annotation = {"bigg.reaction": reactions[own]}
    model.repair()
    model.compartments = NAMES
    return model, metabolites, reactions


def write_tables(folder: Path, metabolites: dict[str, str], reactions: dict[str, str]) -> None:
    """The two tables of cross-references beside the YAML."""
    with (folder / "metabolites.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        table.writerow(["mets", "metsNoComp", "metBiGGID", "metRecon3DID"])
        table.writerows([own, own[:-1], name, name] for own, name in metabolites.items())
    with (folder / "reactions.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        table.writerow(["rxns", "rxnBiGGID", "rxnRecon3DID"])
        table.writerows([own, "" if name.startswith("EX_") else name, name] for own, name in reactions.items())
