"""Bounds of all optima, from solves at random constructs in random states: the same however often an agent asks.

The gradient of an optimum by its bounds, a *cut*, bounds it everywhere (`cell/regions.py`), and the lowest of many
comes close to an optimum that was never solved. Those that a process happened to find before would make its
estimates differ from those of another.
"""

from weakref import WeakKeyDictionary

import numpy as np

from redox_balancer.cell.network import FloatArray
from redox_balancer.cell.parametric import LARGE
from redox_balancer.design.construct import Construct
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.states import held_out_states

SAMPLES, SAMPLES_OF_LARGE = 256, 64
"""Constructs valued, in a state each: fewer in a network of at least `LARGE` reactions, where solves take longer."""
MOST_PLACED = 3
SEED = 1

Cuts = tuple[FloatArray, ...]

_known: WeakKeyDictionary[Evaluator, Cuts] = WeakKeyDictionary()


def sampled_cuts(evaluator: Evaluator) -> Cuts:
    """Cuts of each program of an evaluator, rows over (u, 1), computed once: with its first linear programs alone."""
    if evaluator not in _known:
        space = evaluator.space
        number = SAMPLES_OF_LARGE if len(space.network.reactions) >= LARGE else SAMPLES
        generator = np.random.default_rng(SEED)
        with Evaluator(space, cache_entries=0) as fresh:
            for condition in held_out_states(space, number, SEED):
                construct = Construct.empty(len(space.placements))
                count = min(int(generator.integers(MOST_PLACED + 1)), len(space.placements))
                placed = generator.choice(len(space.placements), count, replace=False)
                for placement in placed.tolist():
                    construct = construct.place(placement, int(generator.integers(len(space.levels))))
                fresh.outcome(construct, condition)
            _known[evaluator] = tuple(program.cuts for program in fresh.programs.lps)
    return _known[evaluator]
