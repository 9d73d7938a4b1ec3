"""Signals while a training runs: the first one asks it to stop, a second one ends it at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import psutil


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a training to stop: Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends.

    A process that was started with SIGHUP ignored, by nohup, outlives its terminal.
    """
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]


@contextmanager
def stop_on_signals(
    second: Callable[[int], None] | None = None, *, only: Sequence[signal.Signals] | None = None
) -> Iterator[threading.Event]:
    """Yield an event that the first of `stop_signals`, or of `only` some signals, sets.

    A second signal has its previous effect, or calls `second` with its number. Only the main thread can receive
    signals; in other threads the event stays unset.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in only or stop_signals()}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request_stop(number: int, _frame: FrameType | None) -> None:
        if second is not None and stop.is_set():
            second(number)
        stop.set()
        if second is None:
            restore()

    for number in before:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        restore()


def kill_children_and_exit(number: int) -> None:
    """Kill all child processes and end this one as the signal would: some processes of Ray would outlive it."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            child.kill()
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")  # a progress bar hides the cursor
        sys.stderr.flush()
    os._exit(128 + number)
