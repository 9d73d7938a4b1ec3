"""Random and greedy search: the baselines that every method has to beat."""

import numpy as np

from redox_balancer.design.construct import Construct
from redox_balancer.search.problem import Problem, Search

ATTEMPTS = 20
"""Attempts to draw an extension at random before all are enumerated."""


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
