"""What each further placement would be worth, estimated by the shadow prices at the present construct and elsewhere.

The optimum of a linear program is concave in its bounds. Its gradient at one point, which a solve or a lookup leaves
(`cell/regions.py`), bounds it everywhere else: shadow price times change of the bound is the most that a placement
can gain, and what it gains where no other bound becomes limiting. What becomes limiting next is seen by the gradients
at other points (`sampled_cuts`): the lowest of all counts. Gasse et al. 2019, NeurIPS 32, show reduced costs to a
policy that branches.
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
from redox_balancer.design.sampled_cuts import sampled_cuts
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
    rows: list[FloatArray]  # lowest cut of each program there, (width,), or the Farkas certificate
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
        self._sampled = [(cuts, self._weights(cuts)) for cuts in sampled_cuts(evaluator)]

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
        return Prospect(reference, outcome.value, protein, takes, proof is not None, point, rows, self._bounds)

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
        rows = [np.array(each)[:, None] for each in zip(*(prospect.rows for prospect in prospects), strict=True)]
        evaluator, space, reference = self._evaluator, self._evaluator.space, _Cells(*cell)
        lacked = self._values(rows[0], self._weights(rows[0]), points[:, :-1], steps)[..., 0]
        lacks = (rows[0][..., :-1] @ points[:, :-1, None] + rows[0][..., -1:])[:, 0, :, None]
        made_up = np.clip(1.0 - lacked / np.where(dead, lacks, 1.0), 0.0, 1.0)
        kept = self._kept(protein)
        biomass = np.maximum(self._lowest(rows[0], 0, points[:, :-1], steps), 0.0)
        growth, capacity = kept * biomass, np.zeros(())
        if space.settings.reward != "rescue":
            guaranteed = space.settings.reward == "guaranteed"
            held: Any = biomass * AT_OPTIMUM if guaranteed else held_biomass_flux(reference.floor, kept)
            counted = (self._foreign | takes) & reaches_floor(growth, reference.floor)
            beyond = held - points[:, -1, None, None]
            most = [self._lowest(row, number, points, steps, beyond) for number, row in enumerate(rows[1:], 1)]
            capacity = (-reduce(np.maximum, most) if guaranteed else np.maximum(most[0], 0.0)) * counted
        values = evaluator.worth(reference, growth, capacity, protein + self._levels)[0]
        gains: FloatArray = np.where(dead, made_up, values - value)
        return gains

    def _kept(self, protein: Any) -> Any:
        """Share of growth that is left with one more placement at each level, shape (..., L)."""
        return np.maximum(growth_kept(self._evaluator.space.settings, protein + self._levels), 1e-9)

    def _lowest(self, own: FloatArray, number: int, *changed: FloatArray) -> FloatArray:
        """Lowest of a cut of each construct, (N, 1, width), and the sampled ones of a program, (N, P, L)."""
        sampled = self._values(*self._sampled[number], *changed).min(axis=-1, initial=np.inf)
        lowest: FloatArray = np.minimum(self._values(own, self._weights(own), *changed)[..., 0], sampled)
        return lowest

    def _weights(self, rows: FloatArray) -> FloatArray:
        """Weights of the upper and the lower bound of each placement in rows, (2, ..., P, 1, C)."""
        weights: FloatArray = np.moveaxis((rows[..., self._ends] * self._move), (-3, -2), (-1, 0))[..., None, :]
        return weights

    def _values(
        self,
        rows: FloatArray,
        weights: FloatArray,
        points: FloatArray,
        steps: FloatArray,
        beyond: FloatArray | None = None,
    ) -> FloatArray:
        """Values of C rows over (u, 1), where each placement changes N points, (N, P, L, C): rows last, for speed.

        `rows` are the same for all points, (C, width), or those of each, (N, C, width), `weights` theirs. `steps`,
        shape (N, 2, P, L), change the upper and the lower bound of each placement, and `beyond`, shape (N, P, L), the
        last coordinate of the points, the growth to be held.
        """
        base = (rows[..., :-1] @ points[..., None])[..., 0] + rows[..., -1]
        values: FloatArray = weights[0] * steps[:, 0, ..., None]
        values += weights[1] * steps[:, 1, ..., None]
        if beyond is not None:
            values += rows[..., None, None, :, -2] * beyond[..., None]
        values += base[:, None, None]
        return values
