"""An actor: a collector of rollouts in a Ray process of its own.

Its process imports NumPy, Gymnasium and the dependencies of its environments, but not torch.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from redox_balancer.errors import RedoxError
from redox_balancer.impala.packing import Block, Packing
from redox_balancer.impala.policy import Float32, PolicyShape
from redox_balancer.impala.rollout import EnvFactory, RolloutCollector
from redox_balancer.impala.shared_memory import SlotsAddress, SlotWriter, WeightsAddress, WeightsReader
from redox_balancer.resources import ProcessStats, memory, process_stats


class ActorHealth(NamedTuple):
    """Process statistics of an actor, and the memory of the node it runs on."""

    stats: ProcessStats
    node: str
    available_bytes: int
    total_bytes: int

    @property
    def numbers(self) -> tuple[int, ...]:
        """Everything but the node."""
        return *self.stats, self.available_bytes, self.total_bytes

    def renewed(self, numbers: Sequence[int]) -> Self:
        """Return a later report of the same actor from its `numbers`."""
        *stats, available_bytes, total_bytes = numbers
        return self._replace(stats=ProcessStats(*stats), available_bytes=available_bytes, total_bytes=total_bytes)


class ActorStartup(NamedTuple):
    """Startup report of an actor: sizes of the policy that fits its environments, its process and its health.

    `shares_memory` tells whether it can open the weights in the memory of the learner's process.
    """

    shape: PolicyShape
    pid: int
    health: ActorHealth
    shares_memory: bool


class CollectorActor:
    """A `RolloutCollector` in a process of its own.

    The environments are created in `prepare` and not in the constructor, because Ray passes on the exception of a
    method but only the text of one of a constructor.
    """

    _collector: RolloutCollector

    def prepare(
        self,
        factory: EnvFactory,
        settings: Mapping[str, Any],
        health_interval_s: float,
        collector: type[RolloutCollector] = RolloutCollector,
        weights: WeightsAddress | None = None,
    ) -> ActorStartup:
        """Create the environments; from then on health is reported every `health_interval_s` seconds."""
        self._collector = collector(factory, **settings)
        self._packing = Packing(self._collector.shape, length=settings["length"], count=settings["count"])
        self._node = str(ray.get_runtime_context().get_node_id())
        self._health_interval_s, self._reported_at = health_interval_s, time.monotonic()
        shares_memory = weights is not None and weights.within_reach()
        return ActorStartup(self._collector.shape, os.getpid(), self._health(), shares_memory)

    def play(self, weights: WeightsAddress, slots: SlotsAddress) -> None:
        """Play each rollout requested in shared memory with the newest weights, until the pool is gone."""
        reader = WeightsReader(weights, self._collector.shape.size)
        version = -1
        for block in SlotWriter(slots).requested():
            if (newer := reader.newer(version)) is not None:
                version = newer[1]
                self._collector.set_weights(*newer)
            self._write(block)

    def collect(self, parameters: Float32, version: int) -> Block:
        """Play one rollout with these parameters and return it as `Packing` writes it."""
        self._collector.set_weights(parameters, version)
        return self._write(np.empty(self._packing.block_bytes, np.uint8))

    def _write(self, block: Block) -> Block:
        """Play a rollout into a block; health is included when it is due."""
        rollout = self._collector.collect()
        if time.monotonic() - self._reported_at < self._health_interval_s:
            return self._packing.pack(rollout, block)
        self._reported_at = time.monotonic()
        return self._packing.pack(rollout, block, self._health().numbers)

    def _health(self) -> ActorHealth:
        return ActorHealth(process_stats(), self._node, *memory())


class ActorLostError(Exception):
    """The process of an actor has ended, or its result was lost with the node that held it."""


def fetch(reference: Any) -> Any:
    """Return a result that is ready, or raise the exception of the actor as it was raised there.

    An `ActorLostError` where the actor was lost or ran out of memory: another process may succeed.
    """
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, RedoxError):
            raise error.cause from error
        if isinstance(error.cause, MemoryError):
            raise ActorLostError("it ran out of memory") from error
        raise
    except RayError as error:
        raise ActorLostError(str(error).splitlines()[0]) from error
