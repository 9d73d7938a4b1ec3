"""Lossless compression: a smaller network with the same optima.

Four rules are applied until none applies (the first two are those of Gagneur & Klamt 2004, BMC Bioinformatics 5:175):

1. A metabolite in exactly two reactions couples them, v_b = k v_a: they become one column within the bounds of both.
2. A reaction that is the only one of a metabolite carries no flux and is removed, as is one with both bounds 0.
3. Duplicate reactions, with proportional columns, become one whose flux range is the sum of theirs.
4. A mass balance proportional to another is redundant and is removed.

Rules 1 to 3 do not change protected reactions, so the compressed network is valid for all later bounds and objective
weights of protected reactions. All other reactions keep their bounds and have no weight.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from redox_balancer.cell.network import Network

CANCELLED = 1e-11  # a coefficient this small relative to the two that it is the sum of is round-off
DIGITS = 10  # significant digits in which proportional columns or rows must agree


def compress(network: Network, protected: Iterable[str]) -> Network:
    """Compress a network without changing its optima for any objective and any bounds of the protected reactions.

    These, and the network's own objective, keep their ids; only their bounds may change later, and only they may have
    a weight in an objective. A lumped column has the id of its first reaction and is measured in its flux.
    """
    keep = {network.column(reaction) for reaction in (*protected, network.objective)}
    work = Compression(network, keep)
    while work.couple() or work.merge_parallel():
        pass
    work.drop_redundant_balances()
    return work.network()


class Compression:
    """Working state of a compression: columns and rows of S as dictionaries."""

    def __init__(self, network: Network, protected: set[int]) -> None:
        self._network, self._protected = network, protected
        self._lower, self._upper = network.lower.tolist(), network.upper.tolist()
        self._columns: dict[int, dict[int, float]] = {}
        self._rows: dict[int, set[int]] = {row: set() for row in range(len(network.metabolites))}
        for column in range(len(network.reactions)):
            self._columns[column] = network.entries(column)
            for row in self._columns[column]:
                self._rows[row].add(column)
        for column in list(self._columns):
            if column not in protected and self._lower[column] == self._upper[column] == 0.0:
                self._remove(column)

    def couple(self) -> bool:
        """Apply rules 1 and 2 until neither applies; return whether one did."""
        changed = False
        waiting = list(self._rows)
        while waiting:
            row = waiting.pop()
            touching = self._rows.get(row)
            if touching is None:
                continue
            if not touching:
                del self._rows[row]
            elif not touching & self._protected:
                if len(touching) == 1:
                    (column,) = touching
                    if self._lower[column] <= 0.0 <= self._upper[column]:
                        waiting += self._columns[column]
                        self._remove(column)
                        changed = True
                elif len(touching) == 2:
                    first, second = sorted(touching)
                    waiting += self._columns[second]
                    self._lump(first, second, -self._columns[first][row] / self._columns[second][row])
                    changed = True
        return changed

    def merge_parallel(self) -> bool:
        """Apply rule 3; return whether it applied."""
        alike: dict[tuple[tuple[int, float], ...], int] = {}
        changed = False
        for column in sorted(self._columns.keys() - self._protected):
            entries = self._columns[column]
            if not entries:
                continue
            first = alike.setdefault(direction(entries), column)
            if first != column:
                row = min(entries)
                lower, upper = self._scaled(column, entries[row] / self._columns[first][row])
                self._lower[first] += lower
                self._upper[first] += upper
                self._remove(column)
                changed = True
        return changed

    def drop_redundant_balances(self) -> None:
        """Apply rule 4."""
        seen: set[tuple[tuple[int, float], ...]] = set()
        for row in sorted(self._rows):
            along = direction({column: self._columns[column][row] for column in self._rows[row]})
            if along in seen:
                for column in self._rows.pop(row):
                    del self._columns[column][row]
            seen.add(along)

    def network(self) -> Network:
        """Return the compressed network."""
        columns, rows = sorted(self._columns), sorted(row for row, touching in self._rows.items() if touching)
        place = {row: index for index, row in enumerate(rows)}
        entries = [sorted((place[row], value) for row, value in self._columns[column].items()) for column in columns]
        return replace(
            self._network,
            reactions=tuple(self._network.reactions[column] for column in columns),
            metabolites=tuple(self._network.metabolites[row] for row in rows),
            indptr=np.cumsum([0, *map(len, entries)]).astype(np.int32),
            indices=np.asarray([row for column in entries for row, _ in column], dtype=np.int32),
            data=np.asarray([value for column in entries for _, value in column], dtype=np.float64),
            lower=np.asarray([self._lower[column] for column in columns]),
            upper=np.asarray([self._upper[column] for column in columns]),
            formulas={},
            charges={},
        )

    def _scaled(self, column: int, factor: float) -> tuple[float, float]:
        """Bounds of a column in other units; contradictory bounds (lower above upper) remain contradictory."""
        lower, upper = factor * self._lower[column], factor * self._upper[column]
        return (lower, upper) if factor > 0 else (upper, lower)

    def _remove(self, column: int) -> None:
        for row in self._columns.pop(column):
            self._rows[row].discard(column)

    def _lump(self, first: int, second: int, ratio: float) -> None:
        """Merge two columns with v_second = ratio v_first into one, in units of the first."""
        lower, upper = self._scaled(second, 1.0 / ratio)
        self._lower[first] = max(self._lower[first], lower)
        self._upper[first] = min(self._upper[first], upper)
        for row, value in self._columns[second].items():
            self._add(first, row, ratio * value)
        self._remove(second)

    def _add(self, column: int, row: int, added: float) -> None:
        """Add to a coefficient."""
        entries = self._columns[column]
        before = entries.get(row, 0.0)
        total = before + added
        if abs(total) <= CANCELLED * max(abs(before), abs(added)):
            entries.pop(row, None)
            self._rows[row].discard(column)
        else:
            entries[row] = total
            self._rows[row].add(column)


def direction(entries: dict[int, float]) -> tuple[tuple[int, float], ...]:
    """Positions and rounded values relative to the first value: equal for proportional columns or rows."""
    ordered = sorted(entries.items())
    first = ordered[0][1] if ordered else 1.0
    return tuple((position, float(f"{value / first:.{DIGITS - 1}e}")) for position, value in ordered)
