"""What placements would win together, by the estimates of `outlook` alone: a beam search without a solve.

The gain of a placement by itself misses those that are of use in pairs, such as an enzyme and the transport of what
it takes. The search extends the most promising constructs of each size, and what it finds counts for each of their
placements.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from redox_balancer.cell.network import FloatArray
from redox_balancer.design.outlook import Outlook, Prospect

BEAM = 4
"""Constructs of each size that are extended."""

Mask = NDArray[np.bool_]
Placed = tuple[tuple[int, int], ...]


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
