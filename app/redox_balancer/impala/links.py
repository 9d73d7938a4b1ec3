"""The ways of weights to the actors and of rollouts back: shared memory on the learner's host, else Ray's store."""

import math
import os
import select
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Any, Protocol
from weakref import WeakSet, WeakValueDictionary

import ray

from redox_balancer.errors import RedoxError
from redox_balancer.impala.actor import ActorLostError, fetch
from redox_balancer.impala.config import TrainConfig
from redox_balancer.impala.packing import Packing
from redox_balancer.impala.policy import Float32, PolicyShape
from redox_balancer.impala.rollout import Rollout
from redox_balancer.impala.shared_memory import SLOTS, FilledPipe, PublishedWeights, Slots, WakePipe, WeightsAddress
from redox_balancer.resources import MEBIBYTE, memory

LOOK_S = 0.25  # between two looks at Ray's references, each of which costs more than a rollout in shared memory
LOOK_OFTEN_S = 0.002  # the same where rollouts come through Ray

Received = tuple[Rollout, list[int]]
"""A rollout and what it says about the health of its actor, empty where it says nothing."""


class Link(Protocol):
    """The way of the rollouts of one process of an actor."""

    @property
    def references(self) -> Sequence[Any]:
        """Ray's references that are ready when there is a rollout, or the actor has ended."""
        ...

    def request(self) -> None:
        """Request a rollout."""
        ...

    def take(self, ready: set[Any]) -> Iterator[Received]:
        """Yield the rollouts that are there, oldest first, given the references that are ready.

        An exception of the actor is raised as `fetch` does.
        """
        ...


class _SharedLink:
    """The actor plays in one call of Ray, and rollouts are in shared memory."""

    def __init__(self, actor: int, handle: Any, slots: Slots, weights: WeightsAddress, packing: Packing) -> None:
        self.actor, self._slots, self._packing = actor, slots, packing
        self.filled = self._taken = 0
        self._playing = handle.play.remote(weights, slots.address)
        self.request = slots.request

    @property
    def references(self) -> Sequence[Any]:
        return (self._playing,)

    def take(self, ready: set[Any]) -> Iterator[Received]:
        while self._taken < self.filled:
            self._slots.opened()
            yield self._packing.unpack(self._slots.block(self._taken))
            self._taken += 1
        if self._playing in ready:
            fetch(self._playing)
            raise ActorLostError("it has lost its shared memory")


class _RayLink:
    """Each rollout is a call of Ray with its result in Ray's store."""

    def __init__(self, handle: Any, transport: "Transport", packing: Packing) -> None:
        self._handle, self._transport, self._packing = handle, transport, packing
        self._pending = deque[Any]()

    @property
    def references(self) -> Sequence[Any]:
        return self._pending

    def request(self) -> None:
        self._pending.append(self._handle.collect.remote(*self._transport.stored_weights()))

    def take(self, ready: set[Any]) -> Iterator[Received]:
        while self._pending and self._pending[0] in ready:
            block = fetch(self._pending[0])
            self._pending.popleft()
            yield self._packing.unpack(block)


class Transport:
    """Weights and rollouts of a pool of actors.

    Attributes
    ----------
    address
        Where actors find the weights in shared memory; None where the system has no files without a name.
    """

    def __init__(self) -> None:
        self._weights = self._create_weights()
        self.address = self._weights.address if self._weights else None
        self._numbers, self._shared = count(), WeakValueDictionary[int, _SharedLink]()
        self._through_ray = WeakSet[_RayLink]()
        self._look_at = 0.0
        self._filled, self._woken = FilledPipe(), WakePipe()
        self.wake = self._woken.write
        """To end the present or the next `wait`, called by another thread."""
        self._either, self._only_woken = select.poll(), select.poll()
        self._either.register(self._filled.descriptor, select.POLLIN)
        for each in self._either, self._only_woken:
            each.register(self._woken.descriptor, select.POLLIN)
        self._newest: tuple[Float32 | None, int] = (None, -1)
        self._stored: tuple[Any, int] = (None, -1)

    def _create_weights(self) -> PublishedWeights | None:
        return PublishedWeights() if hasattr(os, "memfd_create") else None

    def open(self, config: TrainConfig, shape: PolicyShape, actors: int) -> None:
        """Make room for the weights and the rollouts of so many actors; a RedoxError where the memory lacks it."""
        self._packing = Packing(shape, length=config.rollout_length, count=config.envs_per_actor)
        needed, free = SLOTS * actors * self._packing.block_bytes, memory().available_bytes
        if needed > free:
            raise RedoxError(
                f"rollouts of {actors} actors take {needed / MEBIBYTE:,.0f} MB, and {free / MEBIBYTE:,.0f} are free",
                hint="shorten the rollouts, or start fewer actors",
                settings=("rollout_length", "envs_per_actor", "num_actors"),
            )
        if self._weights is not None:
            self._weights.open(shape.size)

    def connect(self, actor: int, handle: Any, *, shares_memory: bool) -> Link:
        """Return the link of an actor that has its environments and can, or cannot, open the weights."""
        if not shares_memory or self._weights is None:
            stored = _RayLink(handle, self, self._packing)
            self._through_ray.add(stored)
            return stored
        number = next(self._numbers)
        slots = Slots(number, self._packing.block_bytes, self._filled.path)
        link = _SharedLink(actor, handle, slots, self._weights.address, self._packing)
        self._shared[number] = link
        return link

    def publish(self, parameters: Float32, version: int) -> None:
        """Use these parameters for every rollout that begins from now on."""
        if version != self._newest[1]:
            self._newest = parameters, version
            if self._weights is not None:
                self._weights.publish(parameters, version)

    def stored_weights(self) -> tuple[Any, int]:
        """Return a reference to the newest weights in Ray's store, and their version."""
        parameters, version = self._newest
        if self._stored[1] != version:
            self._stored = ray.put(parameters), version
        return self._stored

    def wait(
        self, timeout_s: float, references: Iterable[Sequence[Any]], enough: float = 1
    ) -> tuple[Iterable[int], set[Any] | None]:
        """Wait until there are `enough` rollouts in shared memory, and return the actors with one there.

        Now and then look at Ray's references and return those that are ready as well, otherwise None.
        """
        filled: dict[int, None] = {}
        now = time.monotonic()
        until = min(now + timeout_s, self._look_at)
        poll = (self._either if enough < math.inf else self._only_woken).poll
        while enough > 0:
            ready = [descriptor for descriptor, _ in poll(max(0, math.ceil(1000 * (until - now))))]
            if self._woken.descriptor in ready:
                self._woken.clear()
            numbers = self._filled.read()
            for number in numbers:
                link = self._shared.get(number)
                if link is not None:  # else a replaced actor has finished a rollout before it died
                    link.filled += 1
                    filled[link.actor] = None
            enough = enough - len(numbers) if ready == [self._filled.descriptor] else 0
            now = time.monotonic()
        if now < self._look_at:
            return filled, None
        self._look_at = now + (LOOK_OFTEN_S if self._through_ray else LOOK_S)
        every = list(chain.from_iterable(references))
        return filled, set(ray.wait(every, num_returns=len(every), timeout=0)[0]) if every else set()


class RayTransport(Transport):
    """Every actor is treated as one on another host."""

    def _create_weights(self) -> None:
        """No actor shares them."""
