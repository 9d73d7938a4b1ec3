"""Memory that the learner's process and the actors on its host share: newest weights, and slots for rollouts.

The memory is in files without a name and what is ready is told through pipes. An actor opens both through /proc, so
nothing remains when all processes are killed, and the size of /dev/shm is no limit. Each process of an actor has
slots of its own: whatever it writes while it dies, no other rollout is there.
"""

import mmap
import os
import secrets
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from redox_balancer.impala.config import MAX_PENDING
from redox_balancer.impala.packing import Block
from redox_balancer.impala.policy import Float32

SLOTS = MAX_PENDING  # of an actor; one is free again once its rollout has been received
_TOKEN_BYTES = 16
_PUBLISHED, _VERSIONS = 2, 3  # words of the first page of the weights, behind the token
_MESSAGE = struct.Struct("q")  # number of the actor's process
_orderly = threading.Lock()


def _order_memory() -> None:
    """Keep memory accesses before and after this apart, on processors that reorder them (x86 does not)."""
    for _ in range(2):
        with _orderly:
            pass


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def _path(descriptor: int) -> str:
    """Return a path by which other processes of this user on this host can open a file."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _map(descriptor: int, size: int, *, protection: int = mmap.PROT_READ | mmap.PROT_WRITE) -> mmap.mmap:
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection)


class WeightsAddress(NamedTuple):
    """Where the weights can be opened, and what the file then begins with: on another host it is another file."""

    path: str
    token: bytes

    def within_reach(self) -> bool:
        """Whether this process can open the weights."""
        with suppress(OSError), Path(self.path).open("rb") as file:
            return file.read(_TOKEN_BYTES) == self.token
        return False


class PublishedWeights:
    """The newest weights, written by the learner's process; the version before remains readable meanwhile."""

    def __init__(self) -> None:
        self._file = os.memfd_create("weights")
        weakref.finalize(self, _close, self._file)
        self.address = WeightsAddress(_path(self._file), secrets.token_bytes(_TOKEN_BYTES))
        os.pwrite(self._file, self.address.token, 0)

    def open(self, size: int) -> None:
        """Make room for so many weights; comes before `publish` and before any reader."""
        os.ftruncate(self._file, mmap.PAGESIZE + 2 * _pages(4 * size))
        self._words, self._buffers = _words_and_buffers(_map(self._file, 0), size)

    def publish(self, parameters: Float32, version: int) -> None:
        """Make these the newest weights."""
        count = self._words[_PUBLISHED] + 1
        self._buffers[count % 2][:] = parameters
        self._words[_VERSIONS + count % 2] = version
        _order_memory()
        self._words[_PUBLISHED] = count


class WeightsReader:
    """Reads what `PublishedWeights` of another process has published."""

    def __init__(self, address: WeightsAddress, size: int) -> None:
        with Path(address.path).open("rb") as file:
            memory = _map(file.fileno(), 0, protection=mmap.PROT_READ)
        self._words, self._buffers = _words_and_buffers(memory, size)

    def newer(self, version: int) -> tuple[Float32, int] | None:
        """Return the newest weights and their version, None where it is the given one."""
        while True:
            count = self._words[_PUBLISHED]
            _order_memory()
            newest = self._words[_VERSIONS + count % 2]
            if newest == version:
                return None
            parameters = self._buffers[count % 2].copy()
            _order_memory()
            # The buffer is written again only after a version in the other one has been published.
            if self._words[_PUBLISHED] == count:
                return parameters, newest


def _words_and_buffers(memory: mmap.mmap, size: int) -> tuple[memoryview, list[Float32]]:
    buffers = [
        np.frombuffer(memory, np.float32, size, mmap.PAGESIZE + place * _pages(4 * size)) for place in range(2)
    ]
    return memoryview(memory)[: mmap.PAGESIZE].cast("q"), buffers


class SlotsAddress(NamedTuple):
    """Where the slots of an actor can be opened, and its number, which no other process of an actor has."""

    number: int
    slots: str
    requests: str
    filled: str
    block_bytes: int


class Slots:
    """The slots of one process of an actor, as the learner's process reads them.

    Rollouts are numbered 0, 1, 2, ...; those that were requested and not received are at most `SLOTS`.
    """

    def __init__(self, number: int, block_bytes: int, filled: str) -> None:
        file = os.memfd_create("rollouts")
        reading, self._requests = os.pipe()
        self.opened = weakref.finalize(self, _close, file, reading)
        """To be called once the actor has opened both, to save descriptors."""
        # The actor sees the end of the pipe when this object or its process ends.
        weakref.finalize(self, _close, self._requests)
        os.ftruncate(file, SLOTS * _pages(block_bytes))
        self._blocks = _blocks(file, block_bytes)
        self.address = SlotsAddress(number, _path(file), _path(reading), filled, block_bytes)

    def request(self) -> None:
        """Request the next rollout."""
        with suppress(BrokenPipeError):  # the actor has died, as Ray will tell
            os.write(self._requests, b"+")

    def block(self, number: int) -> Block:
        """Return the memory of a rollout that was filled and not yet received."""
        block: Block = self._blocks[number % SLOTS]
        return block


class SlotWriter:
    """The slots of this process, an actor."""

    def __init__(self, address: SlotsAddress) -> None:
        with Path(address.slots).open("r+b") as file:
            self._blocks = _blocks(file.fileno(), address.block_bytes)
        self._requests = os.open(address.requests, os.O_RDONLY)
        weakref.finalize(self, _close, self._requests)
        self._filled = os.open(address.filled, os.O_WRONLY)
        weakref.finalize(self, _close, self._filled)
        self._message = _MESSAGE.pack(address.number)

    def requested(self) -> Iterator[Block]:
        """Wait for requests and yield the memory for each rollout, which is filled on return; end with the pool."""
        number = 0
        while os.read(self._requests, 1):
            yield self._blocks[number % SLOTS]
            number += 1
            try:
                os.write(self._filled, self._message)
            except BrokenPipeError:
                return


def _blocks(file: int, block_bytes: int) -> Block:
    size = _pages(block_bytes)
    return np.frombuffer(_map(file, SLOTS * size), np.uint8).reshape((SLOTS, size))


class FilledPipe:
    """Tells which actors have filled a slot."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        weakref.finalize(self, _close, self._reading, self._writing)
        os.set_blocking(self._reading, False)
        self.path = _path(self._writing)
        self.descriptor = self._reading

    def read(self) -> list[int]:
        """Return the number of the actor for each slot filled."""
        try:
            return [number for (number,) in _MESSAGE.iter_unpack(os.read(self._reading, 1 << 16))]
        except BlockingIOError:
            return []


class WakePipe:
    """Wakes up a thread that waits for what is in pipes."""

    def __init__(self) -> None:
        self.descriptor, self._writing = os.pipe()
        weakref.finalize(self, _close, self.descriptor, self._writing)

    def write(self) -> None:
        """Let `descriptor` be ready."""
        os.write(self._writing, b"+")

    def clear(self) -> None:
        """Let it be so no more; it must be."""
        os.read(self.descriptor, 1 << 12)
