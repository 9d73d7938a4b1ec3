"""Each rollout is used once, in its order, and never after its actor was replaced."""

import pytest

from redox_balancer.impala.ledger import RolloutLedger


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
