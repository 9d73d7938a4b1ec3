"""What a policy sees of each placement that it may choose: its enzyme, its level, and what it would be worth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import Role
from redox_balancer.design.evaluator import Evaluator, Outcome
from redox_balancer.design.outlook import ESTIMATED, Outlook, Prospect
from redox_balancer.design.sampled_cuts import sampled_cuts
from redox_balancer.design.space import DesignSpace

BEAM = 4  # constructs of each size that are extended

Mask = NDArray[np.bool_]
Placed = tuple[tuple[int, int], ...]
SPECIES = ("nadh", "nadph", "q10h2", "q10", "o2", "h2o2")
"""Metabolites, by BiGG name, whose consumption per flux describes a placement; of the last four the cell may lack."""
COMPARTMENTS = ("c", "m")
SMALL = 0.02
"""Gain up to which its feature is linear in it, in the unit of the value; above it grows with the logarithm."""
LEAST = 1e-6  # gain that counts as the largest where none is larger


class _Extended(NamedTuple):
    """A construct of the search: of which of the N it is an extension, and by which placements."""

    row: int
    prospect: Prospect
    free: Mask  # which placements may follow, (P, L)
    gains: FloatArray  # of these in addition to what is gained, else -inf
    gained: float = 0.0
    placed: Placed = ()


def promises(outlook: Outlook, prospects: Sequence[Prospect], free: Mask, left: Sequence[int]) -> FloatArray:
    """Estimated change of the value of N constructs by each placement with the best further ones; shape (N, P, L).

    `left` is how many placements each may get, `free` which, (N, P, L); the others have -inf. Where nothing more is
    won together, and in a cell that cannot live, these are the gains. Where parameters are uncertain it is the mean
    over what is found in each of their strata.
    """
    strata, _, *each = prospects[0].bounds.shape
    if strata > 1:
        apart = [of._replace(bounds=bounds[None]) for of in prospects for bounds in of.bounds]
        found = promises(outlook, apart, free.repeat(strata, axis=0), np.repeat(left, strata).tolist())
        means: FloatArray = found.reshape(-1, strata, *each).mean(axis=1)
        return means
    gains = np.where(free, outlook.gains(prospects, free), -np.inf)
    promised = gains.copy()
    beams = [
        [] if prospect.dead else [_Extended(row, prospect, free[row], gains[row])]
        for row, prospect in enumerate(prospects)
    ]
    for size in range(1, max(left)):
        beams = [_extended(outlook, beam) for beam in beams if beam and left[beam[0].row] > size]
        together = [one for beam in beams for one in beam]
        if not together:
            break
        allowed = np.array([one.free for one in together])
        gains = np.where(allowed, outlook.gains([one.prospect for one in together], allowed), -np.inf)
        followed = iter(gains)
        beams = [[one._replace(gains=next(followed)) for one in beam] for beam in beams]
        for one in (one for beam in beams for one in beam):
            totals, most = one.gained + one.gains, promised[one.row]
            np.maximum(most, totals, out=most)
            for placed in one.placed:
                most[placed] = max(most[placed], totals.max())
    return promised


def _extended(outlook: Outlook, beam: Sequence[_Extended]) -> list[_Extended]:
    """The best constructs with one placement more; each may be found in several orders."""
    totals = np.array([one.gained + one.gains for one in beam])
    flat, most = totals.ravel(), min(4 * BEAM, totals.size)
    best = np.argpartition(-flat, most - 1)[:most]
    found: dict[frozenset[tuple[int, int]], _Extended] = {}
    for index in best[np.argsort(-flat[best], kind="stable")].tolist():
        if len(found) == BEAM or flat[index] == -np.inf:
            break
        at, placement, level = map(int, np.unravel_index(index, totals.shape))
        one, gained = beam[at], float(flat[index])
        placed = (*one.placed, (placement, level))
        if (key := frozenset(placed)) not in found:
            prospect = outlook.placed(one.prospect, placement, level, gained - one.gained)
            free = one.free & outlook.affordable(prospect)
            free[placement] = False
            found[key] = _Extended(one.row, prospect, free, one.gains, gained, placed)
    return list(found.values())


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
