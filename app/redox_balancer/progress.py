"""Progress of a long computation or a transfer, as every layer reports it."""

from typing import Protocol


class Progress(Protocol):
    """Callback that receives the current phase and, where it is measured, how much of it is done.

    A function calls it with the name of each phase as the phase starts, and again while the phase advances.
    """

    def __call__(self, phase: str, done: int = 0, total: int | None = None, /) -> None:
        """Report what is being done, such as "growth of the core", how much is done, and of what total, if known.

        Amounts are in bytes for a transfer and in items otherwise.
        """


def no_progress(_phase: str, _done: int = 0, _total: int | None = None, /) -> None:
    """Report nothing."""
