"""Lists of metabolic functions: what a cell must be able to do, as Human-GEM and RAVEN publish metabolic tasks.

Lists are tables with tabs in the format that RAVEN's `parseTaskList` reads (Wang et al. 2018, PLoS Comput. Biol.
14:e1006541). Metabolites are named as `glucose[e]`, as in the model, or as `glc__D_e`.
"""

import csv
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from redox_balancer.cell.media import OPEN
from redox_balancer.cell.records import packaged, read_file
from redox_balancer.errors import RedoxError

EVERYTHING = re.compile(r"ALLMETS(?:IN\[(\w+)\])?", re.IGNORECASE)
"""What stands for every metabolite, or every one of a compartment."""
_ARROW = re.compile(r"\s*(<=>|=>|<==>|-->)\s*")
_TERM = re.compile(r"(?:\(?([0-9.]+(?:[eE][-+]?\d+)?)\)?\s+)?(\S.*)")
_HINT = "write a table with tabs and the headings DESCRIPTION, IN, IN LB, IN UB, OUT, OUT LB, OUT UB, EQU"


class Amount(NamedTuple):
    """How much of something a function needs at least and may have at most, mmol/gDW/h."""

    least: float
    most: float


@dataclass(frozen=True)
class Function:
    """A metabolic function: what enters and what leaves, by metabolite as the list names it.

    `group` is its id in the list, which several may share. `equations` are outside reactions that run in
    addition (coefficients by metabolite, and how much), and `changed` are bounds of the model, mmol/gDW/h. A sound
    model cannot perform it if it `should_fail`.
    """

    name: str
    group: str = ""
    inputs: dict[str, Amount] = field(default_factory=dict)
    outputs: dict[str, Amount] = field(default_factory=dict)
    equations: list[tuple[dict[str, float], Amount]] = field(default_factory=list)
    changed: dict[str, tuple[float, float]] = field(default_factory=dict)
    should_fail: bool = False
    source: str = ""

    @property
    def metabolites(self) -> list[str]:
        """Every metabolite that it names, each once."""
        used = (metabolite for equation, _ in self.equations for metabolite in equation)
        return [m for m in dict.fromkeys((*self.inputs, *self.outputs, *used)) if not EVERYTHING.fullmatch(m)]


def read_functions(path: Path | None = None) -> tuple[Function, ...]:
    """Read a list of functions, by default the packaged one in BiGG names; a RedoxError says what cannot be read."""
    path = path or packaged("functions.tsv")
    text = read_file(path, "functions", "functions")
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = text.decode("latin-1").splitlines()  # the published list
    found: list[Function] = []
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if not {"DESCRIPTION", "IN", "OUT"} <= set(rows.fieldnames or ()):
        raise _refusal(f"{path.name} is no list of functions")
    for row in rows:
        cells = {key: (value or "").strip() for key, value in row.items() if key is not None}
        if cells.get("", "").startswith("#") or not any(cells.values()):
            continue
        try:
            if name := cells["DESCRIPTION"]:
                fails = cells.get("SHOULD FAIL", "").lower() not in ("", "0", "false")
                source = cells.get("REFERENCES", "")
                found.append(Function(name, cells.get("ID", ""), should_fail=fails, source=source))
            _read_row(found[-1], cells)
        except (ValueError, IndexError) as error:
            problem = str(error) if found else "the first row has no description"
            raise _refusal(f"{path.name}, line {rows.line_num}: {problem}") from error
    twice = [name for name, count in Counter(function.name for function in found).items() if count > 1]
    if twice or not found:
        what = f"lists {twice[0]!r} twice" if twice else "lists no functions"
        raise _refusal(f"{path.name} {what}", "give each function a description of its own")
    return tuple(found)


def _refusal(what: str, hint: str = _HINT) -> RedoxError:
    return RedoxError(what, hint=hint, settings=("functions",))


def _read_row(function: Function, cells: Mapping[str, str]) -> None:
    """Add a row of the table, the first of a function or a further one; a ValueError says what is wrong."""
    for column, flows in (("IN", function.inputs), ("OUT", function.outputs)):
        amount = _amount(cells, column, 0.0)
        for name in filter(None, map(str.strip, cells.get(column, "").split(";"))):
            if flows.setdefault(name, amount) != amount:
                raise ValueError(f"{name} has two amounts in {function.name!r}")
    if equation := cells.get("EQU"):
        coefficients, reversible = _equation(equation)
        function.equations.append((coefficients, _amount(cells, "EQU", -OPEN if reversible else 0.0)))
    if reaction := cells.get("CHANGED RXN"):
        function.changed[reaction] = _amount(cells, "CHANGED", -OPEN)


def _amount(cells: Mapping[str, str], column: str, least: float) -> Amount:
    low, high = cells.get(f"{column} LB", ""), cells.get(f"{column} UB", "")
    amount = Amount(float(low) if low else least, float(high) if high else OPEN)
    if not (math.isfinite(amount.least) and amount.least <= amount.most):
        raise ValueError(f"{column} LB {amount.least:g} is above {column} UB {amount.most:g}")
    return amount


def _equation(text: str) -> tuple[dict[str, float], bool]:
    parts = _ARROW.split(text)
    if len(parts) != 3:
        raise ValueError(f"no arrow in the equation {text!r}")
    found: defaultdict[str, float] = defaultdict(float)
    for side, sign in ((parts[0], -1.0), (parts[2], 1.0)):
        for term in filter(None, (part.strip() for part in side.split(" + "))):
            coefficient, name = _TERM.findall(term)[0]
            found[name] += sign * float(coefficient or 1)
    return {name: value for name, value in found.items() if value}, parts[1].startswith("<")
