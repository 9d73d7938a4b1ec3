"""Models of the COBRA Toolbox in MATLAB files, as documents in the form of COBRApy's JSON.

COBRApy's own reader stops at what it does not expect: cells within cells (Recon3D of BiGG and of VMH), metabolites
without a compartment in the id, columns as rows. The fields are those of the COBRA Toolbox:
https://github.com/opencobra/cobratoolbox/blob/master/docs/source/notes/COBRAModelFields.md
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.io import loadmat

from redox_balancer.cell.cobrapy import cobra
from redox_balancer.cell.repairs import Repairs, UnreadableError

_REQUIRED = ("rxns", "mets", "S", "lb", "ub")
_OLD_NAMES = {"metCharge": "metCharges", "metFormula": "metFormulas"}
_SUFFIX = re.compile(r"[\[(](\w+)[\])]$|_([a-zA-Z]+)(?:_boundary)?$")
"""Compartment in an id, as COBRApy finds it where a file has no compartments."""
_GENE = re.compile(r"x\((\d+)\)")


def read_matlab(path: Path, repairs: Repairs) -> tuple[dict[str, Any], str]:
    """Read the model of a MAT file: its document, and the direction of its objective (`max` or `min`).

    An UnreadableError if the file has no model, or a model with fields of unlike lengths.
    """
    variables = loadmat(path, simplify_cells=True)
    structs = {name: value for name, value in sorted(variables.items()) if isinstance(value, Mapping)}
    models = {name: value for name, value in structs.items() if {"rxns", "mets", "S"} <= set(value)}
    if not models:
        found = ", ".join(name for name in variables if not name.startswith("__")) or "nothing"
        raise UnreadableError(
            f"it contains {found}, but no struct with the fields of a model (rxns, mets, S)",
            hint="save the struct of the COBRA Toolbox itself: save('model.mat', 'model', '-v7')",
        )
    name, fields = next(iter(models.items()))
    for other in list(models)[1:]:
        repairs.add(f"several models in the file, {name} is read and not", other)
    fields = {_OLD_NAMES.get(key, key): value for key, value in fields.items()}
    if missing := [field for field in _REQUIRED if field not in fields]:
        raise UnreadableError(f"its model has no {', '.join(missing)}", hint="save the whole struct of the model")
    document = {
        "id": name,
        "metabolites": list(_metabolites(fields)),
        "reactions": list(_reactions(fields, repairs)),
        "genes": [{"id": gene} for gene in _texts(fields.get("genes"))],
        "compartments": dict(zip(_texts(fields.get("comps")), _texts(fields.get("compNames")), strict=False)),
    }
    _leave_out_unconstrained(document, fields, repairs)
    sense = "".join(_texts(fields.get("osenseStr")) or _texts(fields.get("osense"))).lower()
    return document, "min" if sense == "1" or sense.startswith("min") else "max"


def _leave_out_unconstrained(document: dict[str, Any], fields: Mapping[str, Any], repairs: Repairs) -> None:
    """Leave out the metabolites that RAVEN marks as outside of the model, as it does before it simulates."""
    names = [metabolite["id"] for metabolite in document["metabolites"]]
    marks = _numbers(fields, "unconstrained", len(names))
    outside = {name for name, mark in zip(names, marks, strict=False) if mark == 1}
    if outside:
        repairs.add("boundary species (unconstrained) left out, their reactions are exchanges", *sorted(outside))
        document["metabolites"] = [m for m in document["metabolites"] if m["id"] not in outside]
        for reaction in document["reactions"]:
            reaction["metabolites"] = {m: c for m, c in reaction["metabolites"].items() if m not in outside}


def _metabolites(fields: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = _texts(fields["mets"])
    compartments, places = _texts(fields.get("comps")), _column(fields, "metComps", len(names)) or names
    columns = {"name": _column(fields, "metNames", len(names)), "formula": _column(fields, "metFormulas", len(names))}
    charges = _numbers(fields, "metCharges", len(names))
    annotations = _annotations(fields, cobra.io.mat.MET_MATLAB_TO_PROVIDERS, len(names))
    for row, name in enumerate(names):
        yield {
            "id": name,
            "compartment": _compartment(name, compartments, places[row]),
            "charge": None if not charges or math.isnan(charges[row]) else charges[row],
            "annotation": {key: values[row] for key, values in annotations.items() if values[row]},
            **{key: column[row] for key, column in columns.items() if column},
        }


def _compartment(metabolite: str, compartments: list[str], place: str) -> str | None:
    """Compartment whose number, counted from 1, or id is `place`, or that in the id: `nadh[c]`, `nadh_c`."""
    if place.isdecimal() and 1 <= int(place) <= len(compartments):
        return compartments[int(place) - 1]
    suffix = _SUFFIX.search(metabolite)
    return place if place in compartments else suffix[1] or suffix[2] if suffix else None


def _reactions(fields: Mapping[str, Any], repairs: Repairs) -> Iterator[dict[str, Any]]:
    names, metabolites = _texts(fields["rxns"]), _texts(fields["mets"])
    S = sp.csc_array(np.atleast_2d(fields["S"]) if not sp.issparse(fields["S"]) else fields["S"]).astype(float)
    lower, upper, objective = (_numbers(fields, field, len(names)) for field in ("lb", "ub", "c"))
    if S.shape != (len(metabolites), len(names)) or not lower or not upper:
        raise UnreadableError(
            f"its S is {S.shape[0]:,} by {S.shape[1]:,} for {len(metabolites):,} metabolites and {len(names):,} "
            f"reactions with {np.size(fields['lb']):,} lower and {np.size(fields['ub']):,} upper bounds",
            hint="save a model whose fields fit together",
        )
    _name_unread(fields, metabolites, repairs)
    columns = {
        "name": _column(fields, "rxnNames", len(names)),
        "gene_reaction_rule": _column(fields, "grRules", len(names)) or _rules(fields, len(names)),
        "subsystem": _column(fields, "subSystems", len(names)),
    }
    annotations = _annotations(fields, cobra.io.mat.RXN_MATLAB_TO_PROVIDERS, len(names))
    for column, name in enumerate(names):
        span = slice(S.indptr[column], S.indptr[column + 1])
        entries = zip(S.indices[span].tolist(), S.data[span].tolist(), strict=True)
        yield {
            "id": name,
            "metabolites": {metabolites[row]: value for row, value in entries},
            "lower_bound": lower[column],
            "upper_bound": upper[column],
            "objective_coefficient": objective[column] if objective else 0.0,
            "annotation": {key: values[column] for key, values in annotations.items() if values[column]},
            **{key: values[column] for key, values in columns.items() if values},
        }


def _name_unread(fields: Mapping[str, Any], metabolites: list[str], repairs: Repairs) -> None:
    """Name what flux balance analysis in steady state leaves out, as COBRApy does."""
    senses = "".join(_texts(fields.get("csense")))
    accumulating = _numbers(fields, "b", len(metabolites))
    for row, metabolite in enumerate(metabolites):
        if row < len(senses) and senses[row] in "LG":
            repairs.add("inequality of a metabolite read as steady state", metabolite)
        if accumulating and accumulating[row]:
            repairs.add("accumulation of a metabolite (b) read as 0", metabolite)
    for constraint in _texts(fields.get("ctrs")):
        repairs.add("coupling constraint (C) left out", constraint)


def _rules(fields: Mapping[str, Any], count: int) -> list[str]:
    """Gene rules from the field `rules`, where genes are numbers: `x(1) & x(2)`."""
    genes = {str(number): gene for number, gene in enumerate(_texts(fields.get("genes")), 1)}
    rules = [_GENE.sub(lambda x: genes.get(x[1], x[0]), rule) for rule in _column(fields, "rules", count)]
    return [rule.replace("&", " and ").replace("|", " or ") for rule in rules]


def _annotations(fields: Mapping[str, Any], providers: Mapping[str, str], count: int) -> dict[str, list[list[str]]]:
    own = {field.casefold(): field for field in fields}
    return {
        provider: [re.split(r"\s*[;,]\s*", text) if text else [] for text in _column(fields, own[name], count)]
        for field, provider in providers.items()
        if (name := field.casefold()) in own and _column(fields, own[name], count)
    }


def _column(fields: Mapping[str, Any], field: str, count: int) -> list[str]:
    """Texts of a field, empty if it is missing or does not have one for each entry."""
    texts = _texts(fields.get(field))
    return texts if len(texts) == count else []


def _texts(value: object) -> list[str]:
    """Texts of a cell array, of which one cell may be anything: empty, a number, a cell with texts."""
    if value is None:
        return []
    return [_text(cell) for cell in np.atleast_1d(np.asarray(value, dtype=object)).ravel()]


def _text(cell: object) -> str:
    if isinstance(cell, np.ndarray | list):
        return "; ".join(filter(None, map(_text, np.ravel(np.asarray(cell, dtype=object)))))
    if isinstance(cell, float) and (math.isnan(cell) or cell.is_integer()):
        return "" if math.isnan(cell) else str(int(cell))
    return str(cell).strip()


def _numbers(fields: Mapping[str, Any], field: str, count: int) -> list[float]:
    """Numbers of a field, NaN for empty cells; none if it is missing or does not have one for each entry."""
    value = fields.get(field)
    if value is None:
        return []
    if sp.issparse(value):
        value = value.toarray()
    cells = np.ravel(np.asarray(value, dtype=object))
    try:
        numbers = [float(np.ravel(cell)[0]) if np.size(cell) else math.nan for cell in cells]
    except (TypeError, ValueError) as error:
        raise UnreadableError(f"its field {field} is not of numbers: {error}", hint="write numbers there") from error
    return numbers if len(numbers) == count else []
