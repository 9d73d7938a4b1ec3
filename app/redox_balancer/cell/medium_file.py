"""Media that a user writes: TOML, a table with tabs or commas, or the medium of a COBRApy model as JSON.

They list the largest uptakes by exchange or by metabolite, in the ids of the model or in BiGG names.
"""

from __future__ import annotations

import csv
import json
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redox_balancer.cell.exchanges import find_exchange
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.cell.network import Network  # loads NumPy, and the command line reads settings

SUFFIXES = (".toml", ".tsv", ".csv", ".txt", ".json")
_HEADINGS = {"exchange", "reaction", "metabolite", "id", "compound", "component", "name"}
NAMED_SHOWN = 5
"""Unknown exchanges that an error names."""

_HINT = 'write EX_glc__D_e = 10.0 (TOML), rows of exchange and uptake (TSV, CSV) or {"EX_glc__D_e": 10.0} (JSON)'


def is_medium_file(name: str) -> bool:
    """Whether the name of a medium is that of a file: it has a folder or a suffix of one."""
    return os.sep in name or name.lower().endswith(SUFFIXES)


def read_medium_file(path: Path) -> dict[str, Any]:
    """Read a medium.

    Parameters
    ----------
    path
        - `.toml`: an entry `[[medium]]` as in the media of the package, or a plain table of uptakes, which may be
          called `[uptakes]` or `[medium]`;
        - `.tsv`, `.csv`, `.txt`: rows of exchange and uptake, with or without a header;
        - `.json`: `{exchange: uptake}`, as `json.dumps(model.medium)` writes it in COBRApy.

    Returns
    -------
    dict
        Fields of `Medium`; `uptakes` in mmol/gDW/h. Sinks stay as they are, as in COBRApy, unless an entry
        `[[medium]]` says otherwise.

    Raises
    ------
    RedoxError
        The file cannot be read, is empty, or an uptake is no number of 0 or more.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".toml":
            found = _entry(path, tomllib.loads(text))
        elif path.suffix.lower() == ".json":
            found = {"uptakes": json.loads(text, object_pairs_hook=lambda pairs: _unique(path, pairs))}
        else:
            found = {"uptakes": _table(path, text)}
    except OSError as error:
        what = f"cannot read the medium {path}: {error.strerror}"
        raise RedoxError(what, hint="check the path", settings=("medium",)) from error
    except (ValueError, csv.Error) as error:  # those of UTF-8, TOML and JSON are ValueErrors
        raise _refusal(path, f"is no medium: {error}") from error
    uptakes = found["uptakes"]
    if not isinstance(uptakes, dict) or not uptakes:
        raise _refusal(path, "lists no uptakes")
    for exchange, uptake in uptakes.items():
        if isinstance(uptake, bool) or not isinstance(uptake, int | float) or not 0 <= uptake < math.inf:
            raise RedoxError(
                f"{path.name}: the uptake of {exchange} is {uptake!r}, not a number of 0 or more",
                hint="uptakes are positive, in mmol/gDW/h; 1000 stands for unlimited",
                settings=("medium",),
            )
    fields = {"id": str(path), "description": f"medium of {path.name}", "source": str(path), "close_sinks": False}
    return fields | found


def own_exchanges(network: Network, uptakes: Mapping[str, float], medium: str) -> dict[str, float]:
    """Uptake by the model's own exchange ids.

    `medium` names the medium in errors; `uptakes` are by exchange or metabolite, by the model's id or the BiGG name,
    mmol/gDW/h.

    Raises
    ------
    RedoxError
        The model lacks an exchange that is to take up something, or two names mean the same one.
    """
    found: dict[str, float] = {}
    unknown = []
    for name, uptake in uptakes.items():
        exchange = find_exchange(network, name)
        if exchange is None:
            unknown += [name] if uptake > 0 else []
        elif found.setdefault(own := exchange.reactions[0].id, uptake) != uptake:
            raise RedoxError(
                f"medium {medium} has two uptakes of {own}: {found[own]:g} and, as {name}, {uptake:g}",
                hint="remove one",
                settings=("medium",),
            )
    if unknown:
        more = f" and {len(unknown) - NAMED_SHOWN} more" if len(unknown) > NAMED_SHOWN else ""
        raise RedoxError(
            f"model {network.id} has no exchange for {', '.join(unknown[:NAMED_SHOWN])}{more} of medium {medium}",
            hint="remove them from the medium, or name them as the model or BiGG does",
            settings=("medium",),
        )
    return found


def _entry(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    entries = document.get("medium", document.get("uptakes", document))
    if not isinstance(entries, list):
        return {"uptakes": entries}
    if len(entries) != 1 or not isinstance(entries[0], dict):
        raise _refusal(path, f"has {len(entries)} media instead of one")
    return {"uptakes": {}} | entries[0]


def _table(path: Path, text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    delimiter = next((mark for mark in "\t;," if any(mark in line for line in lines)), None)
    if delimiter is None:
        raise _refusal(path, "has no columns" if lines else "lists no uptakes")
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    short = next((row for row in rows if len(row) < 2), None)
    if short is not None:
        raise _refusal(path, f"has a row without an uptake: {short[0]!r}")
    name, uptake = 0, 1
    header = [cell.lower() for cell in rows[0]]
    if set(header) & _HEADINGS:
        rows = rows[1:]
        name = next((place for place, cell in enumerate(header) if cell in _HEADINGS), 0)
        uptake = next((place for place, cell in enumerate(header) if "uptake" in cell or "flux" in cell), 1)
    values = ((row[name], row[uptake]) if len(row) > max(name, uptake) else (row[0], "") for row in rows)
    return _unique(path, [(name, float(value) if _is_number(value) else value) for name, value in values])


def _unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _refusal(path, f"lists {name} twice")
        found[name] = value
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refusal(path: Path, what: str) -> RedoxError:
    return RedoxError(f"{path} {what}", hint=_HINT, settings=("medium",))
