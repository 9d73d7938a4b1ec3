"""Memory shared between processes: real ones, which are killed."""

import itertools
import os
import pickle
import select
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from redox_balancer.impala.shared_memory import SLOTS, FilledPipe, PublishedWeights, Slots, WeightsReader

SIZE = 50_000


def child(work: Callable[[], None]) -> int:
    """Do something in a forked process that ends by it, with exit code 1 after an exception."""
    process = os.fork()
    if process == 0:
        try:
            work()
        finally:
            os._exit(1)
    return process


def poll(process: int) -> tuple[int, int]:
    """Return a child and its status once it has ended, zeros before that."""
    return os.waitpid(process, os.WNOHANG)


def exit_code(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_weights_are_never_a_mixture_of_two_versions() -> None:
    board = PublishedWeights()
    board.open(SIZE)
    board.publish(np.zeros(SIZE, np.float32), 0)

    def read() -> None:
        reader, version = WeightsReader(board.address, SIZE), -1
        for _ in range(100):
            while (found := reader.newer(version)) is None:
                os.sched_yield()
            assert found[1] > version
            version = found[1]
            assert (found[0] == version).all()
        os._exit(0)

    readers, ended = [child(read) for _ in range(2)], dict[int, int]()
    for version in itertools.count(1):
        board.publish(np.full(SIZE, version, np.float32), version)
        ended |= {process: status for process, status in map(poll, set(readers) - ended.keys()) if process}
        if len(ended) == len(readers):
            break
    assert list(ended.values()) == [0, 0]


def test_weights_are_out_of_reach_where_the_path_leads_to_another_file(tmp_path: Path) -> None:
    board = PublishedWeights()
    assert board.address.within_reach()
    other = tmp_path / "other"
    other.write_bytes(bytes(100))
    assert not board.address._replace(path=str(other)).within_reach()
    assert not board.address._replace(path=str(tmp_path / "none")).within_reach()
    assert not board.address._replace(token=bytes(16)).within_reach()


def told_by(filled: FilledPipe) -> list[int]:
    """Wait for slots to be filled."""
    select.select([filled.descriptor], [], [])
    return filled.read()


FILL = """
import pickle, sys
from redox_balancer.impala.shared_memory import SlotWriter
for number, block in enumerate(SlotWriter(pickle.loads(bytes.fromhex(sys.argv[1]))).requested()):
    block[:] = number
"""


def held() -> set[str]:
    """Pipes and files without a name that this process has open; other threads may open other files meanwhile."""
    links = set[str]()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            links.add(str(each.readlink()))
    return {each for each in links if each.startswith(("pipe:", "/memfd:"))}


def test_a_slot_is_filled_once_for_each_request_and_an_actor_ends_with_its_pool() -> None:
    before = held()
    filled = FilledPipe()
    assert filled.read() == []
    slots = {number: Slots(number, 100_000, filled.path) for number in (1, 2)}
    processes = {
        number: subprocess.Popen([sys.executable, "-c", FILL, pickle.dumps(each.address).hex()])
        for number, each in slots.items()
    }
    for rollout in range(5):
        for each in slots.values():
            each.request()
        told: list[int] = []
        while len(told) < 2:
            told += told_by(filled)
        assert sorted(told) == [1, 2]
        for each in slots.values():
            each.opened()
            assert (each.block(rollout) == rollout).all()

    slots[1].request()
    processes[1].kill()
    processes[1].wait()
    slots[1].request()
    for _ in range(SLOTS):
        slots[2].request()
    told = []
    while told.count(2) < SLOTS:
        told += told_by(filled)
    assert [int(slots[2].block(rollout)[0]) for rollout in (5, 6)] == [5, 6]
    slots.clear()
    del each
    assert processes[2].wait(timeout=60) == 0
    del filled
    assert held() <= before
