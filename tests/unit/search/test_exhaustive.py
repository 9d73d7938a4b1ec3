import itertools

import pytest

from redox_balancer.design.enzymes import Role
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.task import Task
from redox_balancer.design.value import Evaluator
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import constructs, exhaustive


@pytest.fixture(scope="module")
def space() -> DesignSpace:
    return Task().space()


def test_every_affordable_construct_comes_once(space: DesignSpace) -> None:
    listed = list(constructs(space, 2))
    assert len(set(listed)) == len(listed)
    pairs = itertools.product(range(len(space.levels)), repeat=2)
    affordable_pairs = sum(space.levels[a] + space.levels[b] <= space.budget * (1 + 1e-9) for a, b in pairs)
    affordable_singles = sum(level <= space.budget for level in space.levels)
    count = len(space.placements)
    assert len(listed) == count * affordable_singles + count * (count - 1) // 2 * affordable_pairs


def test_the_best_constructs_use_no_producer_of_nadh(space: DesignSpace) -> None:
    found = exhaustive(space, 2, keep=10, processes=2)
    assert list(found) == [condition.id for condition in space.conditions]
    for yardstick in found.values():
        assert len(yardstick.best) == 10
        for ranked in yardstick.best:
            for placement, _ in ranked.construct:
                assert space.placements[placement].enzyme.role is not Role.PRODUCER
    with Evaluator(space) as evaluator:
        for condition in space.conditions:
            best = found[condition.id].best[0]
            again = evaluator.evaluate(best.construct, space.state(condition))
            assert again.value == pytest.approx(best.outcome.value, abs=1e-8)
            assert best.outcome.value > 2 * found[condition.id].mean


def test_a_search_that_would_take_hours_is_refused(space: DesignSpace) -> None:
    with pytest.raises(RedoxError, match="too many"):
        exhaustive(space, 4)
