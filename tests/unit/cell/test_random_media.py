"""Published models that COBRApy ships, on random media: growth is that of HiGHS, whatever bound means unlimited."""

import functools
from dataclasses import replace
from math import inf
from pathlib import Path

import cobra
import numpy as np
import pytest

from redox_balancer.cell.consistency import stoichiometric_matrix
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.missing import largest_flux
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import Network
from redox_balancer.cell.solution import Status


@functools.cache
def shipped(file: str) -> Network:
    return load_network(Path(cobra.__file__).parent / "data" / file)


STATUSES = {0: Status.OPTIMAL, 2: Status.INFEASIBLE, 3: Status.UNBOUNDED}


def highs(network: Network) -> tuple[Status | None, float]:
    S, growth = stoichiometric_matrix(network), network.column(network.objective)
    found = largest_flux(S, growth, network.lower, network.upper)
    return STATUSES.get(found.status), -found.fun if found.status == 0 else 0.0


@pytest.mark.parametrize(
    ("file", "media"), [("textbook.xml.gz", 30), ("salmonella.xml.gz", 4), ("iJO1366.xml.gz", 4)]
)
@pytest.mark.parametrize("unlimited", [1000.0, 999_999.0, inf])
def test_growth_on_random_media_is_that_of_highs(file: str, media: int, unlimited: float) -> None:
    network = shipped(file)
    lower = np.where(network.lower <= -999.0, -unlimited, network.lower)
    upper = np.where(network.upper >= 999.0, unlimited, network.upper)
    exchanges = [network.column(exchange) for exchange in network.exchanges]
    rng = np.random.default_rng(0)
    grown = 0
    with FluxLP(replace(network, lower=lower, upper=upper)) as lp:
        for _ in range(media):
            for column in exchanges:
                lower[column] = -(10.0 ** rng.uniform(-3, 2)) if rng.random() < 0.98 else 0.0
                lp.set_bounds(column, lower[column], upper[column])
            found, (status, growth) = lp.maximise(), highs(replace(network, lower=lower, upper=upper))
            assert found.status is status
            assert not found.optimal or found.objective == pytest.approx(growth, rel=1e-6, abs=1e-7)
            grown += bool(found.optimal and growth > 1e-6)
    assert grown >= media / 2
