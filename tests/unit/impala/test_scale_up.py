from __future__ import annotations

from typing import Any

import pytest

from redox_balancer.errors import RedoxError
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.ledger import RolloutLedger
from redox_balancer.impala.scale_up import INITIAL_ACTORS, INTERVAL_S, ScaleUp, decide
from redox_balancer.resources import MEBIBYTE

GB = 1024 * MEBIBYTE


def case(**changes: Any) -> dict[str, Any]:
    """30 of 120 actors, 300 MB each, in a large machine."""
    usual: dict[str, Any] = {
        "running": 30, "target": 120, "budget_bytes": GB, "available_bytes": 200 * GB, "total_bytes": 256 * GB,
    }  # fmt: skip
    running = changes.get("running", usual["running"])
    return usual | {"uss_bytes": [300 * MEBIBYTE] * running} | changes


@pytest.mark.parametrize(
    ("given", "actors", "why"),
    [
        (case(running=0), INITIAL_ACTORS, "starting with 30 of 120 actors"),
        (case(running=0, target=4), 4, "4 of 4"),
        (case(), 60, "60 of 120 actors: the largest takes 300 MB"),
        (case(running=110), 120, "120 of 120"),
        (case(running=120), 120, "all 120 actors run"),
        (case(uss_bytes=[MEBIBYTE] * 29), 30, "until all have reported"),
        (case(uss_bytes=[MEBIBYTE] * 29 + [2 * GB]), 30, "one takes 2048 MB, over its budget of 1024"),
        # A tenth of 256 GB stays free; the rest has room for 10 of 375 MB (300 and a quarter more).
        (case(available_bytes=25.6 * GB + 3750 * MEBIBYTE), 40, "40 of 120"),
        (case(available_bytes=25.6 * GB + 374 * MEBIBYTE), 30, "no room for more than 30 of 120"),
        (case(available_bytes=GB), 30, "no room"),
    ],
)
def test_the_ramp_grows_only_while_memory_holds(given: dict[str, Any], actors: int, why: str) -> None:
    decision = decide(**given)
    assert decision.actors == actors
    assert why in decision.reason


def test_a_ramp_decides_at_its_interval_and_tells_a_pause_once() -> None:
    scale_up = ScaleUp(90, GB)
    assert scale_up.due(0.0)
    told, now, running = [], 0.0, 0
    for available in (200 * GB, 200 * GB, GB, GB, 2 * GB, 200 * GB, 200 * GB, 200 * GB):
        assert scale_up.due(now)
        figures = case(running=running, available_bytes=available)
        decision = scale_up.consider(
            now, **{name: figures[name] for name in ("running", "uss_bytes", "available_bytes", "total_bytes")}
        )
        told.append(decision.actors if decision else None)
        running = decision.actors if decision else running
        assert not scale_up.due(now + 0.9 * INTERVAL_S)
        now += INTERVAL_S
    assert told == [30, 60, 60, None, None, 90, None, None]


def test_more_than_120_actors_need_a_word() -> None:
    with pytest.raises(RedoxError, match="num_actors is 121, it must be at most 120") as caught:
        TrainConfig(num_actors=121)
    assert "max_actors" in caught.value.settings
    assert TrainConfig(num_actors=121, max_actors=121).num_actors == 121


def test_a_rollout_counts_once_in_its_order_and_never_after_its_actor_was_replaced() -> None:
    ledger = RolloutLedger()
    ledger.open(0, 0)
    ledger.open(1, 4)
    came = [(0, 0, 0), (0, 0, 0), (0, 0, 1), (1, 4, 0), (1, 3, 1), (0, 0, 3), (2, 0, 0)]
    assert [ledger.accept(*rollout) for rollout in came] == [True, False, True, True, False, False, False]
    ledger.open(0, 1)
    ledger.discard(2)
    assert not ledger.accept(0, 0, 2)
    assert ledger.accept(0, 1, 0)
    assert (ledger.used, ledger.refused, ledger.discarded) == (4, 5, 2)
    with pytest.raises(ValueError, match="does not follow"):
        ledger.open(0, 1)
