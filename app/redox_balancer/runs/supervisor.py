"""Unattended training: a supervisor that runs it as a child process and restarts it after a crash.

It loads little, so that it stays small beside the training and has little that could fail.
"""

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from redox_balancer.errors import EXIT_NONSENSE, EXIT_OK, EXIT_USER_ERROR
from redox_balancer.runs.signals import handling

# A child that exits with one of these is not restarted: it is done, or would fail again in the same way.
FINAL = frozenset({EXIT_OK, EXIT_USER_ERROR, EXIT_NONSENSE})
WINDOW_S = 3600.0  # for which restarts count
LONGEST_PAUSE_S = 60.0


def supervise(
    command: Callable[[bool], Sequence[str]],
    *,
    max_restarts: int,
    report: Callable[[str], None],
    first_pause_s: float = 1.0,
) -> int:
    """Run a command until it succeeds or fails for good, and return its exit code, 128 + number for a signal.

    SIGTERM, SIGINT and SIGHUP are passed on to the child, which is then not restarted. Must be called from the main
    thread. `command` returns the command line of the child, from whether this is a restart; `report` is called with a
    message about each crash. `max_restarts` are those within an hour; the pause before each doubles from
    `first_pause_s` up to a minute.
    """
    restarts: deque[float] = deque()
    restarting = False
    children = _Children()
    with handling(children.pass_on):
        while True:
            code = children.run(command(restarting))
            if code in FINAL or children.stop.is_set():
                return code
            now = time.monotonic()
            while restarts and now - restarts[0] > WINDOW_S:
                restarts.popleft()
            if len(restarts) >= max_restarts:
                report(f"the training {_ending(code)}; giving up after {len(restarts)} restarts within an hour")
                return code
            pause_s = min(first_pause_s * 2 ** len(restarts), LONGEST_PAUSE_S)
            restarts.append(now)
            count = f"restart {len(restarts)} of at most {max_restarts} an hour"
            report(f"the training {_ending(code)}; {count} in {pause_s:g} s")
            restarting = True
            if children.stop.wait(pause_s):
                return code


class _Children:
    """Runs one child after the other, and passes signals on to it."""

    def __init__(self) -> None:
        self.stop = threading.Event()  # a signal has arrived
        self._child: subprocess.Popen[bytes] | None = None

    def pass_on(self, number: int) -> None:
        """Pass a signal on to the running child."""
        self.stop.set()
        if self._child is not None:
            os.kill(self._child.pid, number)  # not yet reaped, so the number is still the child's

    def run(self, command: Sequence[str]) -> int:
        """Run a child to its end and return its exit code, 128 + number where a signal ended it."""
        # A process group of its own, so that Ctrl-C on a terminal reaches the child once, through this process.
        with subprocess.Popen(command, process_group=0) as child:  # noqa: S603 - our own command line
            self._child = child
            if self.stop.is_set():  # the signal arrived before the child was started
                child.terminate()
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            self._child = None
            with suppress(ProcessLookupError, PermissionError):
                # Processes left behind by a killed trainer would take memory from its successor.
                os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
        return code if code >= 0 else 128 - code


def _ending(code: int) -> str:
    """Return how a child ended, from its exit code as in a shell."""
    if code > 128:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(code - 128).name}"
    return f"ended with exit code {code}"
