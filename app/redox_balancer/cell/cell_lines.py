"""Cell lines: exchange rates that were measured in culture, as limits of a cell or as fluxes that it must have.

Measured rates cap and do not force: a line may take up, and release, `TOLERANCE` more than was measured, and less.
`CellLine.forced` holds them within the tolerance on either side instead.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from redox_balancer.cell.conditions import HEALTHY, JOIN, Change, Condition, Side, combined
from redox_balancer.cell.exchanges import Exchange, find_exchange
from redox_balancer.cell.records import NonNegative, Positive, Record, packaged, pick, read_file, table_rows
from redox_balancer.cell.repairs import shortened
from redox_balancer.errors import RedoxError

if TYPE_CHECKING:
    from redox_balancer.cell.network import Network  # loads NumPy, and the command line reads settings

TOLERANCE = 0.1
"""Relative deviation from a measured rate that is allowed (assumed; replicates of one line differ by 1 to 30 %)."""

NOISE = 1e-4
"""Rates below this, mmol/gDW/h, are not told from 0 (assumed): their signs differ between lines, and folate, which no
cell makes, would leave it. They allow as much in either direction, and are never forced."""

UNLIMITED = 100.0  # exchange in mmol/gDW/h from which on a medium does not limit it: it is not varied
EVERY = "all"  # name that stands for every line of the file

_GROWTH, _PROTEIN = "growth", "protein"
_NOT_MEASURED = "not measured in this line: the bound of the medium, half to twice where it is sampled"
_HINT = "a table as data/cell_lines.tsv of the package: `exchange` and the lines, then rows of exchange and rates"


class CellLine(Record):
    """Measured exchange rates of a cell line, and its growth, 1/h, and protein content, g/gDW, where known."""

    source: str
    rates: Mapping[str, float]  # by exchange or metabolite, mmol/gDW/h: secretion positive, uptake negative
    unmeasured: tuple[str, ...] = ()  # varied between half and twice of what the medium allows (assumed)
    growth: NonNegative | None = None
    protein: Positive | None = None
    packaged: bool = False  # from the file of the package, which may name exchanges that a model lacks

    def forced(self, network: "Network") -> "Network":
        """Return a cell on its medium whose exchanges have the measured rates, give or take `TOLERANCE`.

        Rates below `NOISE` are limits. A RedoxError as in `exchanges`, and for an exchange that the model splits.
        """
        bounds: dict[str, tuple[float, float]] = {}
        for _, exchange, rate in self.exchanges(network):
            if abs(rate) >= NOISE:
                reaction, upper, scale = exchange.bound(supply=rate < 0)
                least, most = (scale * abs(rate) * (1 + sign * TOLERANCE) for sign in (-1, 1))
                bounds[reaction] = (least, most) if upper else (-most, -least)
        return self.condition(network).apply(network).with_bounds(bounds)

    def condition(self, network: "Network", *, forced: bool = False) -> Condition:
        """Return the line as a condition of a cell on its medium, whose bounds what was not measured has.

        Where the network has the measured rates already (`forced`), only what was not measured is left to vary. A
        RedoxError as in `exchanges`.
        """
        changes = [
            _opening(exchange, side, most, _NOT_MEASURED, sampled=2.0)
            # First, because these distinguish sampled conditions.
            for exchange in (find_exchange(network, name) for name in self.unmeasured)
            if exchange is not None
            for side, most in ((Side.UPTAKE, exchange.uptake), (Side.EXPORT, exchange.export))
            if 0.0 < most < UNLIMITED
        ]
        for _, exchange, rate in () if forced else self.exchanges(network):
            for side, present in ((Side.UPTAKE, exchange.uptake), (Side.EXPORT, exchange.export)):
                most = max(0.0, -rate if side is Side.UPTAKE else rate) * (1 + TOLERANCE)
                most = NOISE if abs(rate) < NOISE else most
                if most != present:
                    changes.append(_opening(exchange, side, most, self.source))
        return Condition(id=self.id, description=f"cell line {self.id}", changes=tuple(changes), reference=self.id)

    def exchanges(self, network: "Network") -> list[tuple[str, Exchange, float]]:
        """Find the measured exchanges in a model: name in the file, exchange, and rate in mmol/gDW/h.

        A RedoxError if two names mean the same exchange, or the model lacks one of a user's file, or has none at all.
        """
        found: dict[str, tuple[str, Exchange, float]] = {}
        for name, rate in self.rates.items():
            if exchange := find_exchange(network, name):
                other, _, known = found.setdefault(exchange.metabolite, (name, exchange, rate))
                if other != name:
                    raise _twice(self.id, exchange.metabolite, (known, rate), f" ({other}, {name})")
        lacking = self.missing_from(network)
        if lacking and (not found or not self.packaged):
            problem = f"model {network.id} has no exchange {lacking[0]} of cell line {self.id}"
            hint = "remove its row, or name it as the model or BiGG does"
            raise RedoxError(problem, hint=hint, settings=("cells_file",))
        return list(found.values())

    def missing_from(self, network: "Network") -> list[str]:
        """Return the measured exchanges that a model lacks."""
        return [name for name in self.rates if find_exchange(network, name) is None]


@cache
def load_cell_lines(path: Path | None = None) -> dict[str, CellLine]:
    """Return the cell lines of a table, by default that of the package, by name.

    The table has tabs, commas or semicolons. Its header is `exchange` and the names of the lines; each row has an
    exchange, by the model's id or the BiGG name, and its rates in mmol/gDW/h, secretion positive and uptake negative.
    An empty cell was not measured. Rows `growth`, 1/h, and `protein`, g/gDW, may follow. Lines that begin with `#`
    are comments, and `# Source:` gives the source. A RedoxError if the file has no such table, a rate is no number,
    or a metabolite has several rows.
    """
    file = path or packaged("cell_lines.tsv")
    try:
        text = read_file(file, "cell lines", "cells_file").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(file, "is no text in UTF-8") from error
    named = re.search(r"^#.*?Source:(.*)", text, re.MULTILINE)
    source = named[1].strip() if named else str(file)
    header, *rows = _table(file, text)
    return {
        line: _line(file, line, [(row[0], row[at]) for row in rows], source, packaged=path is None)
        for at, line in enumerate(header[1:], start=1)
    }


def pick_cell_lines(names: Sequence[str], path: Path | None = None) -> list[CellLine]:
    """Return the cell lines of these names; `all` stands for every line of the file. See `load_cell_lines`."""
    known = load_cell_lines(path)
    chosen = [line for name in names for line in (known if name == EVERY else [name])]
    return [pick(known, name, "cell line", f"; {EVERY} for all of them") for name in dict.fromkeys(chosen)]


def in_cell_lines(lines: Sequence[Condition], conditions: Sequence[Condition]) -> list[Condition]:
    """Return every condition in every cell line, given as conditions, too; as they are where there is no line.

    In the healthy condition a line is itself. A RedoxError if a line has the name of a condition.
    """
    if not lines:
        return list(conditions)
    taken = {HEALTHY, *(part for condition in conditions for part in condition.id.split(JOIN))}
    if shared := [line.id for line in lines if line.id in taken]:
        problem = f"{shared[0]} is the name of a cell line and of a condition"
        raise RedoxError(problem, hint="rename the line in its file", settings=("cells_file",))
    return [combined((line, condition)) if condition.changes else line for line in lines for condition in conditions]


def skipped_exchanges(network: "Network", lines: Sequence[CellLine]) -> tuple[str, ...]:
    """Say in one line which measured exchanges a model lacks, so that they limit nothing; nothing if it has all."""
    lacking = list(dict.fromkeys(name for line in lines for name in line.missing_from(network)))
    return (f"measured in the cell lines, and not in model {network.id}: {shortened(lacking)}",) if lacking else ()


def _table(file: Path, text: str) -> list[list[str]]:
    rows = table_rows(text)
    if len(rows) < 2:
        raise _refusal(file, "has no table of cell lines")
    header = rows[0]
    for row in rows:
        if len(row) != len(header):
            raise _refusal(file, f"has {len(row)} cells in the row of {row[0]!r}, and {len(header)} in the header")
    for line in header[1:]:
        if not line or line == EVERY or JOIN in line or header.count(line) > 1:
            raise _refusal(file, f"has a column {line!r}: names are unique, not empty, not {EVERY}, without {JOIN}")
    return rows


def _opening(exchange: Exchange, side: Side, value: float, source: str, *, sampled: float = 1.0) -> Change:
    """An exchange opened up to a value, mmol/gDW/h; drawn from a range (assumed) if `sampled` is a factor above 1."""
    return Change(
        reaction=exchange.bound(supply=side is Side.UPTAKE).reaction,
        side=side,
        value=value,
        low=value / sampled,
        high=sampled * value,
        source=source,
        assumed=sampled > 1.0,
        opens=True,
    )


def _line(file: Path, line: str, cells: Sequence[tuple[str, str]], source: str, *, packaged: bool) -> CellLine:
    """The line of a column, given as pairs of a row's name and cell."""
    rates: dict[str, float] = {}
    for name, cell in cells:
        of_line = name in (_GROWTH, _PROTEIN)
        try:
            rate = float(cell) if cell else 0.0
        except ValueError:
            rate = math.nan
        if not math.isfinite(rate) or (of_line and cell and rate <= 0):
            kind = "above 0" if of_line else "in mmol/gDW/h, or empty where nothing was measured"
            raise _refusal(file, f"gives {name} of {line} as {cell!r}", f"it is a number {kind}")
        if cell and name in rates:
            raise _twice(line, name, (rates[name], rate))
        if cell:
            rates[name] = rate
    growth, protein = rates.pop(_GROWTH, None), rates.pop(_PROTEIN, None)
    if not rates:
        raise _refusal(file, f"has no rates of {line}")
    unmeasured = tuple(name for name, cell in cells if not cell and name not in (_GROWTH, _PROTEIN))
    about = {"id": line, "source": source, "unmeasured": unmeasured, "packaged": packaged}
    return CellLine.model_validate(about | {"rates": rates, "growth": growth, "protein": protein})


def _twice(line: str, metabolite: str, rates: Sequence[float], names: str = "") -> RedoxError:
    both = min(rates) < 0 < max(rates)
    what = "both takes up and secretes" if both else "has two rates of"
    return RedoxError(
        f"cell line {line} {what} {metabolite}{names}: {', '.join(f'{rate:g}' for rate in rates)}",
        hint="give the net exchange once: secretion positive, uptake negative",
        settings=("cells_file",),
    )


def _refusal(file: Path, what: str, hint: str = _HINT) -> RedoxError:
    return RedoxError(f"{file} {what}", hint=hint, settings=("cells_file",))
