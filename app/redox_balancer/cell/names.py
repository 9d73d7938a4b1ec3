"""Mapping of BiGG names to a model's own identifiers, so that media, conditions and enzymes apply to any namespace.

The BiGG name of cytosolic NADH is `nadh_c`. The COBRA Toolbox writes `nadh[c]`, in SBML `EX_o2_LPAREN_e_RPAREN_`, and
VMH `glc_D[e]` for `glc__D_e`: these names follow from the ids. Human-GEM's id is `MAM02553c`; an annotation gives its
BiGG id `nadh`. The SBML file contains these annotations (identifiers.org); the YAML file has none, but is published
with cross-references in `metabolites.tsv` and `reactions.tsv`.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    import cobra

EXTRACELLULAR = "e"

_LETTERS = (
    (r"\bmembrane", ""),
    (r"extra.?(cellular|organism)|external|^(out|ext)\b", EXTRACELLULAR),
    ("boundary", "b"),
    ("intermembrane|inner mitochondri", "i"),
    ("mitochondri", "m"),
    ("cytosol|cytoplasm|intra.?cellular", "c"),
    ("peroxisom", "x"),
    ("periplasm", "p"),
)
"""Pattern of a compartment's name or id and its BiGG letter, empty for a membrane; the first match counts."""

_ESCAPED = {"_DASH_": "-", "_LPAREN_": "(", "_RPAREN_": ")", "_LSQBKT_": "[", "_RSQBKT_": "]"}
"""Characters of ids as the COBRA Toolbox writes them to SBML; COBRApy leaves them as they are."""

_IN_BRACKETS = re.compile(r"(.+?)(?:\[(\w+)\]|\((\w+)\))")
_AFTER_UNDERSCORE = re.compile(r"(.+)_([A-Za-z]+\d*)")

_TABLES = {
    "metabolites": ("metabolites.tsv", "mets", ("metBiGGID", "metRecon3DID"), "bigg.metabolite"),
    "reactions": ("reactions.tsv", "rxns", ("rxnBiGGID", "rxnRecon3DID"), "bigg.reaction"),
}
"""Tables beside Human-GEM's YAML file: name, column of the model's id, columns of BiGG ids, annotation key."""


@dataclass(frozen=True)
class Names:
    """BiGG names of the metabolites and reactions of a model: own id by name where they differ, if that is unique.

    `compartments` has the BiGG letter of each metabolite's compartment, by the model's own id, `assumptions` one line
    about each thing that is taken for granted, and `in_words` what the model calls a reaction, by its own id.
    """

    compartments: Mapping[str, str] = field(default_factory=dict)
    metabolites: Mapping[str, str] = field(default_factory=dict)
    reactions: Mapping[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    in_words: Mapping[str, str] = field(default_factory=dict)


def names_of(model: "cobra.Model") -> Names:
    """Collect the BiGG names of a COBRApy model from its ids, its annotations and the names of its compartments.

    A name that follows from an id counts before one from an annotation.
    """
    letters, assumptions = _letters(model)
    compartments: dict[str, str] = {}
    by_id: list[tuple[str, str]] = []
    for metabolite in model.metabolites:
        letter = letters.get(metabolite.compartment or "")
        species, suffix = split_metabolite(metabolite.id, {metabolite.compartment or "", letter or ""})
        compartments[metabolite.id] = letter = letter or compartment_letter(suffix, "")
        if species:
            by_id.append((f"{species}_{letter}", metabolite.id))
    metabolites = _unique(model.metabolites, by_id)
    metabolites |= _unique(
        {m.id for m in model.metabolites} | metabolites.keys(),
        (
            # Some annotations name the compartment as well.
            (f"{name.removesuffix(f'_{compartments[m.id]}')}_{compartments[m.id]}", m.id)
            for m in model.metabolites
            for name in _annotated(m, "bigg.metabolite")
        ),
    )
    own_names = {own: [name] for name, own in by_id if own == name}
    for name, own in metabolites.items():
        own_names.setdefault(own, []).append(name)
    by_id, annotated = [], []
    for reaction in model.reactions:
        if len(reaction.metabolites) == 1:
            # The name of an exchange follows from its metabolite; annotations of exchanges are often outdated.
            (metabolite,) = reaction.metabolites
            if compartments[metabolite.id] == EXTRACELLULAR:
                by_id += [(f"EX_{name}", reaction.id) for name in own_names.get(metabolite.id, ())]
                continue
        by_id += [(name, reaction.id) for name in _reaction_names(reaction.id)]
        annotated += [(name, reaction.id) for name in _annotated(reaction, "bigg.reaction")]
    reactions = _unique(model.reactions, by_id)
    reactions |= _unique({r.id for r in model.reactions} | reactions.keys(), annotated)
    in_words = {reaction.id: str(reaction.name or "") for reaction in model.reactions}
    return Names(compartments, metabolites, reactions, assumptions, in_words)


def _letters(model: "cobra.Model") -> tuple[dict[str, str], tuple[str, ...]]:
    """BiGG letter of each compartment, and what is assumed.

    Where neither name nor id has one, the ids of most of its metabolites do (`o2_e` in `compartment_2`). Where no
    compartment is extracellular then, it is that of most exchanges, as in COBRApy, unless that is the cytosol.
    """
    suffixes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for metabolite in model.metabolites:
        suffixes[metabolite.compartment][split_metabolite(metabolite.id)[1]] += 1
    letters = {own: compartment_letter(own, name or "") for own, name in model.compartments.items()}
    for compartment, letter in letters.items():
        suffix, count = next(iter(suffixes[compartment].most_common(1)), ("", 0))
        if not (len(letter) == 1 and letter.islower()) and suffix and 2 * count > suffixes[compartment].total():
            letters[compartment] = compartment_letter(suffix, "")
    if EXTRACELLULAR in letters.values() or not letters:
        return letters, ()
    inside = [next(iter(reaction.metabolites)) for reaction in model.reactions if len(reaction.metabolites) == 1]
    outside, exchanges = next(iter(Counter(m.compartment for m in inside).most_common(1)), (None, 0))
    if outside is None or 2 * exchanges <= len(inside) or letters[outside] == "c":
        return letters, ()
    letters[outside] = EXTRACELLULAR
    return letters, (f"compartment {outside} is read as extracellular, since most exchanges are there",)


def compartment_letter(compartment: object, name: object) -> str:
    """Return the BiGG letter of a compartment, from its name (`Extracellular`) or else from its id (`C_e`, `[e]`)."""
    compartment, name = str(compartment), str(name)  # models in memory have numbers
    for text in (name.lower(), compartment.lower().replace("_", " ")):
        for pattern, letter in _LETTERS:
            if re.search(pattern, text):
                return letter or compartment
    return re.sub(r"^C_|_?\d+$", "", compartment.strip("[]()"))


def split_metabolite(identifier: str, compartments: Collection[str] = ()) -> tuple[str, str]:
    """Split the id of a metabolite into the BiGG name of the species and the compartment.

    Both are empty where it has no compartment. It may be `nadh_c`, `nadh[c]`, `nadh(c)`, `nadh_c0`, `glc_D[e]` or
    `M_glc_DASH_D_e`. `compartments` are what may follow an underscore, with or without a number; if not given,
    anything.
    """
    plain = _unescaped(identifier).removeprefix("M_")
    if found := _IN_BRACKETS.fullmatch(plain):
        species, suffix = found[1], found[2] or found[3]
    elif found := _AFTER_UNDERSCORE.fullmatch(plain):
        species, suffix = found[1], found[2]
        allowed = set(compartments) - {""}
        if allowed and not {suffix, suffix.rstrip("0123456789")} & allowed:
            return "", ""
    else:
        return "", ""
    # The Toolbox's stereochemical suffix: lac-L and lac_L are lac__L.
    return re.sub("(?<!_)[-_]([DLMRS])$", r"__\1", species).replace("-", "_"), suffix


def _reaction_names(identifier: str) -> list[str]:
    """BiGG names of a reaction that follow from its id: `ATPM(c)` is `ATPM_c`, and `DM_atp(c)` is `DM_atp_c_`."""
    plain = _unescaped(identifier).removeprefix("R_")
    if found := _IN_BRACKETS.fullmatch(plain):
        plain = f"{found[1]}_{found[2] or found[3]}"
        return [name.replace("-", "_") for name in (plain, f"{plain}_")]
    return [plain.replace("-", "_")]


def _unescaped(identifier: str) -> str:
    for escaped, character in _ESCAPED.items():
        identifier = identifier.replace(escaped, character)
    return re.sub(r"__(\d{2,3})__", lambda code: chr(int(code[1])), identifier)


def add_cross_references(model: "cobra.Model", folder: Path) -> None:
    """Add BiGG annotations from the tables published with Human-GEM's YAML file to a model that has none, in place.

    `folder` is that of the model file; a table that is not in it is skipped, and a RedoxError if one cannot be read.
    """
    for kind, (file, own, columns, annotation) in _TABLES.items():
        entries = getattr(model, kind)
        path = folder / file
        if any(annotation in entry.annotation for entry in entries) or not path.is_file():
            continue
        try:
            with path.open(encoding="utf-8-sig", newline="") as table:
                rows = list(csv.DictReader(table, delimiter="\t"))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RedoxError(f"cannot read {path}: {error}", hint="download it again with the model file") from error
        for row in rows:
            texts = ";".join(row.get(column) or "" for column in columns)
            names = {part.strip() for part in texts.split(";")} - {""}
            if names and row.get(own) in entries:
                entries.get_by_id(row[own]).annotation[annotation] = sorted(names)


def _annotated(entry: Any, key: str) -> list[str]:
    """Values of an annotation: a text, or a list of texts or of pairs with the qualifier `is`; others are ignored."""
    found = entry.annotation.get(key)
    values = found if isinstance(found, list | tuple | set) else [found]
    texts = (
        value[1] if isinstance(value, list) and len(value) > 1 and value[0] == "is" else value for value in values
    )
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]


def _unique(own: Container[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Own id by BiGG name, without names of several ids and names that are themselves ids of the model."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, identifier in pairs:
        if name not in own:
            found[name].add(identifier)
    return {name: identifiers.pop() for name, identifiers in found.items() if len(identifiers) == 1}
