"""What each further placement would be worth, estimated by the shadow prices at the present construct.

The optimum of a linear program is concave in its bounds. Its gradient at one point, which a solve or a lookup leaves
(`cell/regions.py`), bounds it everywhere else: shadow price times change of the bound is the most that a placement
can gain, and what it gains where no other bound becomes limiting. Gasse et al. 2019, NeurIPS 32, show reduced costs
to a policy that branches.
"""

from typing import Any

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.parametric import ParametricLP
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator, Outcome
from redox_balancer.design.formulation import AT_OPTIMUM, growth_kept, held_biomass_flux, reaches_floor
from redox_balancer.design.settings import Reward

ESTIMATED: tuple[Reward, ...] = ("capacity", "guaranteed", "rescue")
"""Rewards that follow from optima of linear programs alone."""


class Outlook:
    """Estimates for each of P placements at each of L levels, in the cell and condition given to `enter`."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator, space, formulation = evaluator, evaluator.space, evaluator.formulation
        self._levels = np.asarray(space.levels)
        self._foreign = np.asarray([placement.foreign for placement in space.placements])
        self._native = np.flatnonzero(~self._foreign)
        self._caps = np.asarray([placement.caps for placement in space.placements])
        reversible = np.asarray([placement.site.reversible for placement in space.placements])
        places = [formulation.places[column] for column in formulation.columns]
        own = [formulation.own_bounds[column] for column in formulation.columns]
        self._own_lower, self._own_upper = np.asarray(own).T[:, self._native, None]
        # A bound that is always 0 is no parameter.
        self._raised, self._lowered = (np.flatnonzero([at[side] >= 0 for at in places]) for side in (0, 1))
        self._upper_at, self._lower_at = np.asarray(places)[self._raised, 0], np.asarray(places)[self._lowered, 1]
        self._upper = np.where(self._foreign[:, None], self._caps, 0.0)
        self._lower = np.where((self._foreign & reversible)[:, None], -self._caps, 0.0)

    def enter(self, condition: Condition) -> None:
        """Estimate under this condition from now on."""
        self._reference = self._evaluator.reference(condition)
        self._cell = cell = self._evaluator.unmodified(condition)
        columns = self._evaluator.formulation.columns
        limits = np.asarray([cell.native_limits[columns[place]] for place in self._native.tolist()])[:, None]
        most = limits + self._caps[self._native]
        self._upper[self._native] = np.minimum(self._own_upper, most)
        self._lower[self._native] = np.maximum(self._own_lower, -most)

    def gains(self, construct: Construct, outcome: Outcome) -> FloatArray:
        """Estimated change of a construct's value by each placement, in the unit of the value; shape (P, L).

        Only placements that are not part of the construct, and that are affordable, have a meaning. In a cell that
        cannot live they are the shares of what it lacks, by the Farkas certificate, that each placement makes up for.
        """
        evaluator, space, cell = self._evaluator, self._evaluator.space, self._cell
        programs, settings, reference = evaluator.programs, space.settings, self._reference
        placed = tuple(construct)
        point = evaluator.formulation.with_placed(cell, placed)
        upper, lower = self._upper[self._raised], self._lower[self._lowered]
        if cell.shares is not None:
            upper = upper * cell.shares[self._upper_at, None]
            lower = lower * cell.shares[self._lower_at, None]
        upper = upper - point[self._upper_at, None]
        lower = lower - point[self._lower_at, None]

        def changed(row: FloatArray) -> FloatArray:
            change = np.zeros(self._upper.shape)
            change[self._raised] += row[self._upper_at, None] * upper
            change[self._lowered] += row[self._lower_at, None] * lower
            return change

        if outcome.growth == 0.0 and (proof := programs.growth_lp.certificate(point[:-1])) is not None:
            lacking = float(proof[:-1].dot(point[:-1]) + proof[-1])
            relieved: FloatArray = np.clip(changed(proof) / -lacking, 0.0, 1.0)
            return relieved

        def estimated(program: ParametricLP, held: Any = None) -> FloatArray:
            at = point[:-1] if held is None else point
            if held is not None and not counted_before:
                program.maximise(at)
            cut = program.lowest_cut(at)
            optima: FloatArray = cut[:-1].dot(at) + cut[-1] + changed(cut)
            return optima if held is None else np.asarray(optima + cut[-2] * (held - at[-1]))

        before = outcome.growth / growth_kept(settings, space.protein(placed))
        takes = any(self._foreign[place] for place, _ in placed)
        counted_before = takes and reaches_floor(outcome.growth, reference.floor)
        protein: Any = space.protein(placed) + self._levels
        kept: Any = np.maximum(growth_kept(settings, protein), 1e-9)
        biomass = np.maximum(estimated(programs.growth_lp), 0.0)
        growth = kept * biomass
        capacity: Any = 0.0
        if settings.reward != "rescue":
            counted = (self._foreign | takes)[:, None] & reaches_floor(growth, reference.floor)
            if settings.reward == "guaranteed":
                point[-1] = before * AT_OPTIMUM
                least = [estimated(program, biomass * AT_OPTIMUM) for program in programs.flux_lps]
                capacity = -np.max(least, axis=0) * counted
            else:
                held: Any = held_biomass_flux(reference.floor, kept)
                point[-1] = min(held.min(), before * AT_OPTIMUM)
                capacity = np.maximum(estimated(programs.flux_lps[0], held), 0.0) * counted
        estimates: FloatArray = evaluator.worth(reference, growth, capacity, protein)[0]
        return estimates - outcome.value
