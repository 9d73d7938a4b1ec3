"""Bounds of all optima, from solves in random states of the cell: the same however often an agent asks.

The gradient of an optimum by its bounds, a *cut*, bounds it everywhere (`cell/regions.py`), and the lowest of many
comes close to an optimum that was never solved. Those that a process happened to find before would make its
estimates differ from those of another.

They are sampled where they are needed, as in a cutting-plane method (Kelley 1960, J. SIAM 8:703): constructs grow by
the placements that are worth most by the cuts so far, or by random ones, and are solved for.
"""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from redox_balancer.cell.conditions import Condition
from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.parametric import LARGE
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.outlook import Outlook, Prospect
from redox_balancer.design.states import held_out_states

ROUNDS, ROUNDS_OF_LARGE = 8, 4
"""How often estimates take in what was solved: fewer in a network of at least `LARGE` reactions, with long solves."""
STATES, STATES_OF_LARGE = 32, 8  # states of a round, with a construct in each
MOST_PLACED = 3
EXPLORED = 0.3  # share of placements that are random
SEED = 1
DIGITS = 9  # decimals in which cuts differ

Cuts = tuple[FloatArray, ...]

_known: WeakKeyDictionary[Evaluator, Cuts] = WeakKeyDictionary()


class _Grown(NamedTuple):
    construct: Construct
    condition: Condition
    sample: int | None  # of the uncertain parameters


def sampled_cuts(evaluator: Evaluator) -> Cuts:
    """Cuts of each program of an evaluator, computed once: rows over (u, 1), shape (C, P + 1), mmol/gDW/h."""
    if evaluator not in _known:
        with Evaluator(evaluator.space, cache_entries=0, region_bytes=0) as fresh:
            _known[evaluator] = _sampled(fresh)
    return _known[evaluator]


def _sampled(evaluator: Evaluator) -> Cuts:
    space, width = evaluator.space, len(evaluator.formulation.parameters) + 1
    large = len(space.network.reactions) >= LARGE
    rounds, number = (ROUNDS_OF_LARGE, STATES_OF_LARGE) if large else (ROUNDS, STATES)
    generator, states = np.random.default_rng(SEED), held_out_states(space, rounds * number, SEED)
    cuts: Cuts = (np.empty((0, width)), *(np.empty((0, width + 1)) for _ in evaluator.programs.flux_lps))
    for start in range(0, len(states), number):
        outlook, rows = Outlook(evaluator, cuts), [list(known) for known in cuts]
        empty, samples = Construct.empty(len(space.placements)), len(space.parameter_samples)
        growing = [
            _Grown(empty, condition, int(generator.integers(samples)) if samples else None)
            for condition in states[start : start + number]
        ]
        for to_be_placed in reversed(range(min(MOST_PLACED, len(space.placements)) + 1)):
            outcomes = [evaluator.outcome(*each) for each in growing]
            alive = [
                (each, outlook.prospect(each.construct, each.condition, outcome, each.sample))
                for each, outcome in zip(growing, outcomes, strict=True)
                if outcome.growth > 0.0
            ]
            for found, cut in ((found, cut) for _, of in alive for found, cut in zip(rows, of.rows, strict=True)):
                found.append(cut)
            growing = _grown(outlook, alive, generator) if alive and to_be_placed else []
        cuts = tuple(_distinct(np.array(found)) for found in rows)
    return cuts


def _grown(outlook: Outlook, alive: list[tuple[_Grown, Prospect]], generator: np.random.Generator) -> list[_Grown]:
    """Each with one more placement."""
    prospects = [prospect for _, prospect in alive]
    free = np.ones((len(alive), *prospects[0].bounds.shape[2:]), dtype=np.bool_)
    for each, (grown, _) in zip(free, alive, strict=True):
        each[[placement for placement, _ in grown.construct]] = False
    gains = outlook.gains(prospects, free)
    random = generator.random(len(alive)) < EXPLORED
    gains[random] = generator.random(gains[random].shape)
    chosen = np.where(free, gains, -np.inf).reshape(len(alive), -1).argmax(axis=1).tolist()
    return [
        each._replace(construct=each.construct.place(*divmod(index, free.shape[2])))
        for (each, _), index in zip(alive, chosen, strict=True)
    ]


def _distinct(rows: FloatArray) -> FloatArray:
    """Rows that say something and differ, in the order in which they were found."""
    rows = rows[rows.any(axis=1)]
    first = np.unique(rows.round(DIGITS), axis=0, return_index=True)[1]
    return rows[np.sort(first)]


def known_cuts(evaluator: Evaluator) -> Cuts:
    """The sampled cuts if an environment has had them sampled, which takes longer than an answer; else nothing."""
    return _known.get(evaluator, ())
