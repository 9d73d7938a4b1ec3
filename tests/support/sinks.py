"""A progress sink that records."""

from collections.abc import Callable, Mapping
from typing import Any


class Recorder:
    """Records the output of a training, and can act once at a step."""

    def __init__(self, at: int | None = None, act: Callable[[], Any] | None = None) -> None:
        self.messages: list[str] = []
        self.warnings: list[str] = []
        self.rows: list[Mapping[str, float]] = []
        self._at, self._act = at, act

    def act_at(self, at: int, act: Callable[[], Any]) -> None:
        self._at, self._act = at, act

    def start(self, steps: int, total: int) -> None:
        self.started = (steps, total)

    def advance(self, steps: int) -> None:
        if self._at is not None and self._act is not None and steps >= self._at:
            self._at = None
            self._act()

    def row(self, row: Mapping[str, float]) -> None:
        self.rows.append(row)

    def message(self, text: str) -> None:
        self.messages.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def close(self) -> None:
        pass
