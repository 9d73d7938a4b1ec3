"""Fluxes of earlier optima prove others, and only where they are right."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from generated_networks import with_values
from redox_balancer.cell import stored_fluxes
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.parameters import Parameter
from redox_balancer.cell.parametric import ParametricLP
from redox_balancer.cell.presolve import presolve
from redox_balancer.cell.stored_fluxes import StoredFluxes
from small_networks import network_of

# Four enzymes are put in or out; what leaves is limited, so that two of them suffice. `link` and `twin` are what
# presolve removes, and `vitamin` makes the proofs necessary without which it removes nothing.
ENZYMES = {
    "in": ("--> a", 0.0, 3.0),
    "one": ("a --> b", 0.0, 1.0),
    "two": ("a --> b", 0.0, 1.5),
    "three": ("a --> c", 0.0, 1.0),
    "four": ("a --> 0.5 b + 0.5 c", 0.0, 2.0),
    "link": "c --> e",
    "twin": "e --> b",
    "need": ("b -->", 0.0, 2.0),
    "vitamin": ("--> v", 0.0, 1e-6),
    "store": ("v + 1e-7 b -->", 0.0, 3000.0),
}
CHANGED = ("in", "one", "two", "three", "four")


@pytest.fixture(scope="module")
def network() -> Network:
    return network_of(ENZYMES, "need")


@pytest.fixture(scope="module")
def parameters(network: Network) -> list[Parameter]:
    columns = [network.column(name) for name in CHANGED]
    return [Parameter(column, upper=True, low=0.0, high=float(network.upper[column])) for column in columns]


@pytest.fixture
def lp(network: Network, parameters: list[Parameter]) -> Iterator[ParametricLP]:
    made = program(network, parameters)
    yield made
    made.close()


def program(network: Network, parameters: list[Parameter], **options: int) -> ParametricLP:
    presolved = presolve(network, [*CHANGED, "store"])
    assert presolved is not None
    return ParametricLP(network, {network.column("need"): 1.0}, parameters, presolved=presolved, **options)


def constructs(parameters: list[Parameter]) -> list[FloatArray]:
    """Every set of enzymes at three limits of what comes in."""
    high = np.array([each.high for each in parameters])
    points = [
        high * [share, *present]
        for share in (1.0, 0.5, 0.1)
        for present in itertools.product((0.0, 1.0), repeat=len(CHANGED) - 1)
    ]
    return [points[place] for place in np.random.default_rng(0).permutation(len(points))]


def test_the_optima_are_those_of_the_plain_program(
    network: Network, parameters: list[Parameter], lp: ParametricLP, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, reaching = list[int | None](), StoredFluxes.reaching
    monkeypatch.setattr(StoredFluxes, "reaching", lambda *given: places.append(reaching(*given)) or places[-1])
    for u in constructs(parameters):
        with FluxLP(with_values(network, parameters, u)) as plain:
            expected = plain.maximise().objective
        assert lp.maximise(u).objective == pytest.approx(expected, abs=1e-9)
    assert lp.solves == places.count(None) == lp.lookups - lp.hits
    assert len(places) > lp.solves + 3  # several were known by fluxes alone


def test_every_answer_can_be_verified_and_none_is_contradicted(network: Network, parameters: list[Parameter]) -> None:
    checked = program(network, parameters, check_every=1)
    for u in constructs(parameters):
        checked.maximise(u)
    assert checked.hits > 0
    assert (checked.solves, checked.disagreements) == (checked.lookups, 0)
    checked.close()


def test_wrong_fluxes_are_found_by_the_sample_and_dropped(
    network: Network, parameters: list[Parameter], caplog: pytest.LogCaptureFixture
) -> None:
    checked = program(network, parameters, check_every=1)
    high = np.array([each.high for each in parameters])
    checked.maximise(high)
    assert checked._fluxes is not None
    checked._cache.clear()
    checked._cache.add(np.array([0.0] * len(high) + [1.0]), np.array([[0.0] * len(high) + [1.0]]), 0)  # a false cut
    checked._fluxes._optima[0] = 1.0
    assert checked.maximise(high).objective == pytest.approx(2.0)
    assert checked.disagreements == 1
    assert "GLPK finds optimal" in caplog.text
    assert np.isneginf(checked._fluxes._optima).all()
    checked.close()


def test_a_reset_program_answers_as_a_new_one_bit_for_bit(
    network: Network, parameters: list[Parameter], lp: ParametricLP
) -> None:
    asked = constructs(parameters)
    for u in reversed(asked):
        lp.maximise(u)
    lp.reset()
    fresh = program(network, parameters)
    assert [lp.maximise(u).objective for u in asked] == [fresh.maximise(u).objective for u in asked]
    fresh.close()


def test_the_oldest_fluxes_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_fluxes, "LIMIT", 100)
    fluxes, wide = StoredFluxes(1), (np.array([0.0]), np.array([1e3]))
    for number in range(130):
        fluxes.add(np.array([float(number)]), float(number))
    assert [fluxes.reaching(float(each), 0.1, *wide) for each in (0, 29, 30, 129)] == [None, None, 30, 29]
    assert len(fluxes._optima) <= 128


def test_fluxes_outside_of_a_bound_or_with_another_optimum_prove_nothing() -> None:
    fluxes = StoredFluxes(2)
    fluxes.add(np.array([1.0, 2.0]), 5.0)
    low, high = np.zeros(2), np.array([1.0, 2.0])
    assert fluxes.reaching(5.0, 1e-9, low, high) == 0
    for bound, lower, upper in (
        (5.1, low, high),
        (4.9, low, high),
        (5.0, low, high - 1e-12),
        (5.0, high * 1.1, high),
    ):
        assert fluxes.reaching(bound, 1e-9, lower, upper) is None
