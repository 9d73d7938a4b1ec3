"""What a process takes from its machine: memory of its own, file descriptors, threads."""

from __future__ import annotations

from typing import NamedTuple

import psutil


class Vitals(NamedTuple):
    """Figures of one process at one moment.

    Attributes
    ----------
    uss_bytes
        Memory that would be free if the process ended (unique set size). Unlike the resident size it does not count
        the object store, which all processes of a node share.
    descriptors
        Open file descriptors.
    threads
        Threads.
    """

    uss_bytes: int
    descriptors: int
    threads: int


def vitals_of(pid: int | None = None) -> Vitals:
    """Measure a process, the calling one if `pid` is None.

    Raises
    ------
    psutil.NoSuchProcess
        Where there is none.
    psutil.AccessDenied
        Where it belongs to someone else.
    """
    process = psutil.Process(pid)
    with process.oneshot():
        return Vitals(process.memory_full_info().uss, process.num_fds(), process.num_threads())
