"""Mapping of BiGG names to a model's own identifiers, so that media, conditions and enzymes apply to any namespace.

Human-GEM's id of cytosolic NADH is `MAM02553c`; an annotation gives its BiGG id `nadh`, which with the compartment is
`nadh_c`. The SBML file contains these annotations (identifiers.org); the YAML file has none, but is published with
cross-references in `metabolites.tsv` and `reactions.tsv`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    import cobra

EXTRACELLULAR = "e"

_LETTERS = (
    (r"\bmembrane", ""),
    ("extra.?(cellular|organism)|external", EXTRACELLULAR),
    ("intermembrane|inner mitochondri", "i"),
    ("mitochondri", "m"),
    ("cytosol|cytoplasm", "c"),
    ("peroxisom", "x"),
)
"""Pattern of a compartment's name and its BiGG letter, empty for a membrane; the first match counts."""

_TABLES = {
    "metabolites": ("metabolites.tsv", "mets", ("metBiGGID", "metRecon3DID"), "bigg.metabolite"),
    "reactions": ("reactions.tsv", "rxns", ("rxnBiGGID", "rxnRecon3DID"), "bigg.reaction"),
}
"""Tables beside Human-GEM's YAML file: name, column of the model's id, columns of BiGG ids, annotation key."""


@dataclass(frozen=True)
class Names:
    """BiGG names of the metabolites and reactions of a model.

    Attributes
    ----------
    compartments
        BiGG letter of each metabolite's compartment, by the model's own id.
    metabolites, reactions
        The model's own id by BiGG name, where the two differ and the BiGG name is unique in the model.
    """

    compartments: Mapping[str, str] = field(default_factory=dict)
    metabolites: Mapping[str, str] = field(default_factory=dict)
    reactions: Mapping[str, str] = field(default_factory=dict)


def names_of(model: cobra.Model) -> Names:
    """Collect the BiGG names of a COBRApy model from its annotations and the names of its compartments."""
    letters = {
        compartment: compartment_letter(compartment, name or "") for compartment, name in model.compartments.items()
    }
    compartments = {m.id: letters.get(m.compartment, m.compartment or "") for m in model.metabolites}
    metabolites = _unique(
        {m.id for m in model.metabolites},
        (
            (f"{name}_{compartments[m.id]}", m.id)
            for m in model.metabolites
            for name in _annotated(m, "bigg.metabolite")
        ),
    )
    own_names: dict[str, list[str]] = {}
    for name, own in metabolites.items():
        own_names.setdefault(own, []).append(name)
    reactions: list[tuple[str, str]] = []
    for reaction in model.reactions:
        if len(reaction.metabolites) == 1:
            # The name of an exchange follows from its metabolite; annotations of exchanges are often outdated.
            (metabolite,) = reaction.metabolites
            if compartments[metabolite.id] == EXTRACELLULAR:
                reactions += [(f"EX_{name}", reaction.id) for name in own_names.get(metabolite.id, ())]
                continue
        reactions += [(name, reaction.id) for name in _annotated(reaction, "bigg.reaction")]
    return Names(compartments, metabolites, _unique({r.id for r in model.reactions}, reactions))


def compartment_letter(compartment: str, name: str) -> str:
    """Return the BiGG letter of a compartment, from its name (`Extracellular`) or else from its id (`C_e`, `c0`)."""
    for pattern, letter in _LETTERS:
        if re.search(pattern, name.lower()):
            return letter or compartment
    return re.sub(r"^C_|\d+$", "", compartment)


def add_cross_references(model: cobra.Model, folder: Path) -> None:
    """Add BiGG annotations from the tables published with Human-GEM's YAML file to a model that has none.

    Parameters
    ----------
    model
        Annotated in place.
    folder
        Folder of the model file; a table that is not in it is skipped.

    Raises
    ------
    RedoxError
        A table cannot be read.
    """
    for kind, (file, own, columns, annotation) in _TABLES.items():
        entries = getattr(model, kind)
        path = folder / file
        if any(annotation in entry.annotation for entry in entries) or not path.is_file():
            continue
        try:
            with path.open(encoding="utf-8", newline="") as table:
                rows = list(csv.DictReader(table, delimiter="\t"))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RedoxError(f"cannot read {path}: {error}", hint="download it again with the model file") from error
        for row in rows:
            if row.get(own) in entries:
                names = {name for column in columns for name in (row.get(column) or "").split(";") if name}
                if names:
                    entries.get_by_id(row[own]).annotation[annotation] = sorted(names)


def _annotated(entry: Any, key: str) -> Sequence[str]:
    """Values of an annotation; COBRApy returns one as a string and several as a list."""
    found = entry.annotation.get(key, ())
    return (found,) if isinstance(found, str) else tuple(found)


def _unique(own: set[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Own id by BiGG name, without names of several ids and names that are themselves ids of the model."""
    found: dict[str, set[str]] = {}
    for name, identifier in pairs:
        if name not in own:
            found.setdefault(name, set()).add(identifier)
    return {name: identifiers.pop() for name, identifiers in found.items() if len(identifiers) == 1}
