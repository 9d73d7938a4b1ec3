import itertools

import pytest

from redox_balancer.design.enzymes import Role
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import ExhaustiveReference, constructs, exhaustive


def test_every_affordable_construct_comes_once(space: DesignSpace) -> None:
    listed = list(constructs(space, 2))
    assert len(set(listed)) == len(listed)
    singles = list(constructs(space, 1))
    pairs = [
        a.place(*position_and_level)
        for a, b in itertools.combinations(singles, 2)
        for position_and_level in b
        if [position for position, _ in a] != [position for position, _ in b]
    ]
    affordable = {pair for pair in pairs if space.affordable(pair)}
    assert set(listed) == affordable | set(singles)
    # Membrane proteins have their own budget: the largest soluble level goes with any of theirs.
    names = [placement.id for placement in space.placements]
    both = {(names[p], space.levels[level]) for pair in affordable for p, level in pair if len(pair) == 2}
    assert ("LBNOX_c", 1e-3) in both
    assert max(level for name, level in both if name == "NDI1_m") == 3e-4


def test_the_best_constructs_use_no_foreign_producer(
    space: DesignSpace, references: dict[str, ExhaustiveReference]
) -> None:
    assert list(references) == [condition.id for condition in space.conditions]
    for reference in references.values():
        assert len(reference.best) == 10
        for ranked in reference.best:
            for placement, _ in ranked.construct:
                placed = space.placements[placement]
                assert placed.enzyme.role is not Role.PRODUCER or not placed.foreign
    with Evaluator(space) as evaluator:
        for condition in space.conditions:
            best = references[condition.id].best[0]
            again = evaluator.evaluate(best.construct, condition)
            assert again.value == pytest.approx(best.outcome.value, abs=1e-8)
            assert best.outcome.value > 2 * references[condition.id].mean


def test_a_search_that_would_take_hours_is_refused(space: DesignSpace) -> None:
    with pytest.raises(RedoxError, match="too many"):
        exhaustive(space, 4)
