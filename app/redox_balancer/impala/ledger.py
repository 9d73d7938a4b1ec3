"""The ledger of rollouts: which were used, and proof that none was used twice, half or from a replaced actor."""

from __future__ import annotations


class RolloutLedger:
    """Keeps the last sequence number of each actor's current incarnation.

    A collector numbers its rollouts 0, 1, 2, ... and an actor's results are taken in the order in which they were
    asked for, so a number other than the next one, or another incarnation, is no rollout to learn from.

    Attributes
    ----------
    used
        Rollouts that were accepted.
    discarded
        Rollouts that were asked for and given up with the actor that owed them.
    refused
        Rollouts that came and were not accepted; anything but 0 is an error of this program.
    """

    def __init__(self) -> None:
        self.used = self.discarded = self.refused = 0
        self._next: dict[int, tuple[int, int]] = {}

    def open(self, actor: int, incarnation: int) -> None:
        """Expect the rollouts of this incarnation from now on, and none of those before it."""
        if actor in self._next and incarnation <= self._next[actor][0]:
            raise ValueError(f"actor {actor} had incarnation {incarnation} before")
        self._next[actor] = (incarnation, 0)

    def accept(self, actor: int, incarnation: int, sequence: int) -> bool:
        """Return whether this rollout may be used, and remember that it was."""
        if self._next.get(actor) != (incarnation, sequence):
            self.refused += 1
            return False
        self._next[actor] = (incarnation, sequence + 1)
        self.used += 1
        return True

    def discard(self, count: int) -> None:
        """Count rollouts that will never come."""
        self.discarded += count
