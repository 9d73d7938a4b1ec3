"""Generated networks by the hundred thousand: the linear program against the judge in rational arithmetic."""

from random import Random

import pytest

from generated_networks import random_network
from judge import judge
from many_networks import COUNT, FIRST, over_networks
from redox_balancer.cell.lp import FluxLP, LPError


@pytest.mark.timeout(0)  # as long as the networks take, behind a progress bar
def test_no_status_is_wrong_and_no_optimum_off() -> None:
    answers = list(over_networks(compared))
    wrong = [fault for fault, _ in answers if fault]
    worst = max(error for _, error in answers)
    inexact = [FIRST + number for number, (_, error) in enumerate(answers) if error >= 1e-6]
    print(f"{COUNT:,} networks: {len(wrong)} wrong statuses, largest relative error {worst:.1e}")  # noqa: T201
    assert not wrong, wrong[:10]
    assert not inexact


def compared(seed: int) -> tuple[str, float]:
    """What is wrong with the status of a network, and the relative error of its optimum."""
    network = random_network(Random(seed))  # noqa: S311 - reproducible, no secret
    verdict = judge(network)
    try:
        with FluxLP(network) as lp:
            found = lp.maximise()
    except LPError as error:
        return f"network {seed}: {error}, {verdict.status}", 0.0
    if found.status is not verdict.status:
        return f"network {seed}: {found.status}, {verdict.status}", 0.0
    if not found.optimal:
        return "", 0.0
    # Optima below 1e-6 are compared as if they were 1e-6.
    return "", abs(found.objective - float(verdict.objective)) / max(abs(float(verdict.objective)), 1e-6)
