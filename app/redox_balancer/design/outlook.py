"""What each further placement would be worth, estimated by the shadow prices at the present construct.

The optimum of a linear program is concave in its bounds. Its gradient at one point, which a solve or a lookup leaves
(`cell/regions.py`), bounds it everywhere else: shadow price times change of the bound is the most that a placement
can gain, and what it gains where no other bound becomes limiting. Gasse et al. 2019, NeurIPS 32, show reduced costs
to a policy that branches.
"""

from functools import reduce
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
    """Estimates for each of P placements at each of L levels."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator, space, ends = evaluator, evaluator.space, evaluator.formulation.ends
        self._levels = np.asarray(space.levels)
        self._foreign = np.asarray([[placement.foreign] for placement in space.placements])
        # A bound that is always 0 is no parameter.
        self._ends, self._move = ends, ends >= 0
        self._condition: Condition | None = None

    def gains(self, construct: Construct, condition: Condition, outcome: Outcome) -> FloatArray:
        """Estimated change of the value of a construct, whose outcome is known, by each placement; shape (P, L).

        Only placements that are not part of the construct, and that are affordable, have a meaning. In a cell that
        cannot live they are the shares of what it lacks, by the Farkas certificate, that each placement makes up for.
        """
        evaluator, space = self._evaluator, self._evaluator.space
        programs, settings = evaluator.programs, space.settings
        reference, cell = evaluator.cell(condition)
        if condition is not self._condition:  # the same in all of an episode
            self._condition, self._bounds = condition, evaluator.formulation.placed_bounds(cell)
        placed = tuple(construct)
        point = evaluator.formulation.with_placed(cell, placed)
        steps = self._bounds - point[self._ends][:, :, None]
        if outcome.growth == 0.0 and (proof := programs.growth_lp.certificate(point[:-1])) is not None:
            lacking = float(proof[:-1].dot(point[:-1]) + proof[-1])
            relieved: FloatArray = np.clip(self._along(proof, steps) / -lacking, 0.0, 1.0)
            return relieved
        spent = space.protein(placed)
        protein: Any = spent + self._levels
        held: Any
        kept: Any = np.maximum(growth_kept(settings, protein), 1e-9)
        biomass = np.maximum(self._optima(programs.growth_lp, point[:-1], steps), 0.0)
        growth, capacity = kept * biomass, np.zeros(())
        if settings.reward != "rescue":
            takes = any(self._foreign[place] for place, _ in placed)
            most = outcome.growth / growth_kept(settings, spent) * AT_OPTIMUM
            if settings.reward == "guaranteed":
                held, point[-1] = biomass * AT_OPTIMUM, most
            else:
                held = held_biomass_flux(reference.floor, kept)
                point[-1] = min(held.min(), most)
            if not (takes and reaches_floor(outcome.growth, reference.floor)):  # else it was the outcome's
                for program in programs.flux_lps:
                    program.maximise(point)
            counted = (self._foreign | takes) & reaches_floor(growth, reference.floor)
            capacity = self._capacity(point, steps, held) * counted
        estimates: FloatArray = evaluator.worth(reference, growth, capacity, protein)[0]
        return estimates - outcome.value

    def _capacity(self, point: FloatArray, steps: FloatArray, held: FloatArray) -> FloatArray:
        """What the reward counts of the capacity, at the biomass flux to be held: the lowest cuts from a point."""
        most = [self._optima(program, point, steps, held) for program in self._evaluator.programs.flux_lps]
        if self._evaluator.space.settings.reward == "guaranteed":
            return -reduce(np.maximum, most)
        return np.maximum(most[0], 0.0)

    def _optima(
        self, program: ParametricLP, point: FloatArray, steps: FloatArray, held: FloatArray | None = None
    ) -> FloatArray:
        """Estimated optima after each step from a point, of which `held` replaces the last coordinate."""
        cut = program.lowest_cut(point)
        optima: FloatArray = cut[:-1].dot(point) + cut[-1] + self._along(cut, steps)
        return optima if held is None else optima + cut[-2] * (held - point[-1])

    def _along(self, row: FloatArray, steps: FloatArray) -> FloatArray:
        """Change of a row over (u, 1) by steps of the upper and the lower bound of each placement, (2, P, L)."""
        upper, lower = row[self._ends] * self._move
        change: FloatArray = upper[:, None] * steps[0] + lower[:, None] * steps[1]
        return change
