"""What a policy sees of each placement that it may choose: its enzyme, its level, and what it would be worth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import Role
from redox_balancer.design.evaluator import Evaluator, Outcome
from redox_balancer.design.look_ahead import promises
from redox_balancer.design.outlook import ESTIMATED, Outlook, Prospect
from redox_balancer.design.sampled_cuts import sampled_cuts
from redox_balancer.design.space import DesignSpace

SPECIES = ("nadh", "nadph", "q10h2", "q10", "o2", "h2o2")
"""Metabolites, by BiGG name, whose consumption per flux describes a placement; of the last four the cell may lack."""
COMPARTMENTS = ("c", "m")
SMALL = 0.02
"""Gain up to which its feature is linear in it, in the unit of the value; above it grows with the logarithm."""
LEAST = 1e-6
"""Gain that counts as the largest where none is larger."""

Features = NDArray[np.float32]


def feature_names(space: DesignSpace) -> tuple[str, ...]:
    """Names of the features of a placement: they are the same for every library, model and set of conditions."""
    return (
        *(f"gain at {level:g}, of the largest" for level in space.levels),
        *("level", "foreign", "membrane"),
        *(f"in {compartment}" for compartment in COMPARTMENTS),
        *(role.value for role in Role),
        *(f"{name} taken" for name in SPECIES),
        "capacity",
        "largest gain",
    )


class CandidateFeatures:
    """Features of P placements, shape (P, F), brought up to date in place, but for their gains, see `show_gains`.

    Gains are shown where the condition is, and where the reward follows from optima alone (`ESTIMATED`). `ahead` is
    what they are estimated from and the mask of legal actions, shape (P L,); None where no gains are shown.
    """

    def __init__(self, evaluator: Evaluator, *, hidden_condition: bool) -> None:
        space = evaluator.space
        self._levels = len(space.levels)
        self.values: Features = np.zeros((len(space.placements), len(feature_names(space))), dtype=np.float32)
        self._placed = self.values[:, self._levels]
        self.ahead: tuple[Prospect, NDArray[np.bool_], int] | None = None
        for row, placement in zip(self.values, space.placements, strict=True):
            enzyme, network = placement.enzyme, space.network
            taken = [
                -sum(amount for name, amount in placement.stoichiometry.items() if network.is_species(name, species))
                for species in SPECIES
            ]
            row[self._levels + 1 :] = (
                *(placement.foreign, enzyme.membrane),
                *(placement.site.compartment == compartment for compartment in COMPARTMENTS),
                *(enzyme.role is role for role in Role),
                *taken,
                np.log10(placement.caps[-1]) / 3.0,  # from 1 pmol to 1 mol: within -4 and 1
                0.0,
            )
        shown = not hidden_condition and space.settings.reward in ESTIMATED
        self.outlook = Outlook(evaluator, sampled_cuts(evaluator)) if shown else None

    def enter(self, condition: Condition) -> None:
        """Start an episode under a condition."""
        self._placed[:] = 0.0
        self._condition = condition

    def placed(self, placement: int, level: int) -> None:
        """Show a placement at a level, given by their indices."""
        self._placed[placement] = (level + 1) / self._levels

    def look_ahead(self, construct: Construct, outcome: Outcome, legal: NDArray[np.bool_] | None, left: int) -> None:
        """Look at what may be placed, by the mask of legal actions, shape (P L,); at nothing where it is None."""
        self.ahead = None
        if self.outlook is not None and legal is not None:
            self.ahead = self.outlook.prospect(construct, self._condition, outcome), legal, left


def show_gains(features: Sequence[CandidateFeatures], observations: Features) -> None:
    """Write the gains of what N environments may place into their observations, shape (N, D), which end with them."""
    looking = [(row, *each.ahead) for row, each in enumerate(features) if each.ahead]
    outlook = features[0].outlook if looking else None
    if outlook is None:
        return
    rows, prospects, legal, left = map(list, zip(*looking, strict=True))
    shape = features[0].values.shape
    shown = observations[:, -features[0].values.size :].reshape(len(features), *shape)  # a view
    new = np.array(legal).reshape(-1, *prospects[0].bounds.shape[2:])
    levels = new.shape[-1]
    new &= shown[rows, :, levels, None] == 0.0
    found = np.where(new, promises(outlook, prospects, new, left), 0.0)
    largest = np.maximum(found.max(axis=(1, 2), keepdims=True), LEAST)
    shown[rows, :, :levels] = np.clip(found / largest, -1.0, 1.0)
    shown[rows, :, -1] = np.arcsinh(largest[:, :, 0] / SMALL) / np.arcsinh(1.0 / SMALL)
