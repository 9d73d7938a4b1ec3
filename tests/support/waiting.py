"""Waiting for another thread or process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")
PATIENCE_S = 120.0


def wait_until(ask: Callable[[], Answer], what: str = "the condition", within_s: float = PATIENCE_S) -> Answer:
    """Poll until the answer is true, and return it."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        pause.wait(0.02)
    return answer
