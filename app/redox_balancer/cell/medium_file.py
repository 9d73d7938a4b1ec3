"""Media that a user writes: TOML, a table with tabs or commas, or the medium of a COBRApy model as JSON.

They list the largest uptakes, and the largest secretions if those are limited, by exchange or by metabolite, in the
ids of the model or in BiGG names. An exchange may be listed for both directions, under one name.
"""

import csv
import json
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.cell.exchanges import find_exchange
from redox_balancer.cell.records import read_file, table_rows
from redox_balancer.cell.repairs import shortened
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.cell.network import Network  # loads NumPy, and the command line reads settings

SUFFIXES = (".toml", ".tsv", ".csv", ".txt", ".json")
_HEADINGS = {"exchange", "reaction", "metabolite", "id", "compound", "component", "name"}

_HINT = 'write EX_glc__D_e = 10.0 (TOML), rows of exchange and uptake (TSV, CSV) or {"EX_glc__D_e": 10.0} (JSON)'


def is_medium_file(name: str) -> bool:
    """Whether the name of a medium is that of a file: it has a folder or a suffix of one."""
    return os.sep in name or name.lower().endswith(SUFFIXES)


def read_medium_file(path: Path) -> dict[str, Any]:
    """Read the fields of a `Medium`; a RedoxError if there are none, or a rate is no number of 0 or more.

    - `.toml`: an entry `[[medium]]` as in the media of the package, or a plain table of uptakes, which may be called
      `[uptakes]` or `[medium]`, and a table `[secretions]`;
    - `.tsv`, `.csv`, `.txt`: rows of exchange and uptake, with or without a header, which may call another column
      secretion;
    - `.json`: `{exchange: uptake}`, as `json.dumps(model.medium)` writes it in COBRApy, or
      `{"uptakes": {...}, "secretions": {...}}`.

    Rates are in mmol/gDW/h. Sinks stay as they are, as in COBRApy, unless an entry `[[medium]]` says otherwise.
    """
    try:
        text = read_file(path, "medium", "medium").decode("utf-8-sig")
        if path.suffix.lower() == ".toml":
            found = _entry(path, tomllib.loads(text))
        elif path.suffix.lower() == ".json":
            found = _entry(path, json.loads(text, object_pairs_hook=lambda pairs: _unique(path, pairs)))
        else:
            found = _table(path, text)
    except (ValueError, csv.Error) as error:  # those of UTF-8, TOML and JSON are ValueErrors
        raise _refusal(path, f"is no medium: {error}") from error
    uptakes = found["uptakes"]
    if not isinstance(uptakes, dict) or not uptakes:
        raise _refusal(path, "lists no uptakes")
    secretions = found.get("secretions")
    if secretions is not None and not isinstance(secretions, dict):
        raise _refusal(path, "has secretions without their exchanges")
    for what, rates in (("uptake", uptakes), ("secretion", secretions or {})):
        for exchange, given in rates.items():
            rate = given.get("value") if isinstance(given, dict) else given
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < math.inf:
                raise RedoxError(
                    f"{path.name}: the {what} of {exchange} is {rate!r}, not a number of 0 or more",
                    hint="uptakes and secretions are positive, in mmol/gDW/h; 1000 stands for unlimited",
                    settings=("medium",),
                )
    fields = {"id": str(path), "description": f"medium of {path.name}", "source": str(path), "close_sinks": False}
    return fields | found


def repeated_exchanges(
    network: "Network", uptakes: Mapping[str, float], secretions: Mapping[str, float], medium: str
) -> set[str]:
    """Check that a model has the exchanges of a medium; return second names of the same exchange with the same rate.

    `medium` names the medium in errors; rates are by exchange or metabolite, by the model's id or the BiGG name,
    mmol/gDW/h. A RedoxError if the model lacks an exchange that is to take up or to release something, or two names
    mean the same one: both directions of an exchange are meant where they have one name, and a mistake where not.
    """
    found: dict[str, tuple[str, str, float]] = {}
    unknown, repeated = [], set()
    for what, rates in (("uptake", uptakes), ("secretion", secretions)):
        for name, rate in rates.items():
            exchange = find_exchange(network, name)
            if exchange is None:
                unknown += [name] if rate > 0 else []
                continue
            own = exchange.reactions[0].id
            before, other, known = found.setdefault(own, (what, name, rate))
            if before == what and known != rate:
                problem = f"has two {what}s of {own}: {known:g} as {other} and {rate:g} as {name}"
            elif before != what and other != name:
                problem = f"lists {own} for its {before} as {other} and for its {what} as {name}"
            else:
                repeated |= {name} - {other}
                continue
            raise RedoxError(
                f"medium {medium} {problem}",
                hint="remove one, or write both under one name if the cell may do both",
                settings=("medium",),
            )
    if unknown:
        raise RedoxError(
            f"model {network.id} has no exchange for {shortened(unknown)} of medium {medium}",
            hint="remove them from the medium, or name them as the model or BiGG does",
            settings=("medium",),
        )
    return repeated


def _entry(path: Path, document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        return {"uptakes": document}
    rest = dict(document)
    secretions = {key: rest.pop(key) for key in ("secretions",) if key in rest}
    table = next((key for key in ("medium", "uptakes") if key in rest), None)
    entries = rest.pop(table) if table else rest
    if table and (beside := [*rest, *(secretions if isinstance(entries, list) else ())]):
        hint = "a medium has uptakes and secretions; an entry [[medium]] has maintenance and budgets, too"
        raise _refusal(path, f"has {', '.join(beside)} beside its {table}", hint)
    if not isinstance(entries, list):
        return {"uptakes": entries} | secretions
    if len(entries) != 1 or not isinstance(entries[0], dict):
        raise _refusal(path, f"has {len(entries)} media instead of one")
    return {"uptakes": {}} | entries[0]


def _table(path: Path, text: str) -> dict[str, Any]:
    rows = table_rows(text)
    if not rows:
        raise _refusal(path, "has no columns" if text.strip() else "lists no uptakes")
    if short := [row for row in rows if len(row) < 2]:
        raise _refusal(path, f"has a row without an uptake: {short[0][0]!r}")
    name, uptake, secretion = 0, 1, None
    header = [cell.lower() for cell in rows[0]]
    if set(header) & _HEADINGS:
        rows = rows[1:]
        name = next((place for place, cell in enumerate(header) if cell in _HEADINGS), 0)
        secretion = next((place for place, cell in enumerate(header) if "secretion" in cell), None)
        uptake = next((place for place, cell in enumerate(header) if "uptake" in cell or "flux" in cell), 1)
    if secretion is None:
        return {"uptakes": _column(path, rows, name, uptake)}
    places = {"uptakes": uptake, "secretions": secretion}
    return {what: _column(path, rows, name, place, empty="0") for what, place in places.items()}


def _column(path: Path, rows: list[list[str]], name: int, place: int, empty: str = "") -> dict[str, Any]:
    """Rates of a column by name; an empty cell is read as `empty`."""
    values = ((row[name], row[place]) if len(row) > max(name, place) else (row[0], "") for row in rows)
    return _unique(path, [(name, _number(value or empty)) for name, value in values])


def _unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _refusal(path, f"lists {name} twice")
        found[name] = value
    return found


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _refusal(path: Path, what: str, hint: str = _HINT) -> RedoxError:
    return RedoxError(f"{path} {what}", hint=hint, settings=("medium",))
