"""Signals while a training runs: the first one asks it to stop, a second one ends it at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import psutil


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a training to stop: Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends.

    A process that was started with SIGHUP ignored, by nohup, outlives its terminal.
    """
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]


@contextmanager
def handling(handle: Callable[[int], None], only: Sequence[signal.Signals] | None = None) -> Iterator[None]:
    """Call `handle` with the number of each of `stop_signals`, or of `only` some; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = only or stop_signals()
    before = {number: signal.signal(number, lambda number, _frame: handle(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_on_signals(
    second: Callable[[int], None] | None = None, *, only: Sequence[signal.Signals] | None = None
) -> Iterator[threading.Event]:
    """Yield an event that the first of `stop_signals`, or of `only` some signals, sets; only in the main thread.

    A second signal has its previous effect, or calls `second` with its number.
    """
    stop = threading.Event()
    with ExitStack() as handlers:

        def request_stop(number: int) -> None:
            if second is None:
                handlers.close()
            elif stop.is_set():
                second(number)
            stop.set()

        handlers.enter_context(handling(request_stop, only))
        yield stop


def kill_children_and_exit(number: int) -> None:
    """Kill all child processes and end this one as the signal would: some processes of Ray would outlive it."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            child.kill()
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")  # a progress bar hides the cursor
        sys.stderr.flush()
    os._exit(128 + number)
