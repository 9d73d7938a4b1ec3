"""Random and greedy search: the baselines that every method has to beat."""

import numpy as np

from redox_balancer.design.construct import Construct
from redox_balancer.design.space import DesignSpace
from redox_balancer.search.problem import Problem, Search

ATTEMPTS = 20  # attempts to draw an extension at random before all are enumerated
POPULATION = 40
"""Candidates per generation. With 2,000 evaluations at K = 3 it reached 99 % of the optimum, and the default of the
library, about 10, reached 98 %."""


def random_search(search: Search, generator: np.random.Generator) -> None:
    """Value random constructs of K placements until a limit is reached."""
    while not search.spent():
        search.value(random_construct(search.problem, generator))


def random_construct(problem: Problem, generator: np.random.Generator) -> Construct:
    """K placements, each drawn uniformly from the affordable ones."""
    construct = problem.empty
    while len(construct) < problem.placements:
        extended = _drawn(problem, construct, generator)
        if extended is None:
            # Few extensions are left, or none: enumerate them.
            extensions = problem.extensions(construct)
            if not extensions:
                break
            extended = extensions[int(generator.integers(len(extensions)))]
        construct = extended
    return construct


def _drawn(problem: Problem, construct: Construct, generator: np.random.Generator) -> Construct | None:
    """One extension by rejection sampling, which is faster than to enumerate all; None if all attempts fail."""
    space = problem.evaluator.space
    draws = generator.integers([len(space.placements), len(space.levels)], size=(ATTEMPTS, 2)).tolist()
    for placement, level in draws:
        if not construct.levels[placement]:
            extended = construct.place(placement, level)
            if space.affordable(extended):
                return extended
    return None


def greedy(search: Search) -> None:
    """Add the placement that raises the value most, until none does."""
    construct = None
    while construct != search.best:
        construct = search.best
        for extended in search.problem.extensions(construct):
            if search.spent():
                return
            search.value(extended)


def evolutionary(search: Search, generator: np.random.Generator) -> None:
    """Evolve constructs until a limit is reached; a population that has converged is replaced by a new one."""
    from cmaes import CatCMAwM  # noqa: PLC0415 - loads scipy.stats, which takes longer than a search

    space, slots = search.problem.evaluator.space, search.problem.placements
    while not search.spent():
        optimizer = CatCMAwM(
            z_space=[list(range(len(space.levels)))] * slots,
            c_space=[len(space.placements) + 1] * slots,
            population_size=POPULATION,
            seed=int(generator.integers(2**31)),
        )
        while not search.spent() and not optimizer.should_stop():
            generation = []
            for _ in range(POPULATION):
                if search.spent():
                    return
                candidate = optimizer.ask()
                construct = decode(space, np.argmax(candidate.c, axis=1), candidate.z)
                generation.append((candidate, -search.value(construct)))
            optimizer.tell(generation)


def decode(space: DesignSpace, chosen: np.ndarray, levels: np.ndarray) -> Construct:
    """Construct of a candidate's genes, slot by slot; placements beyond the budgets are omitted.

    `chosen` is the placement of each slot, shape (K,), where the number of placements stands for none, and `levels`
    the index of its level.
    """
    construct = Construct.empty(len(space.placements))
    for placement, level in zip(chosen.tolist(), levels.tolist(), strict=True):
        if placement < len(space.placements):
            extended = construct.place(placement, int(level))
            if space.affordable(extended):
                construct = extended
    return construct
