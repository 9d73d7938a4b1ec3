"""Waiting for what another thread or process does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 120.0


def wait_until(true: Callable[[], bool]) -> None:
    """Look again and again, for two minutes at most."""
    deadline, looks = time.monotonic() + PATIENCE_S, threading.Event()
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen")
        looks.wait(0.02)
