import itertools

import pytest

from redox_balancer.design.enzymes import Role
from redox_balancer.design.space import DesignSpace
from redox_balancer.design.value import Evaluator
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import Yardstick, constructs, exhaustive


def test_every_affordable_construct_comes_once(space: DesignSpace) -> None:
    listed = list(constructs(space, 2))
    assert len(set(listed)) == len(listed)
    pairs = itertools.product(range(len(space.levels)), repeat=2)
    affordable_pairs = sum(space.levels[a] + space.levels[b] <= space.budget * (1 + 1e-9) for a, b in pairs)
    affordable_singles = sum(level <= space.budget for level in space.levels)
    count = len(space.placements)
    assert len(listed) == count * affordable_singles + count * (count - 1) // 2 * affordable_pairs


def test_the_best_constructs_use_no_producer_of_nadh(space: DesignSpace, yardsticks: dict[str, Yardstick]) -> None:
    assert list(yardsticks) == [condition.id for condition in space.conditions]
    for yardstick in yardsticks.values():
        assert len(yardstick.best) == 10
        for ranked in yardstick.best:
            for placement, _ in ranked.construct:
                assert space.placements[placement].enzyme.role is not Role.PRODUCER
    with Evaluator(space) as evaluator:
        for condition in space.conditions:
            best = yardsticks[condition.id].best[0]
            again = evaluator.evaluate(best.construct, space.state(condition))
            assert again.value == pytest.approx(best.outcome.value, abs=1e-8)
            assert best.outcome.value > 2 * yardsticks[condition.id].mean


def test_a_search_that_would_take_hours_is_refused(space: DesignSpace) -> None:
    with pytest.raises(RedoxError, match="too many"):
        exhaustive(space, 4)
