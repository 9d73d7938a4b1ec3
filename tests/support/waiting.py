"""Waiting for another thread or process."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

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
