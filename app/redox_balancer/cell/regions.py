"""`RegionCache`: optima of a parametric linear program that are known without a solve.

f(u) = maximum of c v subject to S v = 0, lower(u) <= v <= upper(u) is concave in the bounds u. The optimal basis at
one point u gives f at others (multi-parametric programming: Gal & Nedoma 1972, Management Science 18:406; Borrelli
et al. 2003, J. Optim. Theory Appl. 118:515):

- Its reduced costs are dual feasible for every u. The *cut* a + g u, with a the contribution of the fixed bounds, is
  therefore an upper bound of f(u) everywhere.
- It stays optimal while its basic fluxes, which are linear in u, stay within their own bounds: in this *critical
  region* f(u) = a + g u.

Only the lowest cut can equal f(u), and it does where u lies in one of its regions. A lookup is one small matrix
product that finds the lowest cut, and one for each region of that cut that may contain u. Many bases share a cut,
because a metabolic network reaches an optimum in many ways.

An infeasible problem ends with a Farkas certificate (`ParametricBounds.infeasibility_row`), also linear in u, which
holds for every u at which its row is positive.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.parameters import RELATIVE

INFEASIBLE_BY = 1e3
"""Violation above which a certificate proves infeasibility, relative to the noise."""
CERTIFICATES = 1_000
"""Farkas certificates kept; the oldest are dropped."""

WITNESSES = 4
"""Rows of each region that are tested first: with 4 it takes 1.7 tests of whole regions to answer a lookup, with 2
it takes 4.1."""
FEW = 2
"""Regions of a cut that are tested without a look at their witnesses."""

FAMILIES = 16
"""Families of points, of each of which the region of a cut that answered last is tested first."""

RETAINED = 0.75
"""Share of the memory that stays in use when the least recently used regions are dropped."""


class _Region:
    """Points where a basis is optimal: `rows` (u, 1)[at] <= 0, without the coordinates that no row depends on.

    `used` is the index of the lookup that it last answered.
    """

    __slots__ = ("at", "rows", "used")

    def __init__(self, rows: FloatArray, used: int) -> None:
        self.at = np.flatnonzero((rows != 0.0).any(axis=0))
        self.rows: FloatArray = np.ascontiguousarray(rows[:, self.at])
        self.used = used

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.at.nbytes


@dataclass(eq=False, slots=True)
class _Cut:
    """An upper bound of the optimum, and the regions in which it is the optimum.

    `witnesses`, shape (W, regions, width), holds some rows of each region, the most violated ones of its last
    unsuccessful tests: they alone rule out nearly all regions that do not contain u.
    """

    regions: list[_Region] = field(default_factory=list)
    witnesses: FloatArray = field(default_factory=lambda: np.empty((WITNESSES, 0, 0)))
    turn: int = 0  # which of them is replaced next
    latest: list[_Region | None] = field(default_factory=lambda: [None] * FAMILIES)  # that answered, by family

    def add(self, region: _Region, width: int) -> None:
        self.regions.append(region)
        first = np.zeros((WITNESSES, 1, width))
        if len(region.rows):
            first[..., region.at] = region.rows[0]
        self.witnesses = np.concatenate([self.witnesses.reshape(WITNESSES, -1, width), first], axis=1)

    def keep(self, regions: list[_Region]) -> None:
        chosen = [region in regions for region in self.regions]
        self.regions = list(itertools.compress(self.regions, chosen))
        self.witnesses = self.witnesses[:, chosen]
        self.latest = [region if region in regions else None for region in self.latest]

    def find(self, point: FloatArray) -> _Region | None:
        """Region that contains a point (u, 1), if there is one."""
        places: Iterable[int] = range(len(self.regions))
        if len(self.regions) > FEW:
            latest = self.latest[0]
            if latest is not None:
                violation = latest.rows.dot(point.take(latest.at))
                if violation[violation.argmax()] <= 0.0:
                    return latest
            values = self.witnesses.reshape(-1, len(point)).dot(point).reshape(WITNESSES, -1)
            places = (np.maximum.reduce(values) <= 0.0).nonzero()[0].tolist()
        return self._first(point, places, 0)

    def find_all(self, points: FloatArray, families: Sequence[int]) -> list[_Region | None]:
        """Region that contains each of N points (u, 1), shape (N, width), if there is one."""
        found: list[_Region | None] = [None] * len(points)
        together: dict[_Region, list[int]] = {}
        for index, family in enumerate(families):
            if (latest := self.latest[family]) is not None:
                together.setdefault(latest, []).append(index)
        for region, indices in together.items():
            violations = region.rows.dot(points.take(indices, axis=0).take(region.at, axis=1).T)
            for index in itertools.compress(indices, (np.maximum.reduce(violations) <= 0.0).tolist()):
                found[index] = region
        left = [index for index, region in enumerate(found) if region is None]
        if left:
            values = self.witnesses.reshape(-1, points.shape[1]).dot(points.take(left, axis=0).T)
            possible = np.maximum.reduce(values.reshape(WITNESSES, len(self.regions), -1)) <= 0.0
            for index, places in zip(left, possible.T, strict=True):
                found[index] = self._first(points[index], places.nonzero()[0].tolist(), families[index])
        return found

    def _first(self, point: FloatArray, places: Iterable[int], family: int) -> _Region | None:
        """Return the first region at these places that contains a point, and remember it for the family."""
        for place in places:
            region = self.regions[place]
            if not len(region.rows):
                return region
            violation = region.rows.dot(point.take(region.at))
            worst = violation.argmax()
            if violation[worst] <= 0.0:
                self.latest[family] = region
                return region
            # One index at a time: a view and its own assignment take a third of the time of a mixed index.
            self.turn = (self.turn + 1) % WITNESSES
            witness = self.witnesses[self.turn, place]
            witness.fill(0.0)
            witness[region.at] = region.rows[worst]
        return None


class Lookup(NamedTuple):
    """A successful lookup: the optimum and the region that contains the point."""

    value: float
    cut: _Cut
    region: _Region


class RegionCache:
    """Critical regions and Farkas certificates for points (u, 1) of a length `width`.

    Regions take up to `limit_bytes`, now `nbytes`; the least recently used ones are dropped where that is too little,
    and the cache is then `full` until `clear`. `noise` is that of `ParametricBounds`; values of cuts that differ by
    no more than `gap` are equal.
    """

    def __init__(self, width: int, limit_bytes: int, noise: float, gap: float) -> None:
        self._width, self._limit, self._noise, self._gap = width, limit_bytes, noise, gap
        self.clear()

    def clear(self) -> None:
        """Drop everything."""
        self._set_cuts([], np.empty((0, self._width)))
        self._certificates = np.empty((0, self._width))
        self.nbytes, self.full = 0, False

    def find(self, point: FloatArray, now: int) -> Lookup | None:
        """Return the optimum at a point (u, 1) where a region contains it, and mark that region as used at `now`."""
        if not self._cuts:
            return None
        values = self._cut_rows.dot(point)
        lowest = int(values.argmin())
        self._lowest = point.tobytes(), lowest
        place, region = lowest, self._cuts[lowest].find(point)
        if region is None:
            place, region = self._find_elsewhere(point, values, lowest)
        if region is None:
            return None
        region.used = now
        return Lookup(values.item(place), self._cuts[place], region)

    def find_all(self, points: FloatArray, now: int, families: Sequence[int]) -> list[float | None]:
        """Return the optima at N points (u, 1), shape (N, width), as `find` does; None where no region contains it.

        Points of one family, a number, are often in one region.
        """
        found: list[float | None] = [None] * len(points)
        if not self._cuts:
            return found
        # One product for each point, whose sums do not depend on how many there are.
        values = np.matmul(self._cut_rows, points[:, :, None])[..., 0]
        by_cut: dict[int, list[int]] = {}
        for index, lowest in enumerate(values.argmin(axis=1).tolist()):
            by_cut.setdefault(lowest, []).append(index)
        for lowest, indices in by_cut.items():
            regions = self._cuts[lowest].find_all(
                points.take(indices, axis=0), [families[index] % FAMILIES for index in indices]
            )
            for index, region in zip(indices, regions, strict=True):
                place, other = lowest, region
                if other is None:
                    place, other = self._find_elsewhere(points[index], values[index], lowest)
                if other is not None:
                    other.used = now
                    found[index] = values.item(index, place)
        return found

    def _find_elsewhere(self, point: FloatArray, values: FloatArray, lowest: int) -> tuple[int, _Region | None]:
        """Return the region of another cut than the lowest, and its place: where cuts intersect, it may be of any."""
        noise = self._gap + RELATIVE * float(np.abs(self._cut_rows[lowest]).dot(np.abs(point)))
        for other in (values <= values.item(lowest) + noise).nonzero()[0].tolist():
            if other != lowest and (region := self._cuts[other].find(point)) is not None:
                return other, region
        return lowest, None

    def upper_bounds(self, points: FloatArray) -> FloatArray:
        """Return the lowest cut at each of N points (u, 1), shape (N, width): no optimum is above it."""
        lowest: FloatArray = points.dot(self._cut_rows.T).min(axis=1, initial=np.inf)
        return lowest

    @property
    def cuts(self) -> FloatArray:
        """The cuts, rows over (u, 1)."""
        return self._cut_rows

    @property
    def certificates(self) -> FloatArray:
        """Rows over (u, 1) that prove infeasibility where they are positive."""
        rows = self._certificates.copy()
        rows[:, -1] -= INFEASIBLE_BY * self._noise
        return rows

    def lowest_cut(self, point: FloatArray) -> FloatArray | None:
        """Return the lowest cut at a point (u, 1), shape (width,); None without any."""
        if not self._cuts:
            return None
        found, lowest = self._lowest
        cut: FloatArray = self._cut_rows[lowest if found == point.tobytes() else self._cut_rows.dot(point).argmin()]
        return cut

    def lowest_value(self, point: FloatArray) -> tuple[float, float]:
        """Return the value of the lowest cut at a point (u, 1), infinite without any, and its round-off."""
        row = self.lowest_cut(point)
        if row is None:
            return math.inf, 0.0
        return float(row.dot(point)), self._gap + RELATIVE * float(np.abs(row).dot(np.abs(point)))

    def certificates_at(self, point: FloatArray) -> NDArray[np.intp]:
        """Return the indices of the certificates that prove infeasibility at a point (u, 1)."""
        proving: NDArray[np.bool_] = self._certificates.dot(point) > INFEASIBLE_BY * self._noise
        return proving.nonzero()[0]

    def certificate(self, point: FloatArray) -> FloatArray | None:
        """Return the certificate that a point (u, 1) violates most, shape (width,); None where none proves it."""
        proving = self._certificates[self.certificates_at(point)]
        if not len(proving):
            return None
        most: FloatArray = proving[(proving.dot(point) / np.abs(proving).dot(np.abs(point))).argmax()]
        return most

    def add(self, cut_row: FloatArray, rows: FloatArray, now: int) -> None:
        """Add a critical region: the optimum is `cut_row` (u, 1) wherever `rows` (u, 1) <= 0."""
        region = _Region(rows, now)
        if region.nbytes > self._limit:
            return
        if self.nbytes + region.nbytes > self._limit:
            self._make_room()
        differ = np.abs(self._cut_rows - cut_row) > self._noise + RELATIVE * np.abs(cut_row)
        same = np.flatnonzero(~differ.any(axis=1))
        if len(same):
            cut = self._cuts[int(same[0])]
        else:
            cut = _Cut()
            self._set_cuts([*self._cuts, cut], np.vstack([self._cut_rows, cut_row]))
        cut.add(region, len(cut_row))
        self.nbytes += region.nbytes

    def add_certificate(self, row: FloatArray, point: FloatArray) -> None:
        """Add a certificate found at `point` (u, 1), unless round-off leaves it without a violation there."""
        if row.dot(point) > INFEASIBLE_BY * self._noise:
            self._certificates = np.vstack([self._certificates[-(CERTIFICATES - 1) :], row])

    def remove(self, found: Lookup) -> None:
        """Drop the region of a lookup."""
        found.cut.keep([region for region in found.cut.regions if region is not found.region])
        self.nbytes -= found.region.nbytes
        self._drop_empty_cuts()

    def remove_certificates(self, indices: NDArray[np.intp]) -> None:
        """Drop certificates."""
        self._certificates = np.delete(self._certificates, indices, axis=0)

    def _make_room(self) -> None:
        """Drop the least recently used regions, and the cuts that have none left."""
        self.full = True
        newest_first = sorted(
            ((region.used, cut, region) for cut in self._cuts for region in cut.regions),
            key=lambda entry: entry[0],
            reverse=True,
        )
        kept: dict[int, list[_Region]] = {}
        size = 0
        for _, cut, region in newest_first:
            if size + region.nbytes > RETAINED * self._limit:
                break
            size += region.nbytes
            kept.setdefault(id(cut), []).append(region)
        for cut in self._cuts:
            cut.keep(kept.get(id(cut), []))
        self.nbytes = size
        self._drop_empty_cuts()

    def _drop_empty_cuts(self) -> None:
        chosen = [bool(cut.regions) for cut in self._cuts]
        self._set_cuts(list(itertools.compress(self._cuts, chosen)), self._cut_rows[chosen])

    def _set_cuts(self, cuts: list[_Cut], rows: FloatArray) -> None:
        self._cuts, self._cut_rows = cuts, rows
        # The point of the last lookup and the index of the lowest cut there: most estimates are made at that point.
        self._lowest = b"", 0
