"""Process statistics follow the resources that a process uses."""

import mmap
import os
import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest

from redox_balancer.resources import process_stats


def test_memory_descriptors_and_threads_are_those_of_this_process() -> None:
    before = process_stats()
    pages = mmap.mmap(-1, 50_000_000)  # not by malloc, which may have as much at hand
    np.frombuffer(pages, dtype=np.uint8)[:] = 1
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(7)]
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        after = process_stats(os.getpid())
    finally:
        release.set()
        thread.join()
        for descriptor in descriptors:
            os.close(descriptor)
    assert 45_000_000 < after.uss_bytes - before.uss_bytes < 60_000_000
    assert after.descriptors == before.descriptors + 7
    assert after.threads == before.threads + 1
    pages.close()


def test_a_process_that_ended_is_reported_as_such() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process_stats(process.pid).threads >= 1
    with pytest.raises(psutil.NoSuchProcess):
        process_stats(process.pid)
