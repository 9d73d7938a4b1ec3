"""Pareto fronts against the definition, over every construct."""

import numpy as np
import pytest

from redox_balancer.cell.network import FloatArray
from redox_balancer.design.evaluator import Evaluator, Outcome
from redox_balancer.design.space import DesignSpace
from redox_balancer.errors import RedoxError
from redox_balancer.search.exhaustive import constructs
from redox_balancer.search.front import pareto_front

TOLERANCE = 1e-9


def numbers(found: list[tuple[float, Outcome]]) -> FloatArray:
    """Growth, capacity and what is left of the proteome: more of each is better."""
    return np.array([(outcome.growth, outcome.capacity, 1.0 - protein) for protein, outcome in found])


@pytest.mark.parametrize(
    ("condition", "placements"),
    [("healthy", 1), ("complex_i_closed", 1), ("complex_iii_closed", 2), ("gpd2_deficiency", 2)],
)
def test_a_complete_front_is_that_of_all_constructs(space: DesignSpace, condition: str, placements: int) -> None:
    (chosen,) = (each for each in space.conditions if each.id == condition)
    with Evaluator(space) as evaluator:
        front = pareto_front(evaluator, chosen, placements)
    with Evaluator(space, cache_entries=0) as evaluator:
        every = [(space.protein(each), evaluator.evaluate(each, chosen)) for each in constructs(space, placements)]
        reference = evaluator.reference(chosen)
    assert front.complete
    assert front.valued < len(every)
    points = numbers([(space.protein(point.construct), point.outcome) for point in front.points])
    others = np.vstack([numbers(every), (reference.growth, 0.0, 1.0)])
    # No construct is missing: each is matched by a point in all three numbers.
    assert (points[None] >= others[:, None] - 2 * TOLERANCE).all(axis=2).any(axis=1).all()
    # No point is dominated: nothing is as good in all three numbers and better in one.
    for point in points:
        as_good = (others >= point - TOLERANCE / 10).all(axis=1)
        assert not (others[as_good] > point + 2 * TOLERANCE).any()
    # None is there twice.
    apart = np.abs(points[:, None] - points[None]).max(axis=2) > TOLERANCE / 10
    assert apart.sum() == len(points) * (len(points) - 1)


def test_rows_are_the_library_s_numbers(space: DesignSpace) -> None:
    (chosen,) = (each for each in space.conditions if each.id == "complex_iii_closed")
    with Evaluator(space) as evaluator:
        front = pareto_front(evaluator, chosen, 1)
        reference = evaluator.reference(chosen)
        for point, row in zip(front.points, front.rows(), strict=True):
            outcome = evaluator.evaluate(point.construct, chosen)
            assert (row["growth"], row["capacity"]) == pytest.approx((outcome.growth, outcome.capacity), rel=1e-9)
            won = (outcome.growth - reference.growth) / reference.healthy_growth
            assert row["growth_won_back"] == pytest.approx(won, rel=1e-9)
            assert row["protein"] == space.protein(point.construct)
    assert front.rows()[0]["construct"] == "nothing"
    proteins = [row["protein"] for row in front.rows()]
    assert proteins == sorted(proteins)


def test_a_front_that_time_ends_is_not_complete(space: DesignSpace) -> None:
    with Evaluator(space) as evaluator:
        front = pareto_front(evaluator, space.conditions[0], 2, seconds=1e-9)
    assert not front.complete
    assert [len(point.construct) for point in front.points] == [0]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_limit_is_above_0(space: DesignSpace, seconds: float) -> None:
    with Evaluator(space) as evaluator, pytest.raises(RedoxError, match="not a number above 0"):
        pareto_front(evaluator, space.conditions[0], 1, seconds=seconds)
