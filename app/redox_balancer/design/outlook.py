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
from redox_balancer.design.evaluator import GAINS, Evaluator, Outcome, remember
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
        evaluator = self._evaluator
        point = evaluator.formulation.with_placed(evaluator.cell(condition)[1], construct)
        proof = evaluator.programs.growth_lp.certificate(point[:-1]) if outcome.growth == 0.0 else None
        if proof is None and evaluator.space.settings.reward != "rescue":
            self._look_up(point, construct, condition, outcome)
        key, version = (construct.levels, condition), evaluator.programs.version
        if (known := evaluator.gains.get(key)) and known[0] == version and known[1] is outcome:
            return known[2]
        if condition is not self._condition:  # the same in all of an episode
            bounds = evaluator.formulation.placed_bounds(evaluator.cell(condition)[1])
            self._condition, self._bounds = condition, bounds
        steps = self._bounds - point[self._ends][:, :, None]
        if proof is None:
            gains = self._values(point, steps, construct, condition) - outcome.value
        else:
            lacking = float(proof[:-1].dot(point[:-1]) + proof[-1])
            gains = np.clip(self._along(proof, steps) / -lacking, 0.0, 1.0)
        remember(evaluator.gains, key, (version, outcome, gains), GAINS)
        return gains

    def _look_up(self, point: FloatArray, construct: Construct, condition: Condition, outcome: Outcome) -> None:
        """Set the biomass flux that a point holds, and look up the optima there that the outcome did not need."""
        evaluator, space = self._evaluator, self._evaluator.space
        floor, protein = evaluator.reference(condition).floor, space.protein(construct)
        point[-1] = outcome.growth / growth_kept(space.settings, protein) * AT_OPTIMUM
        if space.settings.reward == "capacity":
            held: Any = held_biomass_flux(floor, self._kept(protein))
            point[-1] = min(held.min(), point[-1])
        if not (self._takes(construct) and reaches_floor(outcome.growth, floor)):
            for program in evaluator.programs.flux_lps:
                program.maximise(point)

    def _values(self, point: FloatArray, steps: FloatArray, construct: Construct, condition: Condition) -> FloatArray:
        """Estimated values after each step from the point of a construct."""
        evaluator, space = self._evaluator, self._evaluator.space
        reference, protein = evaluator.reference(condition), space.protein(construct)
        kept = self._kept(protein)
        biomass = np.maximum(self._optima(evaluator.programs.growth_lp, point[:-1], steps), 0.0)
        growth, capacity = kept * biomass, np.zeros(())
        if space.settings.reward != "rescue":
            guaranteed = space.settings.reward == "guaranteed"
            held: Any = biomass * AT_OPTIMUM if guaranteed else held_biomass_flux(reference.floor, kept)
            counted = (self._foreign | self._takes(construct)) & reaches_floor(growth, reference.floor)
            capacity = self._capacity(point, steps, held) * counted
        values: FloatArray = evaluator.worth(reference, growth, capacity, protein + self._levels)[0]
        return values

    def _kept(self, protein: float) -> Any:
        """Share of growth that is left with one more placement at each level, shape (L,)."""
        after: Any = protein + self._levels
        return np.maximum(growth_kept(self._evaluator.space.settings, after), 1e-9)

    def _takes(self, construct: Construct) -> bool:
        return any(self._foreign[place] for place, _ in construct)

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
