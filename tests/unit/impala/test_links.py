"""Waiting for rollouts in shared memory: real processes, one of which is killed while it has a slot."""

import math
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from redox_balancer.impala import links
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.links import Transport
from redox_balancer.impala.policy import PolicyShape

FILL = """
import pickle, sys
from redox_balancer.impala.shared_memory import SlotWriter
for block in SlotWriter(pickle.loads(bytes.fromhex(sys.argv[1]))).requested():
    block[:] = int(sys.argv[2])
    if sys.argv[2] == "0":
        print("filled, not told", flush=True)
        sys.stdin.read()
"""
LONG_S = 600.0


class Started(SimpleNamespace):
    """A process in place of an actor of Ray; it fills its slots with a number, and with 0 only the first one."""

    def __init__(self, number: int) -> None:
        super().__init__(play=SimpleNamespace(remote=self._start))
        self._number = number

    def _start(self, _: Any, slots: Any) -> None:
        arguments = sys.executable, "-c", FILL, pickle.dumps(slots).hex(), str(self._number)
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@contextmanager
def actors(*numbers: int) -> Iterator[list[Any]]:
    started = [Started(number) for number in numbers]
    try:
        yield started
    finally:
        for each in started:
            each.process.kill()
            each.process.communicate()


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> Transport:
    """Of rollouts, with no look at Ray any more."""
    monkeypatch.setattr(links, "LOOK_S", math.inf)
    found = Transport()
    found.open(TrainConfig(), PolicyShape(5, 5, (4,), None), 2)
    assert found.wait(0.0, ()) == ({}, set())
    return found


def test_a_wait_ends_with_enough_rollouts_or_when_another_thread_wakes_it(transport: Transport) -> None:
    with actors(1, 2) as started:
        connected: list[Any] = [
            transport.connect(actor, each, shares_memory=True) for actor, each in enumerate(started)
        ]
        for link in connected:
            link.request()
        assert transport.wait(LONG_S, (), 2) == ({0: None, 1: None}, None)
        connected[1].request()
        assert transport.wait(LONG_S, (), 1) == ({1: None}, None)
        assert [link.filled for link in connected] == [1, 2]

        connected[0].request()
        wake = threading.Thread(target=transport.wake)
        wake.start()
        found, _ = transport.wait(LONG_S, (), math.inf)
        wake.join()
        if not found:  # it was still at it
            assert transport.wait(LONG_S, (), 1) == ({0: None}, None)
        assert transport.wait(0.0, (), math.inf) == ({}, None)
        assert [link.filled for link in connected] == [2, 2]


def test_a_process_killed_while_it_has_a_slot_delivers_nothing_and_the_next_one_does(transport: Transport) -> None:
    with actors(0, 3) as (killed, follower):
        link: Any = transport.connect(0, killed, shares_memory=True)
        link.request()
        assert killed.process.stdout.readline()
        killed.process.kill()
        killed.process.wait()
        link.request()
        following: Any = transport.connect(0, follower, shares_memory=True)
        following.request()
        assert transport.wait(LONG_S, (), 1) == ({0: None}, None)
        assert (link.filled, following.filled) == (0, 1)
        assert (following._slots.block(0) == 3).all()
