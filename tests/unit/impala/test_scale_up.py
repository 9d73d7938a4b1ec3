"""How many actors run, by the memory they take."""

import math
from typing import Any

import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.scale_up import INITIAL_ACTORS, INTERVAL_S, ActorMemory, ScaleUp
from redox_balancer.resources import MEBIBYTE

GB = 1024 * MEBIBYTE


def case(**changes: Any) -> dict[str, Any]:
    """30 of 120 actors of 300 MB each, on a large machine."""
    usual: dict[str, Any] = {
        "running": 30, "target": 120, "limits": ActorMemory(math.inf, 250 * GB), "available_bytes": 200 * GB,
        "total_bytes": 256 * GB,
    }  # fmt: skip
    running = changes.get("running", usual["running"])
    return usual | {"uss_bytes": [300 * MEBIBYTE] * running} | changes


@pytest.mark.parametrize(
    ("given", "actors", "reason"),
    [
        (case(running=0), INITIAL_ACTORS, "starting with 30 of 120 actors"),
        (case(running=0, target=4), 4, "4 of 4"),
        (case(running=0, initial=5), 5, "5 of 120"),
        (case(), 60, "60 of 120 actors: the largest takes 300 MB"),
        (case(running=110), 120, "120 of 120"),
        (case(running=120), 120, "all 120 actors run"),
        (case(uss_bytes=[MEBIBYTE] * 29), 30, "until all have reported"),
        (case(uss_bytes=[MEBIBYTE] * 29 + [2 * GB], limits=ActorMemory(GB, math.inf)), 30, "over its budget of 1024"),
        # A tenth of 256 GB stays free; the rest has room for 10 of 375 MB (300 and a quarter more).
        (case(available_bytes=25.6 * GB + 3750 * MEBIBYTE), 40, "40 of 120"),
        (case(available_bytes=25.6 * GB + 374 * MEBIBYTE), 30, "no room for more than 30 of 120"),
        (case(available_bytes=GB), 30, "no room"),
        # Four fifths of the memory at the start are for actors: 40 of 375 MB.
        (case(limits=ActorMemory(math.inf, 40 * 375 * MEBIBYTE / 0.8)), 40, "40 of 120"),
        (case(limits=ActorMemory(math.inf, 5 * GB)), 30, "no room"),
    ],
)
def test_actors_are_added_only_while_memory_allows(given: dict[str, Any], actors: int, reason: str) -> None:
    scale_up = ScaleUp(given.pop("target"), given.pop("limits"), initial=given.pop("initial", INITIAL_ACTORS))
    decision = scale_up.decide(**given)
    assert decision.actors == actors
    assert reason in decision.reason


def test_decisions_are_made_at_the_interval_and_a_pause_is_reported_once() -> None:
    scale_up = ScaleUp(90, ActorMemory(math.inf, 250 * GB))
    assert scale_up.due(0.0)
    reported, now, running = [], 0.0, 0
    for available in (200 * GB, 200 * GB, GB, GB, 2 * GB, 200 * GB, 200 * GB, 200 * GB):
        assert scale_up.due(now)
        given = case(running=running, available_bytes=available)
        decision = scale_up.consider(
            now, **{name: given[name] for name in ("running", "uss_bytes", "available_bytes", "total_bytes")}
        )
        reported.append(decision.actors if decision else None)
        running = decision.actors if decision else running
        assert not scale_up.due(now + 0.9 * INTERVAL_S)
        now += INTERVAL_S
    assert reported == [30, 60, 60, None, None, 90, None, None]


def test_the_budget_of_an_actor_is_its_limit_or_its_share_and_never_close_to_its_size_at_startup() -> None:
    limited, shared = ActorMemory(GB, math.inf), ActorMemory(math.inf, 100 * GB)
    assert limited.budget_bytes(30, 300 * MEBIBYTE) == limited.budget_bytes(120, 2 * GB) == GB
    assert shared.budget_bytes(40, 300 * MEBIBYTE) == 2 * GB
    # More actors than a share of that size allows: one of them is replaced only where it has doubled.
    assert shared.budget_bytes(120, 500 * MEBIBYTE) == 1000 * MEBIBYTE
    assert limited.exceeded(1, GB + 1)
    assert not limited.exceeded(1000, GB)
    assert shared.exceeded(101, GB)
    assert not shared.exceeded(100, GB)


def test_more_than_120_actors_must_be_allowed_explicitly() -> None:
    with pytest.raises(RedoxError, match="num_actors is 121, it must be at most 120") as caught:
        TrainConfig(num_actors=121)
    assert "max_actors" in caught.value.settings
    assert TrainConfig(num_actors=121, max_actors=121).num_actors == 121
