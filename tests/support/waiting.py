"""Waiting for another thread or process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 120.0


def wait_until(true: Callable[[], bool]) -> None:
    """Poll a condition, for two minutes at most."""
    deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("the condition was not met")
        pause.wait(0.02)
