"""100,000 generated networks: no blocked reaction is kept, none that can run is dropped, none is refused."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

from flux_judge import differences
from generated_networks import random_network
from redox_balancer.errors import RedoxError

NETWORKS = int(os.environ.get("REDOX_DRILL_NETWORKS", "100000"))


def test_what_is_said_of_reactions_is_so_in_rational_arithmetic() -> None:
    wrong: Counter[str] = Counter()
    for seed in range(NETWORKS):
        try:
            found = differences(random_network(Random(seed)))  # noqa: S311 - repeatable
        except RedoxError as error:
            wrong["refused"] += 1
            print(f"network {seed} is refused: {error}")  # noqa: T201 - a drill prints its measurements
            continue
        for question, wrongly_found, missed in found:
            wrong[f"{question}: wrongly found"] += len(wrongly_found)
            wrong[f"{question}: missed"] += len(missed)
            print(f"network {seed}, {question}: {wrongly_found} {missed}")  # noqa: T201
    print(f"\n{NETWORKS:,} networks: {dict(wrong) or 'nothing wrong, none refused'}")  # noqa: T201
    assert not wrong
