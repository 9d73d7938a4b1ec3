"""Samples of the uncertain enzyme parameters, and values that are means over them."""

from dataclasses import replace

import numpy as np
import pytest

from redox_balancer.design.construct import Construct
from redox_balancer.design.enzymes import Confidence
from redox_balancer.design.evaluator import Evaluator
from redox_balancer.design.fingerprint import space_fingerprint
from redox_balancer.design.space import SPREADS, DesignSpace, parameter_samples
from redox_balancer.design.task import Task
from redox_balancer.search.heuristics import random_construct
from redox_balancer.search.problem import Problem

SATURATION = 0.05


@pytest.fixture(scope="module")
def uncertain() -> DesignSpace:
    return Task(parameter_samples=8).space()


def test_the_spread_follows_from_the_confidence(space: DesignSpace) -> None:
    """Where the saturation is far from 1, KM and saturation are factors like the kcat."""
    spreads = np.std(np.log(parameter_samples(space.placements, 1000, SATURATION)), axis=0)
    checked = 0
    for placement, spread in zip(space.placements, spreads, strict=True):
        enzyme = placement.enzyme
        known = enzyme.km_mm is not None and placement.cofactor_mm is not None
        if known and enzyme.saturation(placement.cofactor_mm, SATURATION) > 0.2:
            continue
        km = enzyme.km_mm.confidence if known and enzyme.km_mm is not None else Confidence.ASSUMED
        expected = np.hypot(np.log(SPREADS[enzyme.kcat_per_s.confidence]), np.log(SPREADS[km]))
        assert spread == pytest.approx(expected, rel=0.12), placement.id
        checked += 1
    assert checked > 10


def test_an_enzyme_has_the_same_parameters_everywhere_and_more_samples_start_with_the_same(
    space: DesignSpace,
) -> None:
    few, more = (parameter_samples(space.placements, samples, SATURATION) for samples in (3, 5))
    assert (few == more[:3]).all()
    assert len(np.unique(more[:, 0])) == 5
    assert (parameter_samples(space.placements[3:], 3, SATURATION) == few[:, 3:]).all()
    places: dict[str, list[int]] = {}
    for position, placement in enumerate(space.placements):
        if placement.enzyme.km_mm is None:
            places.setdefault(placement.enzyme.id, []).append(position)
    twice = [positions for positions in places.values() if len(positions) > 1]
    assert twice
    for first, second in twice:
        assert few[:, first] == pytest.approx(few[:, second])


def test_a_value_is_the_mean_over_spaces_with_these_parameters(uncertain: DesignSpace) -> None:
    """Each sample is also built as a design space of its own, whose capacities are multiplied beforehand."""
    generator = np.random.default_rng(5)
    with Evaluator(uncertain, exact_check=True) as evaluator:
        problem = Problem.under(evaluator, uncertain.conditions[3], 3)
        condition = uncertain.conditions[3]
        asked = [random_construct(problem, generator) for _ in range(15)]
        found = [evaluator.evaluate(construct, condition) for construct in asked]
    each = []
    for factors in uncertain.parameter_samples:
        with Evaluator(_with_caps(uncertain.plain, factors)) as other:
            each.append([other.evaluate(construct, condition) for construct in asked])
    for name in ("value", "growth", "capacity", "rescue"):
        means = np.mean([[getattr(outcome, name) for outcome in row] for row in each], axis=0)
        assert [getattr(outcome, name) for outcome in found] == pytest.approx(means.tolist(), abs=1e-8)
    assert np.std([[outcome.value for outcome in row] for row in each], axis=0).max() > 0.01


def test_the_library_itself_is_the_plain_task(uncertain: DesignSpace, space: DesignSpace) -> None:
    assert len(uncertain.plain.parameter_samples) == 0
    assert space_fingerprint(uncertain.plain) == space_fingerprint(space)
    assert space_fingerprint(uncertain) != space_fingerprint(space)
    with Evaluator(uncertain) as evaluator:
        nothing = evaluator.evaluate(Construct.empty(len(uncertain.placements)), uncertain.healthy)
    assert nothing.value == 0.0


def _with_caps(space: DesignSpace, factors: np.ndarray) -> DesignSpace:
    placements = tuple(
        replace(placement, caps=tuple(cap * factor for cap in placement.caps))
        for placement, factor in zip(space.placements, factors.tolist(), strict=True)
    )
    return replace(space, placements=placements)
