"""The ledger of rollouts: which were used, and that none was used twice, in part or from a replaced actor."""


class RolloutLedger:
    """Next sequence number expected from the current incarnation of each actor.

    A collector numbers its rollouts 0, 1, 2, ... and the results of an actor are taken in the order of the requests,
    so a rollout with any other number, or from another incarnation, is not used.
    """

    def __init__(self) -> None:
        self.used = 0  # accepted
        self.discarded = 0  # requested and given up together with their actor
        self.refused = 0  # arrived and not accepted; anything but 0 is a bug
        self._next: dict[int, tuple[int, int]] = {}

    def open(self, actor: int, incarnation: int) -> None:
        """Expect rollouts of this incarnation from now on, and none of earlier ones."""
        if actor in self._next and incarnation <= self._next[actor][0]:
            raise ValueError(f"incarnation {incarnation} of actor {actor} does not follow the one before")
        self._next[actor] = (incarnation, 0)

    def accept(self, actor: int, incarnation: int, sequence: int) -> bool:
        """Return whether this rollout may be used, and record that it was."""
        if self._next.get(actor) != (incarnation, sequence):
            self.refused += 1
            return False
        self._next[actor] = (incarnation, sequence + 1)
        self.used += 1
        return True

    def discard(self, count: int) -> None:
        """Count rollouts that will never arrive."""
        self.discarded += count
