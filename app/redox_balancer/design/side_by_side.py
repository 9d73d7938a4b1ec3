"""Environments whose observations are flat and show the condition, stepped at once: their state is an array each."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import make_room
from redox_balancer.design.formulation import AT_OPTIMUM, growth_kept, held_biomass_flux, reaches_floor
from redox_balancer.design.outlook import ESTIMATED, References

Rows = NDArray[np.intp]


Played = tuple[FloatArray, NDArray[np.bool_], list[dict[str, float]]]
"""One step of N environments: rewards, shape (N,), which episodes ended, and the metrics of these in order."""


class SideBySide:
    """N environments that share an evaluator and a `Building`, after their first reset.

    Episodes are those of `RedoxEnv`, with parameters of the library and without ratios that are held. Constructs of
    one step are valued in the order of the environments, and new episodes begin after that, in the same order.
    """

    def __init__(self, environments: Sequence[Any]) -> None:
        first = environments[0]
        self._environments, self._building, self._entries = environments, first.building, first.entries
        self._evaluator, self._formulation = first.evaluator, first.evaluator.formulation
        self._placements, evaluator = first.max_placements, first.evaluator
        space, count = evaluator.space, len(environments)
        self._levels, self._stop = len(space.levels), space.actions - 1
        self._empty = Construct.empty(len(space.placements))
        self._foreign = np.asarray(evaluator.foreign)
        self._rows = np.arange(count)
        # Cells at the begin of an episode: of each condition that recurs, and after those one of each environment.
        self._numbers: dict[Condition, int] = {}
        self._recurring = len(space.conditions) if first.sampling == "named" else 0
        size = self._recurring + count
        self._starts = np.zeros((size, len(self._formulation.parameters) + 1))
        self._native = np.zeros((size, len(space.placements)))
        self._references = np.zeros((len(References._fields), size))
        self._observed = np.zeros((size, self._building.observed.shape[1]), dtype=np.float32)
        self._unbuilt = np.zeros((size, 3))
        # Of each environment: which of these it started from, a number for the condition, and its construct.
        self._from = np.zeros(count, dtype=np.intp)
        self._serials, self._next = [0] * count, self._recurring
        self._points = np.zeros((count, self._starts.shape[1]))
        self._takes = np.zeros(count, dtype=np.bool_)
        self._left = np.zeros(count, dtype=np.intp)
        self._outcomes = np.zeros((count, 3))  # value, growth, capacity
        self._known: dict[tuple[int, bytes], list[float]] = {}
        self._begin(self._rows, [environment.condition for environment in environments])

    def step(self, actions: NDArray[np.int64]) -> Played:
        """Play one action in each environment; where it ends the episode, the next one begins."""
        stopped = actions == self._stop
        self._left -= 1
        self._left[stopped] = 0
        before = self._outcomes[:, 0].copy()
        placing = (self._building.masks[self._rows, actions] & ~stopped).nonzero()[0]
        if len(placing):
            self._place(placing, *np.divmod(actions[placing], self._levels))
        rewards = self._outcomes[:, 0] - before
        terminated = self._left == 0
        ended = terminated.nonzero()[0]
        metrics = self._metrics(ended)
        if len(ended):
            self._begin(ended, [self._environments[row].draw() for row in ended.tolist()])
        self._show()
        return rewards, terminated, metrics

    def _place(self, rows: Rows, placements: Rows, levels: Rows) -> None:
        """Extend constructs by one placement each."""
        self._building.place(rows, placements, levels)
        self._building.observed[rows, placements] = (levels + 1) / self._levels
        native = self._native[self._from[rows], placements]
        most = native + self._formulation.enzyme_capacities[None][placements, levels]
        upper_at, lower_at = self._formulation.ends[:, placements]
        # A bound that is always 0 is no parameter, and its place is that of growth to be held, which is set later.
        self._points[rows, upper_at] = np.minimum(self._formulation.highest[placements, 0], most)
        self._points[rows, lower_at] = np.maximum(self._formulation.lowest[placements, 0], -most)
        self._takes[rows] |= self._foreign[placements]
        constructs, size = self._building.placed.astype(np.uint8).tobytes(), len(self._foreign)
        keys = [(self._serials[row], constructs[row * size : (row + 1) * size]) for row in rows.tolist()]
        known, entries = self._known, self._evaluator.cache_entries
        # What is found is added again, so that the least recently used are dropped first.
        found: list[Any] = [known.pop(key, None) for key in keys]
        missing = [place for place, outcome in enumerate(found) if outcome is None]
        if missing:
            for place, outcome in zip(missing, self._valued(rows[missing]).tolist(), strict=True):
                found[place] = outcome
        self._outcomes[rows] = found
        if entries:
            make_room(known, entries - len(keys), entries)
            known.update(zip(keys, found, strict=True))

    def _valued(self, rows: Rows) -> FloatArray:
        """Value, growth and capacity of constructs, shape (N, 3)."""
        evaluator, programs, settings = self._evaluator, self._evaluator.programs, self._evaluator.space.settings
        points, cells = self._points[rows], References(*self._references[:, self._from[rows]])
        protein: Any = self._building.protein(rows)
        families = [self._serials[row] for row in rows.tolist()]
        kept: Any = growth_kept(settings, protein)
        growth, capacity = kept * programs.growths(points, families), np.zeros(len(rows))
        counted = (self._takes[rows] & reaches_floor(growth, cells.floor) & (kept > 0)).nonzero()[0]
        if settings.reward != "rescue" and len(counted):
            points, kept, families = points[counted], kept[counted], [families[place] for place in counted.tolist()]
            if settings.reward == "guaranteed":
                points[:, -1] = growth[counted] / kept * AT_OPTIMUM
                capacity[counted] = programs.guaranteed_minima(points, families)
            else:
                points[:, -1] = held_biomass_flux(cells.floor[counted], kept)
                capacity[counted] = programs.capacities(points, families)
        return np.array([evaluator.worth(cells, growth, capacity, protein)[0], growth, capacity]).T

    def _begin(self, rows: Rows, conditions: Sequence[Condition]) -> None:
        """Start episodes."""
        places = [self._start(row, condition) for row, condition in zip(rows.tolist(), conditions, strict=True)]
        self._building.begin(rows)
        self._building.observed[rows] = self._observed[places]
        self._from[rows] = places
        self._points[rows] = self._starts[places]
        self._outcomes[rows] = self._unbuilt[places]
        self._takes[rows], self._left[rows] = False, self._placements

    def _start(self, row: int, condition: Condition) -> int:
        """Place of the cell under a condition."""
        if self._recurring and condition in self._numbers:
            self._serials[row] = self._numbers[condition]
            return self._serials[row]
        if self._recurring:
            place = self._serials[row] = self._numbers.setdefault(condition, len(self._numbers))
        else:
            place, self._serials[row] = row, self._next
            self._next += 1
        reference, cell = self._evaluator.cell(condition)
        outcome = self._evaluator.outcome(self._empty, condition)
        self._starts[place] = cell.point
        self._native[place] = [cell.native_limits.get(column, 0.0) for column in self._formulation.columns]
        self._references[:, place] = [getattr(reference, name) for name in References._fields]
        self._unbuilt[place] = outcome.value, outcome.growth, outcome.capacity
        observed = self._observed[place]
        self._entries.write(observed, cell.limits, ())
        observed[-3] = reference.growth / reference.healthy_growth
        return place

    def _show(self) -> None:
        """Write what changed into the observations."""
        observed = self._building.observed
        observed[:, self._building.left_at] = self._left / self._placements
        observed[:, -2] = self._outcomes[:, 1] / self._references[1, self._from]
        observed[:, -1] = self._outcomes[:, 2] / self._evaluator.space.capacity_unit

    def _metrics(self, ended: Rows) -> list[dict[str, float]]:
        evaluator = self._evaluator
        of_process = {"hit_rate": evaluator.hits / evaluator.lookups, "disagreements": evaluator.disagreements}
        return [
            {"value": value, "growth": growth, "capacity": capacity} | of_process
            for value, growth, capacity in self._outcomes[ended].tolist()
        ]


def at_once(environments: Sequence[Any]) -> Callable[[NDArray[np.int64]], Played] | None:
    """What steps environments of one kind, which share a `Building`, at once; None where it cannot.

    It can where observations are flat and show the condition, and where the value follows from optima alone with the
    library's own parameters, no ratio is held, and no two enzymes are of one reaction.
    """
    first, space = environments[0], environments[0].evaluator.space
    columns = first.evaluator.formulation.columns
    varies = space.ratios or len(space.parameter_samples) or len(set(columns)) < len(columns)
    if first.features or not first.entries or varies or space.settings.reward not in ESTIMATED:
        return None
    return SideBySide(environments).step
