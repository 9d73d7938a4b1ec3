"""A construct: which enzyme, where, and how much of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Construct:
    """Level of each placement, by position in the design space: 0 where it is not placed, else 1 + the index."""

    levels: tuple[int, ...]

    @classmethod
    def empty(cls, placements: int) -> Self:
        """Construct with nothing placed."""
        return cls((0,) * placements)

    def place(self, placement: int, level: int) -> Self:
        """Construct with one placement set to the level of that index; an earlier level is replaced."""
        return type(self)((*self.levels[:placement], level + 1, *self.levels[placement + 1 :]))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Pairs of placement and level index, for what is placed."""
        return iter([(placement, level - 1) for placement, level in enumerate(self.levels) if level])

    def __len__(self) -> int:
        """Number of placements in use."""
        return len(self.levels) - self.levels.count(0)
