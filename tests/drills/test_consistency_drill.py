"""100,000 generated networks: no blocked reaction is kept, none that can run is dropped, none is refused."""

from collections import Counter
from random import Random

import pytest

from flux_judge import differences
from generated_networks import random_network
from many_networks import COUNT, over_networks
from redox_balancer.errors import RedoxError


@pytest.mark.timeout(0)  # as long as the networks take, behind a progress bar
def test_what_is_said_of_reactions_is_so_in_rational_arithmetic() -> None:
    wrong: Counter[str] = Counter()
    for faults in over_networks(compared):
        wrong.update(faults)
    print(f"\n{COUNT:,} networks: {dict(wrong) or 'nothing wrong, none refused'}")  # noqa: T201
    assert not wrong


def compared(seed: int) -> Counter[str]:
    """How many reactions of a network are judged wrongly, by question, or that it is refused."""
    wrong: Counter[str] = Counter()
    try:
        for question, wrongly_found, missed in differences(random_network(Random(seed))):  # noqa: S311 - repeatable
            wrong[f"{question}: wrongly found, as of network {seed}"] += len(wrongly_found)
            wrong[f"{question}: missed, as of network {seed}"] += len(missed)
    except RedoxError as error:
        wrong[f"network {seed} is refused: {error}"] += 1
    return +wrong
