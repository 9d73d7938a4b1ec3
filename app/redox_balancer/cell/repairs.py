"""What was repaired in a model, and the error for what cannot be."""

from collections.abc import Sequence


class UnreadableError(Exception):
    """A file or model that cannot be read: why, in one line, and what helps."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Repairs:
    """Repairs of one model, gathered by kind, so that thousands of the same kind are one line."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, *where: str) -> None:
        """Add a repair of a kind (`formula left out`) and the id where it was made, none for the whole model."""
        self._found.setdefault(kind, []).extend(where)

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each kind, with the first few ids."""
        return tuple(f"{kind}: {shortened(where)}" if where else kind for kind, where in self._found.items())


def shortened(names: Sequence[str], shown: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
