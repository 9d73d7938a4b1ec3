"""What each further placement would be worth, estimated by the shadow prices at the present construct.

The optimum of a linear program is concave in its bounds. Its gradient at one point, which a solve or a lookup leaves
(`cell/regions.py`), bounds it everywhere else: shadow price times change of the bound is the most that a placement
can gain, and what it gains where no other bound becomes limiting. Gasse et al. 2019, NeurIPS 32, show reduced costs
to a policy that branches.
"""

from collections.abc import Sequence
from functools import reduce
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator, Outcome, Reference
from redox_balancer.design.formulation import AT_OPTIMUM, growth_kept, held_biomass_flux, reaches_floor
from redox_balancer.design.settings import Reward

ESTIMATED: tuple[Reward, ...] = ("capacity", "guaranteed", "rescue")
"""Rewards that follow from optima of linear programs alone."""


class _Cells(NamedTuple):
    """`Reference` of N cells, arrays of shape (N, 1, 1)."""

    growth: Any
    healthy_growth: Any
    floor: Any
    lowered: Any
    unperturbed: Any


SCALARS = ("value", "protein", "takes", "dead", *(f"reference.{name}" for name in _Cells._fields))


class Prospect(NamedTuple):
    """What is known of a construct under a condition, from which gains are estimated."""

    reference: Reference
    value: float
    protein: float
    takes: bool  # whether it takes NAD(P)H from the pools
    dead: bool  # whether the first row proves that the cell cannot live
    point: FloatArray
    rows: list[FloatArray]  # lowest cut of each program there, or the Farkas certificate
    known: list[float]  # what each row gives there
    bounds: FloatArray  # upper and lower bound that each placement at each level sets, (2, P, L)


class Outlook:
    """Estimates for each of P placements at each of L levels."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator, space, ends = evaluator, evaluator.space, evaluator.formulation.ends
        self._levels = np.asarray(space.levels)
        self._foreign = np.asarray([[placement.foreign] for placement in space.placements])
        # A bound that is always 0 is no parameter.
        self._ends, self._move = ends, ends >= 0
        self._condition: Condition | None = None

    def prospect(self, construct: Construct, condition: Condition, outcome: Outcome) -> Prospect:
        """What is known of a construct by its outcome and by the optima there that the outcome did not need."""
        evaluator, space, programs = self._evaluator, self._evaluator.space, self._evaluator.programs
        reference, cell = evaluator.cell(condition)
        if condition is not self._condition:  # the same in all of an episode
            self._condition, self._bounds = condition, evaluator.formulation.placed_bounds(cell)
        placed = tuple(construct)
        protein, takes = space.protein(placed), any(evaluator.foreign[place] for place, _ in placed)
        point = evaluator.formulation.with_placed(cell, placed)
        proof = programs.growth_lp.certificate(point[:-1]) if outcome.growth == 0.0 else None
        if proof is not None:
            rows = [proof, *(np.zeros(len(point) + 1) for _ in programs.flux_lps)]
        else:
            if space.settings.reward != "rescue":
                point[-1] = outcome.growth / growth_kept(space.settings, protein) * AT_OPTIMUM
                if space.settings.reward == "capacity":
                    held: Any = held_biomass_flux(reference.floor, self._kept(protein))
                    point[-1] = min(held.min(), point[-1])
                if not (takes and reaches_floor(outcome.growth, reference.floor)):
                    for program in programs.flux_lps:
                        program.maximise(point)
            rows = [programs.growth_lp.lowest_cut(point[:-1]), *(p.lowest_cut(point) for p in programs.flux_lps)]
        known = [row[:-1].dot(point[: len(row) - 1]) + row[-1] for row in rows]
        return Prospect(reference, outcome.value, protein, takes, proof is not None, point, rows, known, self._bounds)

    def gains(self, prospects: Sequence[Prospect]) -> FloatArray:
        """Estimated change of the value of N constructs by each placement; shape (N, P, L).

        Only placements that are not part of the construct, and that are affordable, have a meaning. In a cell that
        cannot live they are the shares of what it lacks, by the Farkas certificate, that each placement makes up for.
        """
        value, protein, takes, dead, *cell = (
            np.array(list(map(attrgetter(name), prospects)))[:, None, None] for name in SCALARS
        )
        points = np.array([prospect.point for prospect in prospects])
        steps = np.array([prospect.bounds for prospect in prospects]) - points[:, self._ends][..., None]
        rows = [np.array(each) for each in zip(*(prospect.rows for prospect in prospects), strict=True)]
        known = np.array([prospect.known for prospect in prospects]).T[..., None, None]
        changes = [self._along(each, steps) for each in rows]
        lacking = np.clip(changes[0] / np.where(dead, -known[0], 1.0), 0.0, 1.0)
        evaluator, space, reference = self._evaluator, self._evaluator.space, _Cells(*cell)
        kept = self._kept(protein)
        biomass = np.maximum(known[0] + changes[0], 0.0)
        growth, capacity = kept * biomass, np.zeros(())
        if space.settings.reward != "rescue":
            guaranteed = space.settings.reward == "guaranteed"
            held: Any = biomass * AT_OPTIMUM if guaranteed else held_biomass_flux(reference.floor, kept)
            counted = (self._foreign | takes) & reaches_floor(growth, reference.floor)
            beyond = held - points[:, -1, None, None]
            most = [
                k + change + row[:, -2, None, None] * beyond
                for k, change, row in zip(known[1:], changes[1:], rows[1:], strict=True)
            ]
            capacity = (-reduce(np.maximum, most) if guaranteed else np.maximum(most[0], 0.0)) * counted
        values = evaluator.worth(reference, growth, capacity, protein + self._levels)[0]
        gains: FloatArray = np.where(dead, lacking, values - value)
        return gains

    def _kept(self, protein: Any) -> Any:
        """Share of growth that is left with one more placement at each level, shape (..., L)."""
        return np.maximum(growth_kept(self._evaluator.space.settings, protein + self._levels), 1e-9)

    def _along(self, rows: FloatArray, steps: FloatArray) -> FloatArray:
        """Change of N rows over (u, 1) by steps of the upper and the lower bound of each placement, (N, 2, P, L)."""
        weights = rows[:, self._ends] * self._move
        change: FloatArray = weights[:, 0, :, None] * steps[:, 0] + weights[:, 1, :, None] * steps[:, 1]
        return change
