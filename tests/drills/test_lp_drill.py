"""Generated networks by the hundred thousand: the linear program against the judge in rational arithmetic."""

from __future__ import annotations

import os
from random import Random

import pytest

from generated_networks import random_network
from judge import judge
from redox_balancer.cell.lp import FluxLP, LPError

COUNT = int(os.environ.get("REDOX_DRILL_NETWORKS", "100000"))
FIRST = int(os.environ.get("REDOX_DRILL_FIRST", "0"))


@pytest.mark.timeout(3600)
def test_no_status_is_wrong_and_no_optimum_off() -> None:
    wrong, worst = [], 0.0
    for seed in range(FIRST, FIRST + COUNT):
        network = random_network(Random(seed))  # noqa: S311 - reproducible, no secret
        verdict = judge(network)
        try:
            with FluxLP(network) as lp:
                found = lp.maximise()
        except LPError as error:
            wrong.append((seed, str(error), verdict.status))
            continue
        if found.status is not verdict.status:
            wrong.append((seed, found.status, verdict.status))
        elif found.optimal:
            # Optima below 1e-6 are compared as if they were 1e-6.
            error_ = abs(found.objective - float(verdict.objective)) / max(abs(float(verdict.objective)), 1e-6)
            worst = max(worst, error_)
    print(f"{COUNT:,} networks: {len(wrong)} wrong statuses, largest relative error {worst:.1e}")  # noqa: T201
    assert not wrong, wrong[:10]
    assert worst < 1e-6
