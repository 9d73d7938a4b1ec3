"""A presolved network has the optima of the network for all bounds of the protected reactions."""

from collections import Counter
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

from generated_networks import changing_bounds, random_network, with_values
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.parameters import Parameter
from redox_balancer.cell.parametric import REGION_BYTES, ParametricLP
from redox_balancer.cell.presolve import Presolved, PresolvedLP, presolve
from redox_balancer.cell.solution import Status
from small_networks import network_of

# `vitamin` makes proofs necessary. 1000 stands for "unlimited", and yet at most 1250 of b are made: `shuttle` has to
# carry four times the flux of `second`, which looks like `first` once y and z are gone.
CHAIN = {
    "in": ("--> a", 0.0, 0.0),
    "first": "a --> b",
    "second": "a + 4 y --> b + 4 z",
    "shuttle": "z <=> y",
    "need": ("b -->", -10.0, 5000.0),
    "vitamin": ("--> v", 0.0, 1e-6),
    "store": ("v + 1e-7 b -->", 0.0, 3000.0),
}
MOST = 1250.0
IN, NEED = (list(CHAIN).index(reaction) for reaction in ("in", "need"))


def matrix(network: Network) -> FloatArray:
    S = np.zeros((len(network.metabolites), len(network.reactions)))
    S[network.indices, network.column_of] = network.data
    return S


def chain() -> tuple[Network, Presolved]:
    network = network_of(CHAIN, "need")
    presolved = presolve(network, ["in", "store"])
    assert presolved is not None
    return network, presolved


def generated() -> Iterator[tuple[Random, Network, Presolved, list[Parameter]]]:
    """Generated networks that need proofs, with up to two upper bounds that change."""
    for seed in range(250):
        random = Random(seed)  # noqa: S311 - no secrets
        network = random_network(random)
        parameters = changing_bounds(random, network)
        presolved = presolve(network, [network.reactions[p.column] for p in parameters])
        if presolved is not None:
            yield random, network, presolved, parameters


def test_steady_states_of_the_reduced_network_are_those_of_the_network() -> None:
    smaller = 0
    for _, network, presolved, _ in generated():
        reduced = presolved.reduced
        smaller += len(reduced.metabolites) < len(network.metabolites)
        rows = [network.metabolites.index(metabolite) for metabolite in reduced.metabolites]
        S = matrix(network)
        for column, unit in zip(matrix(reduced).T, np.eye(len(reduced.reactions)), strict=True):
            fluxes = presolved.fluxes(unit)
            terms = np.abs(S) @ np.abs(fluxes)
            balance = S @ fluxes
            # A balance that was removed is fulfilled, or follows from one that was kept.
            assert np.abs(balance[rows] - column) == pytest.approx(0.0, abs=1e-9 * max(terms.max(), 1e-300))
            if not column.any():
                assert (np.abs(balance) <= 1e-9 * terms).all()
    assert smaller > 100


@pytest.mark.parametrize("region_bytes", [0, REGION_BYTES])
def test_optima_are_those_of_the_network(region_bytes: int) -> None:
    seen: Counter[str] = Counter()
    for random, network, presolved, parameters in generated():
        program = ParametricLP(
            network, {network.column("BIOMASS"): 1.0}, parameters, region_bytes=region_bytes, presolved=presolved
        )
        for _ in range(6):
            u = np.asarray([p.high * random.choice((0.0, 1e-3, 1.0, random.random())) for p in parameters])
            found = program.maximise(u)
            with FluxLP(with_values(network, parameters, u)) as lp:
                expected = lp.maximise()
            assert found.status is expected.status
            assert found.objective == pytest.approx(expected.objective, rel=1e-6, abs=1e-12, nan_ok=True)
            assert isinstance(program._lp, PresolvedLP)
            seen["network" if program._lp._answers_whole else "reduced"] += 1
            seen[found.status.value] += 1
            proof = program._lp.farkas_certificate() if found.status is Status.INFEASIBLE else None
            if proof is not None:  # also by columns that have taken in another, unless by their wider bound
                seen["taken in"] += np.isfinite([presolved.least, presolved.most])[:, proof.columns].any()
        seen["hits"] += program.hits
        program.close()
    assert min(seen[key] for key in ("network", "reduced", "optimal", "infeasible")) > 100
    assert seen["taken in"] > 0
    assert (seen["hits"] > 100) is (region_bytes > 0)


@pytest.mark.parametrize("region_bytes", [0, REGION_BYTES])
def test_bounds_that_were_left_aside_count_where_they_are_reached(region_bytes: int) -> None:
    network, presolved = chain()
    assert {"shuttle", "second"}.isdisjoint(presolved.reduced.reactions)
    parameters = [Parameter(IN, upper=True, low=0.0, high=9000.0), Parameter(NEED, upper=False, low=0.0, high=9000.0)]
    program = ParametricLP(network, {NEED: 1.0}, parameters, region_bytes=region_bytes, presolved=presolved)
    asked = [(5000.0, 2500.0), (5000.0, 1100.0), (300.0, 0.0), (900.0, 0.0), (1200.0, 0.0), (6000.0, 0.0)]
    asked += [(9000.0, 1260.0), (200.0, 210.0), (800.0, 0.0)]
    for let_in, needed in asked * 2:
        solution = program.maximise(np.asarray([let_in, needed]))
        if needed > min(let_in, MOST):
            assert solution.status is Status.INFEASIBLE
        else:
            assert solution.objective == pytest.approx(min(let_in, MOST))
    # What the reduced network finds infeasible by the flux of two reactions is not remembered.
    assert program.solves == len(asked) * 2 if region_bytes == 0 else len(asked)
    program.close()


def test_fluxes_of_protected_reactions_are_those_of_the_program_that_answers() -> None:
    lp = PresolvedLP(chain()[1], {NEED: 1.0})
    for let_in, whole in ((10.0, False), (1100.0, True), (20.0, False), (1200.0, True)):
        lp.set_bounds(IN, 0.0, let_in)
        assert lp.maximise().objective == pytest.approx(let_in)
        assert lp._answers_whole is whole
        assert lp.flux(IN) == pytest.approx(let_in)
    lp._reduced._problem.show_bounds()  # as for a proof that needs them
    lp.set_bounds(IN, 0.0, 30.0)
    assert lp.maximise().objective == pytest.approx(30.0)
    assert lp._reduced.hides_bounds
    lp.set_bounds(IN, -5.0, -5.0)
    assert lp.maximise().status is Status.INFEASIBLE
    lp.close()
    lp.close()


def test_a_reset_program_answers_as_a_new_one_bit_for_bit() -> None:
    def optima(program: ParametricLP) -> list[float]:
        return [program.maximise(np.asarray([u])).objective for u in (7.0, 3000.0, 1 / 3, 8000.0, 0.1)]

    network, presolved = chain()
    parameters = [Parameter(IN, upper=True, low=0.0, high=9000.0)]
    used, fresh = (ParametricLP(network, {NEED: 1.0}, parameters, presolved=presolved) for _ in range(2))
    for u in (5000.0, 12.0, 0.0):
        used.maximise(np.asarray([u]))
    used.reset()
    assert optima(used) == optima(fresh)


def test_a_network_that_needs_no_proofs_is_solved_as_it_is(core: Network) -> None:
    assert presolve(core, []) is None
