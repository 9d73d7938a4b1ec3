"""Random and greedy search: what any method has to beat."""

from __future__ import annotations

import numpy as np

from redox_balancer.design.construct import Construct
from redox_balancer.search.problem import Problem, Search

DRAWS = 20
"""Tries to draw an extension before all are listed."""


def random_search(search: Search, generator: np.random.Generator) -> None:
    """Value random constructs of K placements until the search is spent."""
    while not search.spent():
        search.value(random_construct(search.problem, generator))


def random_construct(problem: Problem, generator: np.random.Generator) -> Construct:
    """K placements, each drawn uniformly from those that stay within the budget."""
    construct = problem.empty
    while len(construct) < problem.placements:
        extended = _drawn(problem, construct, generator)
        if extended is None:
            # Few extensions are left, or none: list them.
            extensions = problem.extensions(construct)
            if not extensions:
                break
            extended = extensions[int(generator.integers(len(extensions)))]
        construct = extended
    return construct


def _drawn(problem: Problem, construct: Construct, generator: np.random.Generator) -> Construct | None:
    """One extension, drawn by rejection, which is quicker than to list them all; None if none comes up."""
    space = problem.evaluator.space
    draws = generator.integers([len(space.placements), len(space.levels)], size=(DRAWS, 2)).tolist()
    for placement, level in draws:
        if not construct.levels[placement]:
            extended = construct.place(placement, level)
            if space.affordable(extended):
                return extended
    return None


def greedy(search: Search) -> None:
    """Add the placement that raises the value most, until none raises it."""
    construct, value = search.problem.empty, 0.0
    while extensions := search.problem.extensions(construct):
        best, best_value = construct, value
        for extended in extensions:
            if search.spent():
                return
            reached = search.value(extended)
            if reached > best_value:
                best, best_value = extended, reached
        if best is construct:
            return
        construct, value = best, best_value
