"""Ray: the cluster with its settings, and the actors that collect rollouts.

An actor's process imports NumPy, Gymnasium and what its environments need, but not torch.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import ray
from ray.exceptions import RayActorError, RayTaskError

from redox_balancer.errors import RedoxError
from redox_balancer.learning.config import MIN_OBJECT_STORE_BYTES, TrainConfig
from redox_balancer.learning.policy import Float32, PolicyShape
from redox_balancer.learning.rollout import EnvFactory, Rollout, RolloutCollector

# Two tasks at each actor: it starts the second while the first one's result travels.
OUTSTANDING_PER_ACTOR = 2

# Read by Ray's own processes when they start, not by ray.init.
RAY_ENVIRONMENT = {
    # By default a worker starts threads in proportion to the cores of the machine; with a hundred workers on a
    # hundred cores they reach the limit of processes.
    "RAY_worker_num_grpc_internal_threads": "1",
    "RAY_core_worker_num_server_call_thread": "1",
    # Else Ray starts an idle worker per core; our actors need their own environment and never use those.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_object_spilling_threshold": "0.8",
    # Ray's memory monitor kills whichever worker it chooses.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

# One core for each actor: its arrays are small, and threads of many actors would fight for the cores.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
ACTOR_ENVIRONMENT = dict.fromkeys(THREAD_VARIABLES, "1")


def object_store_bytes(config: TrainConfig) -> int:
    """Return the size of the object store: as set, else a tenth of memory, at most 1 GB and half of /dev/shm.

    It holds the weights and a few rollouts for each actor, below 1 MB each.
    """
    if config.object_store_bytes:
        return config.object_store_bytes
    wanted = min(psutil.virtual_memory().total // 10, 1_000_000_000)
    if os.path.isdir("/dev/shm"):  # noqa: PTH112, S108 - Ray's own place for the store
        wanted = min(wanted, psutil.disk_usage("/dev/shm").free // 2)  # noqa: S108
    return max(wanted, MIN_OBJECT_STORE_BYTES)


@contextmanager
def ray_cluster(config: TrainConfig) -> Iterator[None]:
    """Start Ray on this machine, or join the cluster at `config.ray_address`; leave it at the end."""
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "error",
        "runtime_env": {"env_vars": ACTOR_ENVIRONMENT},
    }
    if config.ray_address:
        options["address"] = config.ray_address
    else:
        options |= {
            "address": "local",
            "num_cpus": config.num_actors,
            "object_store_memory": object_store_bytes(config),
            "include_dashboard": False,
        }
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"at {config.ray_address}" if config.ray_address else "on this machine"
        raise RedoxError(
            f"Ray does not start {where}: {str(error).splitlines()[0]}",
            hint="--num-actors 0 trains without Ray",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


class CollectorActor:
    """A `RolloutCollector` in a process of its own.

    It makes its environments in `prepare` and not when it is created: Ray hands on the error of a method, but turns
    one of the constructor into text.
    """

    _collector: RolloutCollector

    def prepare(self, factory: EnvFactory, settings: Mapping[str, Any]) -> PolicyShape:
        """Make the environments and return the sizes of the policy that fits them."""
        self._collector = RolloutCollector(factory, **settings)
        return self._collector.shape

    def collect(self, parameters: Float32, version: int) -> Rollout:
        """Play one rollout with these parameters."""
        self._collector.set_weights(parameters, version)
        return self._collector.collect()


class ActorPool:
    """The actors of a run and their unfinished rollouts.

    Parameters
    ----------
    config
        Settings of the run.
    factory
        Makes the environments.
    incarnations
        Which process of its name each actor is; a new one draws other random numbers.
    """

    def __init__(self, config: TrainConfig, factory: EnvFactory, incarnations: Mapping[int, int]) -> None:
        remote: Any = ray.remote(num_cpus=1)(CollectorActor)
        shared = ray.put(factory)
        self._actors: dict[int, Any] = {actor: remote.remote() for actor in incarnations}
        self._prepared = [
            self._actors[actor].prepare.remote(
                shared,
                {
                    "count": config.envs_per_actor,
                    "length": config.rollout_length,
                    "hidden_sizes": config.hidden_sizes,
                    "seed": config.seed,
                    "actor": actor,
                    "incarnation": incarnation,
                },
            )
            for actor, incarnation in incarnations.items()
        ]
        # Actors that may be asked for a rollout, once for each place in their queue; the first in gets asked first.
        self._free = deque(actor for _ in range(OUTSTANDING_PER_ACTOR) for actor in self._actors)
        self._pending: dict[Any, int] = {}
        self._weights: Any = None
        self._version = -1

    def shape(self) -> PolicyShape:
        """Wait until every actor has its environments and return the sizes of the policy that fits them."""
        shapes: list[PolicyShape] = self._get(self._prepared)
        return shapes[0]

    def publish(self, parameters: Float32, version: int) -> None:
        """Give these parameters to every rollout that is asked for from now on."""
        if version != self._version:
            self._weights, self._version = ray.put(parameters), version

    def request(self) -> None:
        """Ask every free actor for rollouts."""
        while self._free:
            actor = self._free.popleft()
            self._pending[self._actors[actor].collect.remote(self._weights, self._version)] = actor

    def receive(self, timeout_s: float) -> list[Rollout]:
        """Return the rollouts that are ready, after `timeout_s` seconds at most; a dead actor is a RedoxError."""
        if not self._pending:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = ray.wait(list(self._pending), num_returns=len(self._pending), timeout=0)
        rollouts: list[Rollout] = self._get(ready)
        self._free.extend(self._pending.pop(reference) for reference in ready)
        return rollouts

    @staticmethod
    def _get(references: list[Any]) -> list[Any]:
        try:
            results: list[Any] = ray.get(references)
        except RayTaskError as error:
            if isinstance(error.cause, RedoxError):
                raise error.cause from error
            raise
        except RayActorError as error:
            raise RedoxError(
                f"an actor died: {str(error).splitlines()[0]}", hint="redox train --resume auto goes on"
            ) from error
        return results
