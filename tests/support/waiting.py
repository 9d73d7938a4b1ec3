"""Waiting for what another thread or process does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S, LOOK_S = 30.0, 0.02


def wait_until(true: Callable[[], bool]) -> None:
    """Look again and again, for half a minute at most."""
    looks = threading.Event()
    for _ in range(int(PATIENCE_S / 0.02)):
        if true():
            return
        looks.wait(0.02)
    raise AssertionError("it did not happen")
