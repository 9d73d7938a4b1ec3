"""What one or two more placements do to each of many cells, estimated from earlier solves without further ones.

The optimum of a linear program is the lowest of the cuts of its bases (`cell/regions.py`). A point is that of the
cell plus what each placement adds to it, so a cut at all pairs of placements is a sum of two terms, and estimates of
thousands of constructs in hundreds of cells take seconds. Optima of bases that were never met are estimated too high:
for the rewards `capacity` and `rescue` an estimate is an upper bound of the value, as in `screening`.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator, Reference
from redox_balancer.design.formulation import AT_OPTIMUM, NO_GROWTH, growth_kept, held_biomass_flux, reaches_floor
from redox_balancer.search.heuristics import random_construct
from redox_balancer.search.problem import UNBOUNDED, Problem

Steps = NDArray[np.intp]

REGION_BYTES = 200_000_000  # memory for the regions of each program while cuts are collected: all of them are kept
ESTIMATED = ("capacity", "rescue", "guaranteed")  # rewards whose programs have cuts
BOUNDED = ("capacity", "rescue")  # rewards whose estimates are upper bounds


class State(NamedTuple):
    """A cell that may be the hidden one: its condition, and its parameter sample where the space has any."""

    condition: Condition
    sample: int | None = None


class Moves(NamedTuple):
    """A placements that a construct may be changed by, as steps `placement * levels + level`."""

    added: Steps
    replaced: Steps  # what is in the same place now, or nothing, the last step
    pairs: NDArray[np.bool_]  # whether two of them are within the budgets, one after the other, shape (A, A)
    same: NDArray[np.bool_]  # whether both are in one place, so that the second replaces the first, shape (A, A)


class _Cell(NamedTuple):
    """One of the states."""

    reference: Reference
    point: FloatArray  # without a construct
    steps: FloatArray  # what each step adds to it
    least: float  # growth below which there is none, 1/h


class Forecast:
    """Estimates for a set of states.

    `evaluator` values constructs exactly. Cuts are those of `solved` random constructs of up to `placements`
    placements, in one state after the other.
    """

    def __init__(self, evaluator: Evaluator, states: Sequence[State], placements: int, solved: int) -> None:
        self.evaluator, self.states, space = evaluator, states, evaluator.space
        self._levels = len(space.levels)
        foreign = [placement.foreign for placement in space.placements]
        self._foreign = np.append(np.repeat(foreign, self._levels), False)
        self._protein = np.append(np.tile(space.levels, len(foreign)), 0.0)
        self._membrane = np.append(np.repeat(space.in_membrane, self._levels), False).astype(np.intp)
        self._budgets = np.asarray([space.budget, space.membrane_budget]) * (1 + 1e-9)
        self._nothing = len(self._protein) - 1
        self._cells: dict[int, _Cell] = {}
        self._solved, self._placements = solved, placements

    @cached_property
    def _cuts(self) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
        """Cuts of growth, proofs that a cell cannot live, and cuts of what the reward counts."""
        space, generator = self.evaluator.space, np.random.default_rng(0)
        with Evaluator(space, cache_entries=0, region_bytes=REGION_BYTES) as evaluator:
            for number in range(self._solved):
                size = 1 + number // len(self.states) % self._placements
                construct = random_construct(Problem(evaluator, (), (), size), generator)
                evaluator.outcome(construct, *self.states[number % len(self.states)])
            programs = evaluator.programs
            flux = [lp.cuts for lp in programs.flux_lps]
            return programs.growth_lp.cuts, programs.growth_lp.certificates, flux

    def moves(self, construct: Construct, *, again: bool) -> Moves:
        """Every placement within the budgets; with `again` also those that change nothing."""
        now = np.full(len(construct.levels), self._nothing)
        for place, level in construct:
            now[place] = place * self._levels + level
        left = self._budgets - self.evaluator.space.spent(construct)
        every = np.arange(self._nothing)
        replaced = now[every // self._levels]
        draws = self._protein[:-1] - self._protein[replaced]
        legal = (draws <= left[self._membrane[:-1]]) & (again | (every != replaced))
        added, replaced, draws = every[legal], replaced[legal], draws[legal]
        membrane = self._membrane[added]
        both = draws + np.where(membrane == membrane[:, None], draws[:, None], 0.0)
        same = added // self._levels == added[:, None] // self._levels
        return Moves(added, replaced, same | (both <= left[membrane]), same)

    def moved(self, construct: Construct, moves: Moves, index: int) -> Construct:
        """The construct after one of the moves."""
        return construct.place(*divmod(int(moves.added[index]), self._levels))

    def after_one(self, state: int, construct: Construct, moves: Moves) -> FloatArray:
        """Value, relative growth and relative capacity after each of A moves in a state, shape (A, 3)."""
        return self._estimates(state, construct, moves, pairs=False)

    def after_two(self, state: int, construct: Construct, moves: Moves) -> FloatArray:
        """Value after each pair of moves, the second in columns, in a state, shape (A, A)."""
        values = self._estimates(state, construct, moves, pairs=True)[..., 0]
        return np.where(moves.same, self.after_one(state, construct, moves)[:, 0], values)

    def _estimates(self, state: int, construct: Construct, moves: Moves, *, pairs: bool) -> FloatArray:
        space, cell = self.evaluator.space, self._cell(state)
        settings, reference = space.settings, cell.reference
        placed = np.asarray([place * self._levels + level for place, level in construct], dtype=np.intp)

        def total(now: Any, one: Any) -> Any:
            """Sum over each changed construct, of what it has now and what one move adds."""
            return now + (one + one[:, None] if pairs else one)

        steps = cell.steps[moves.added] - cell.steps[moves.replaced]
        point = cell.point + cell.steps[placed].sum(axis=0)
        protein = total(space.protein(construct), self._protein[moves.added] - self._protein[moves.replaced])
        foreign = total(self._foreign[placed].sum(), self._foreign[moves.added].astype(np.intp)) > 0
        kept = growth_kept(settings, protein)
        growth_cuts, certificates, flux_cuts = self._cuts
        biomass = np.maximum(_lowest(growth_cuts, point[:-1], steps[:, :-1], pairs=pairs), 0.0)
        biomass[biomass < cell.least] = 0.0
        if len(certificates):
            dead = -_lowest(-certificates, point[:-1], steps[:, :-1], pairs=pairs) > 0.0
            biomass[dead] = 0.0
        growth: Any = kept * biomass
        capacity = np.zeros_like(biomass)
        if flux_cuts:
            guaranteed = settings.reward == "guaranteed"
            held: Any = biomass * AT_OPTIMUM if guaranteed else held_biomass_flux(reference.floor, kept)
            most = np.max([_lowest(cuts, point, steps, held, pairs=pairs) for cuts in flux_cuts], axis=0)
            counted: Any = foreign & reaches_floor(growth, reference.floor)
            capacity = counted * (-most if guaranteed else np.maximum(most, 0.0))
        value = self.evaluator.worth(reference, growth, capacity, protein)[0]
        return np.stack([value, growth / reference.healthy_growth, capacity / space.capacity_unit], axis=-1)

    def _cell(self, state: int) -> _Cell:
        if state not in self._cells:
            formulation, ratios = self.evaluator.formulation, self.evaluator.space.ratios
            condition, sample = self.states[state]
            cell = formulation.under(condition)
            steps = formulation.steps(cell, formulation.placed_bounds(cell, formulation.enzyme_capacities[sample]))
            least = ratios.growth if ratios and cell.shares is not None else NO_GROWTH
            self._cells[state] = _Cell(self.evaluator.reference(condition), cell.point, steps, least)
        return self._cells[state]


def _lowest(
    cuts: FloatArray, point: FloatArray, steps: FloatArray, held: FloatArray | None = None, *, pairs: bool
) -> FloatArray:
    """Lowest of C cuts at a point, shape (P,), plus each of A steps, or each pair of them.

    `held` takes the place of the last coordinate of each point, shape (A,) or for pairs (A, A).
    """
    width = len(point) - (held is not None)
    if not len(cuts):
        return np.full((len(steps),) * (1 + pairs), UNBOUNDED)
    base = cuts[:, :width] @ point[:width] + cuts[:, -1]
    moved = steps[:, :width] @ cuts[:, :width].T
    slope = cuts[:, width] if held is not None else np.zeros(len(cuts))
    held = np.zeros((len(steps),) * (1 + pairs)) if held is None else held
    # A cut that is above another one everywhere on their ranges is never the lowest.
    ends = np.multiply.outer([held.min(), held.max()], slope)
    least = base + ends.min(axis=0) + (1 + pairs) * moved.min(axis=0)
    most = base + ends.max(axis=0) + (1 + pairs) * moved.max(axis=0)
    kept = least <= most.min()
    base, moved, slope = base[kept], moved[:, kept], slope[kept]
    if not pairs:
        lowest: FloatArray = (base + moved + np.multiply.outer(held, slope)).min(axis=1)
        return lowest
    added = moved.astype(np.float32)
    based, sloped, holds = base.astype(np.float32), slope.astype(np.float32), held.astype(np.float32)
    found = np.empty(held.shape)
    for first in range(len(added)):
        rows = added[first:] + (based + added[first])
        if sloped.any():
            rows += np.multiply.outer(holds[first, first:], sloped)
        found[first, first:] = found[first:, first] = rows.min(axis=1)
    return found
