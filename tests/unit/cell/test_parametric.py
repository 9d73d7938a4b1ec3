"""Lookups in critical regions agree with the plain linear program and respect their memory limit."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from generated_networks import with_values
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.parameters import Parameter
from redox_balancer.cell.parametric import ParametricLP
from redox_balancer.cell.regions import RegionCache
from redox_balancer.cell.solution import Solution, Status

# Uptakes, maintenance that can be too high (infeasible), a reversible reaction and a chain of respiration.
OXYGEN, MAINTENANCE, GLUCOSE, REVERSIBLE, RESPIRATION = "EX_o2_e", "DM_atp_c_", "EX_glc__D_e", "LDH_L", "CYOR_u10mi"
INSIDE = np.asarray([-1.0, -0.64, 1.0, 2.0, -2.0, 3.0])


def parameters_of(network: Network) -> list[Parameter]:
    return [
        Parameter(network.column(OXYGEN), upper=False, low=-1.0, high=0.0),
        Parameter(network.column(GLUCOSE), upper=False, low=-0.7, high=0.0),
        Parameter(network.column(MAINTENANCE), upper=False, low=0.0, high=6.0),
        Parameter(network.column(REVERSIBLE), upper=True, low=0.0, high=2.0),
        Parameter(network.column(REVERSIBLE), upper=False, low=-2.0, high=0.0),
        Parameter(network.column(RESPIRATION), upper=True, low=0.0, high=3.0),
    ]


def points(parameters: list[Parameter], count: int, seed: int = 0) -> Iterator[FloatArray]:
    """Random points with a quarter of the coordinates at an end of their range, as in real conditions."""
    rng = np.random.default_rng(seed)
    low = np.asarray([parameter.low for parameter in parameters])
    high = np.asarray([parameter.high for parameter in parameters])
    for _ in range(count):
        where = np.clip(rng.uniform(-0.15, 1.15, len(parameters)), 0.0, 1.0)
        yield low + where * (high - low)


def plain(network: Network, parameters: list[Parameter], u: FloatArray) -> Solution:
    """The same program, built from scratch with these bounds."""
    with FluxLP(with_values(network, parameters, u)) as lp:
        return lp.maximise()


@pytest.fixture
def program(core: Network) -> Iterator[Callable[..., ParametricLP]]:
    """Builds a program over all parameters, which is closed at the end."""
    with ExitStack() as stack:

        def build(**options: int) -> ParametricLP:
            built = ParametricLP(core, {core.column(core.objective): 1.0}, parameters_of(core), **options)
            stack.callback(built.close)
            return built

        yield build


@pytest.fixture
def lp(program: Callable[..., ParametricLP]) -> ParametricLP:
    return program()


def test_lookups_are_the_optima_of_the_plain_program(core: Network, lp: ParametricLP) -> None:
    parameters = parameters_of(core)
    ends: set[Status] = set()
    for u in points(parameters, 1_000):
        found, expected = lp.maximise(u), plain(core, parameters, u)
        ends.add(found.status)
        assert found.status is expected.status
        assert found.objective == pytest.approx(expected.objective, rel=1e-8, abs=1e-8, nan_ok=True)
    assert ends == {Status.OPTIMAL, Status.INFEASIBLE}
    assert lp.lookups == 1_000
    assert lp.hits > 600
    assert lp.solves < lp.lookups - lp.hits + 2


@pytest.mark.parametrize("options", [{}, {"check_every": 7}, {"region_bytes": 40_000}, {"region_bytes": 0}])
@pytest.mark.parametrize("together", [3, 16, 1_000])
def test_points_looked_up_together_have_the_optima_of_one_after_another_bit_for_bit(
    core: Network, program: Callable[..., ParametricLP], together: int, options: dict[str, int]
) -> None:
    single, many = program(**options), program(**options)
    every = np.array([*points(parameters_of(core), 1_000)])
    expected = [single.maximise(u).objective for u in every]

    found = np.concatenate(
        [
            many.maxima(every[start : start + together], range(together), lambda solution: solution.objective)
            for start in range(0, len(every), together)
        ]
    )

    np.testing.assert_array_equal(found, expected)
    counts = ("lookups", "hits", "solves", "disagreements")
    assert [getattr(many, name) for name in counts] == [getattr(single, name) for name in counts]


@pytest.mark.parametrize("value", [-1.001, float("nan")])
def test_one_point_of_many_outside_the_ranges_is_refused(lp: ParametricLP, value: float) -> None:
    u = INSIDE.copy()
    u[0] = value
    with pytest.raises(ValueError, match="parameter 0 is"):
        lp.maxima(np.array([INSIDE, u]), range(2), lambda solution: solution.objective)


def test_every_lookup_can_be_verified_and_none_is_contradicted(
    core: Network, program: Callable[..., ParametricLP]
) -> None:
    checked = program(check_every=1)
    for u in points(parameters_of(core), 3_000, seed=1):
        checked.maximise(u)
    assert checked.hits > 2_000
    assert (checked.solves, checked.disagreements) == (3_000, 0)


def test_regions_respect_their_memory_limit_and_are_right_after_some_were_dropped(
    core: Network, program: Callable[..., ParametricLP]
) -> None:
    parameters, small, seen = parameters_of(core), program(region_bytes=6_000), 0
    for number, u in enumerate(points(parameters, 1_500, seed=2)):
        found = small.maximise(u)
        cuts = small._cache._cuts
        assert all(cut.regions for cut in cuts)
        assert small._cache.nbytes == sum(r.nbytes for cut in cuts for r in cut.regions) <= 6_000
        seen = max(seen, sum(len(cut.regions) for cut in cuts))
        if number % 10 == 0:
            expected = plain(core, parameters, u)
            assert found.objective == pytest.approx(expected.objective, rel=1e-8, abs=1e-8, nan_ok=True)
    assert small.solves > seen  # more bases than fit


def test_without_memory_every_point_is_solved(core: Network, program: Callable[..., ParametricLP]) -> None:
    plain = program(region_bytes=0)
    for u in points(parameters_of(core), 50):
        plain.maximise(u)
    assert (plain.lookups, plain.hits, plain.solves, plain._cache.nbytes) == (50, 0, 50, 0)


def test_without_memory_the_lowest_cut_is_the_gradient_at_a_point_and_a_bound_elsewhere(
    core: Network, lp: ParametricLP, program: Callable[..., ParametricLP]
) -> None:
    plain, asked = program(region_bytes=0), list(points(parameters_of(core), 60))
    optima = np.array([lp.maximise(u).objective for u in asked])
    found = 0
    for u, optimum in zip(asked, optima, strict=True):
        cut = plain.lowest_cut(u)
        if np.isnan(optimum):
            assert not cut.any()
            continue
        found += 1
        assert cut[:-1] @ u + cut[-1] == pytest.approx(optimum, rel=1e-8, abs=1e-8)
        assert (np.array(asked) @ cut[:-1] + cut[-1] >= np.where(np.isnan(optima), -np.inf, optima - 1e-7)).all()
    assert 10 < found < 60


def test_a_wrong_region_is_found_by_the_sample_reported_and_dropped(
    program: Callable[..., ParametricLP], caplog: pytest.LogCaptureFixture
) -> None:
    checked = program(check_every=5)
    right = checked.maximise(INSIDE).objective
    checked._cache._cut_rows[:, -1] += 1e-3
    answers = [checked.maximise(INSIDE).objective for _ in range(6)]
    assert answers[:4] == pytest.approx([right + 1e-3] * 4)
    assert answers[4:] == pytest.approx([right] * 2, abs=1e-9)
    assert checked.disagreements == 1
    assert "GLPK finds optimal" in caplog.text


def test_a_reset_program_answers_as_a_new_one_bit_for_bit(
    core: Network, lp: ParametricLP, program: Callable[..., ParametricLP]
) -> None:
    asked = list(points(parameters_of(core), 200, seed=3))
    for u in points(parameters_of(core), 100, seed=4):
        lp.maximise(u)
    lp.reset()
    assert (lp._cache._cuts, lp._cache.nbytes) == ([], 0)
    again = [lp.maximise(u).objective for u in asked]
    fresh = program()
    assert np.array_equal(again, [fresh.maximise(u).objective for u in asked], equal_nan=True)


@pytest.mark.parametrize("value", [-1.001, 0.001, float("nan")])
def test_a_point_outside_the_ranges_is_refused_even_where_a_region_would_contain_it(
    core: Network, lp: ParametricLP, value: float
) -> None:
    lp.maximise(INSIDE)
    assert parameters_of(core)[0] == (core.column(OXYGEN), False, -1.0, 0.0)
    with pytest.raises(ValueError, match="outside the range"):
        lp.maximise(np.append(value, INSIDE[1:]))
    assert lp.maximise(INSIDE).optimal
    assert lp.hits == 1


def test_an_optimum_of_zero_is_known_although_another_cut_is_lower_by_round_off() -> None:
    cache, point = RegionCache(2, 10_000, noise=0.0, gap=1e-13), np.array([1.0, 1.0])
    cache.add(np.array([0.0, 0.0]), np.array([[1.0, -2.0]]), 0)
    cache.add(np.array([0.0, -1e-28]), np.array([[-1.0, 3.0]]), 0)
    for other, known in ((-1e-28, True), (-1e-12, False)):
        cache.cuts[1, 1] = other
        found = cache.find(point, 1)
        assert (found is not None, cache.find_all(point[None], 1, [0])) == (known, [0.0 if known else None])
        assert found is None or found.value == 0.0
