"""An actor: a collector of rollouts in a Ray process of its own.

Its process imports NumPy, Gymnasium and the dependencies of its environments, but not torch.
"""

import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError

from redox_balancer.errors import RedoxError
from redox_balancer.impala.policy import Float32, PolicyShape
from redox_balancer.impala.rollout import EnvFactory, Rollout, RolloutCollector
from redox_balancer.resources import ProcessStats, memory, process_stats


class ActorHealth(NamedTuple):
    """Process statistics of an actor, and the memory of the node it runs on."""

    stats: ProcessStats
    node: str
    available_bytes: int
    total_bytes: int


class ActorStartup(NamedTuple):
    """Startup report of an actor: sizes of the policy that fits its environments, its process and its health."""

    shape: PolicyShape
    pid: int
    health: ActorHealth


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
    ) -> ActorStartup:
        """Create the environments; from then on health is reported every `health_interval_s` seconds."""
        self._collector = collector(factory, **settings)
        self._node = str(ray.get_runtime_context().get_node_id())
        self._health_interval_s = health_interval_s
        return ActorStartup(self._collector.shape, os.getpid(), self._health())

    def collect(self, parameters: Float32, version: int) -> tuple[Rollout, ActorHealth | None]:
        """Play one rollout with these parameters; the health is included when it is due."""
        self._collector.set_weights(parameters, version)
        rollout = self._collector.collect()
        due = time.monotonic() - self._reported_at >= self._health_interval_s
        return rollout, self._health() if due else None

    def _health(self) -> ActorHealth:
        self._reported_at = time.monotonic()
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
