"""A model as the document that COBRApy builds it from, mended where COBRApy could not.

JSON and YAML files are such documents, MAT files become one. COBRApy stops with a bare error of its own at ids that
are numbers, at null, at blanks in ids, at duplicates and at gene rules that are no expression.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from redox_balancer.cell.cobrapy import cobra
from redox_balancer.cell.repairs import Repairs, UnreadableError

GPR = cobra.core.gene.GPR
_parse = GPR.from_string

_LONGEST_ID = 240  # bytes; GLPK takes 255, of which COBRApy's names of reversed variables need some
_NO_NAME = re.compile(r"[\s\x00-\x1f\x7f]")
_BOUNDS = {"lower_bound": 0.0, "upper_bound": 1000.0}  # bounds, and COBRApy's value where an entry has none
_RULE = "gene_reaction_rule"
_KEYS = {
    "metabolites": {"charge", "formula", "compartment"},
    "reactions": {*_BOUNDS, _RULE, "metabolites", "subsystem", "objective_coefficient"},
    "genes": set[str](),
}
"""What is read of an entry, besides id, name, notes and annotation."""
_RULE_NOTES = ("GENE_ASSOCIATION", "GENE ASSOCIATION")
"""Notes in which SBML without fbc has its gene rules; rules that are no expression are kept in the first."""


def model_of(document: object, repairs: Repairs) -> cobra.Model:
    """Build the COBRApy model of a document in the form of COBRApy's JSON.

    An UnreadableError if it is no metabolic model, or has a fault for which there is no certain repair.
    """
    if _is_list(document) and all(isinstance(part, Mapping) for part in document):
        document = {key: value for part in document for key, value in part.items()}
    if not isinstance(document, Mapping) or not _is_list(document.get("reactions")):
        hint = "use a metabolic model in COBRApy's form; a map or a table is none"
        raise UnreadableError("it has no list of reactions", hint=hint)
    metabolites = _entries(document, "metabolites", repairs)
    entries = _entries(document, "reactions", repairs).values()
    reactions = [_reaction(entry, metabolites, repairs) for entry in entries]
    rules = {entry["id"]: entry.pop(_RULE, None) for entry in reactions}
    # COBRApy copies a metabolite with all its annotations for each reaction that it adds.
    about_metabolites = {name: (entry.pop("notes"), entry.pop("annotation")) for name, entry in metabolites.items()}
    about = document.get("metaData")
    names = document.get("compartments")
    model = cobra.io.dict.model_from_dict(
        {
            "id": _text(document.get("id") or (about.get("id") if isinstance(about, Mapping) else None)) or None,
            "name": _text(document.get("name")) or None,
            "metabolites": list(metabolites.values()),
            "reactions": reactions,
            "genes": list(_entries(document, "genes", repairs).values()),
            "compartments": {str(k): _text(v) for k, v in names.items()} if isinstance(names, Mapping) else {},
            "notes": _mapping(document.get("notes"), "model", repairs, "notes"),
            "annotation": _mapping(document.get("annotation"), "model", repairs, "annotation"),
        }
    )
    for name, (notes, annotation) in about_metabolites.items():
        metabolite = model.metabolites.get_by_id(name)
        metabolite.notes, metabolite.annotation = notes, annotation
    for reaction, rule in rules.items():
        if text := _text(rule).strip():
            _set_rule(model.reactions.get_by_id(reaction), text, repairs)
    return model


def rules_from_notes(model: cobra.Model, repairs: Repairs) -> None:
    """Read the gene rules that old SBML has in notes, where COBRApy did not or could not."""
    for reaction in model.reactions:
        rule = next((str(reaction.notes[note]) for note in _RULE_NOTES if reaction.notes.get(note)), "")
        if not reaction.gpr.body and _set_rule(reaction, rule, repairs):
            repairs.add("gene rule read from the notes", reaction.id)


def read_rule(rule: str) -> cobra.core.gene.GPR:
    """Parse a gene rule; one that is no expression of genes, `and` and `or` gives an empty rule."""
    try:
        found = _parse(rule)
        found.to_string()
    except Exception:  # noqa: BLE001 - whatever Python's parser and COBRApy's visitor make of it
        return GPR()
    return found


def _set_rule(reaction: cobra.Reaction, rule: str, repairs: Repairs) -> bool:
    """Set a gene rule, or keep it as a note where it is no expression."""
    found = read_rule(rule)
    if found.body:
        reaction.gpr = found
    elif rule.strip(" ()"):
        reaction.notes[_RULE_NOTES[0]] = rule
        repairs.add("gene rule that is no expression kept as a note", reaction.id)
    return bool(found.body)


def _entries(document: Mapping[str, Any], kind: str, repairs: Repairs) -> dict[str, dict[str, Any]]:
    """Metabolites, reactions or genes by id, each with what COBRApy expects of every entry."""
    entries = document.get(kind) or ()
    if not _is_list(entries):
        raise UnreadableError(f"its {kind} are no list", hint="write them as a list of objects with an id")
    found: dict[str, dict[str, Any]] = {}
    written: dict[str, object] = {}
    for number, entry in enumerate(entries, 1):
        if kind == "genes" and isinstance(entry, str):
            entry = {"id": entry}  # noqa: PLW2901
        if not isinstance(entry, Mapping) or entry.get("id") in (None, ""):
            raise UnreadableError(f"{kind[:-1]} number {number:,} has no id", hint="give it an id of its own")
        name = clean_id(entry["id"], repairs)
        if written.setdefault(name, entry["id"]) != entry["id"]:
            raise UnreadableError(f"the ids {written[name]!r} and {entry['id']!r} are too alike", hint="change one")
        clean = {key: value for key, value in entry.items() if key in _KEYS[kind]} | {
            "id": name,
            "name": _text(entry.get("name")),
            "notes": _mapping(entry.get("notes"), name, repairs, "notes"),
            "annotation": _mapping(entry.get("annotation"), name, repairs, "annotation"),
        }
        if name not in found:
            found[name] = clean
        elif kind == "reactions" and clean != found[name]:
            raise UnreadableError(f"two different reactions have the id {name!r}", hint="give one of them another id")
        else:
            repairs.add(f"listed twice in {kind}, the first counts", name)
    return found


def clean_id(value: object, repairs: Repairs | None = None) -> str:
    """An id as COBRApy and GLPK take it: text without blanks and control characters, not too long."""
    text = _NO_NAME.sub("_", str(value).strip())
    if repairs is not None:
        if len(text.encode()) > _LONGEST_ID:
            problem = f"the id {text[:20]}... has {len(text):,} characters"
            raise UnreadableError(problem, hint=f"use at most {_LONGEST_ID}")
        if not isinstance(value, str):
            repairs.add("id that is no text read as text", text)
        elif text != value:
            repairs.add("blanks or control characters in an id replaced by _", text)
    return text


def _reaction(entry: dict[str, Any], metabolites: Mapping[str, object], repairs: Repairs) -> dict[str, Any]:
    name = entry["id"]
    stoichiometry: dict[str, float] = {}
    pairs = entry.get("metabolites", {})
    if not isinstance(pairs, Mapping):
        raise UnreadableError(f"the metabolites of reaction {name} are no object", hint="write coefficients by id")
    for metabolite, coefficient in pairs.items():
        own = clean_id(metabolite)
        if own not in metabolites:
            problem = f"reaction {name} uses metabolite {own!r}, which is not in the model"
            raise UnreadableError(problem, hint="add it, or mend its id")
        amount = _number(coefficient, f"the coefficient of {own} in reaction {name}")
        if math.isinf(amount):
            raise UnreadableError(f"the coefficient of {own} in reaction {name} is infinite", hint="write its number")
        if amount:
            stoichiometry[own] = stoichiometry.get(own, 0.0) + amount
    bounds = []
    for bound, default in _BOUNDS.items():
        if bound not in entry:
            repairs.add(f"no {bound.replace('_', ' ')}, set to {default:g}", name)
        bounds.append(_number(entry.get(bound, default), f"the {bound.replace('_', ' ')} of reaction {name}"))
    if bounds[0] > bounds[1]:
        problem = f"reaction {name} has a lower bound of {bounds[0]:g} and an upper one of {bounds[1]:g}"
        raise UnreadableError(problem, hint="exchange or mend its bounds")
    subsystem = entry.get("subsystem")
    weight = _number(entry.get("objective_coefficient") or 0, f"the objective coefficient of reaction {name}")
    return {key: value for key, value in entry.items() if key not in _BOUNDS} | {
        "metabolites": stoichiometry,
        "subsystem": "; ".join(map(_text, subsystem)) if _is_list(subsystem) else _text(subsystem),
        "objective_coefficient": weight,
        # Both at once: one after the other, COBRApy refuses a lower bound above its default of the upper one.
        "bounds": tuple(bounds),
    }


def _number(value: object, what: str) -> float:
    """A number, also one written as text."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise UnreadableError(f"{what} is no number ({value})", hint="write its number")
    return number


def _mapping(value: object, where: str, repairs: Repairs, what: str) -> dict[str, Any]:
    """Annotation or notes without nulls; the pairs that old files have instead of an object become one."""
    if _is_list(value) and all(_is_list(pair) and len(pair) == 2 for pair in value):
        pairs: dict[str, list[Any]] = {}
        for key, one in value:
            pairs.setdefault(str(key), []).append(one)
        value = pairs
    if isinstance(value, Mapping):
        return {str(key): one for key, one in value.items() if one is not None}
    if value not in (None, "", "{}", [], ()):
        repairs.add(f"{what} that is no object left out", where)
    return {}


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _text(value: object) -> str:
    return "" if value is None else str(value)
