"""Environments with the faults of long runs."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toy_envs import Shelf


class FaultyShelf(Shelf):
    """A `Shelf` that raises, or whose process dies, hangs or takes 1 MB more, at each step from its `after`-th on."""

    def __init__(self, fault: str, after: int) -> None:
        super().__init__()
        self._fault, self._left = fault, after
        self._hoard: list[bytes] = []

    def step(self, action: int) -> Any:
        self._left -= 1
        if self._left < 0:
            if self._fault == "raise":
                raise ValueError("the shelf is empty")
            if self._fault == "die":
                os._exit(1)
            if self._fault == "hang":
                time.sleep(3600)
            self._hoard.append(b"x" * 2**20)
        return super().step(action)


@dataclass(frozen=True)
class FaultyShelves:
    """Factory of `FaultyShelf`."""

    fault: str
    after: int = 0
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, count: int) -> Sequence[FaultyShelf]:
        return [FaultyShelf(self.fault, self.after) for _ in range(count)]
