"""The Ray cluster of a run and its settings."""

import math
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private.state import available_resources_per_node  # there is no public name
from ray.job_config import JobConfig

from redox_balancer.errors import EXIT_UNREACHABLE, EXIT_USER_ERROR, RedoxError
from redox_balancer.impala.config import MIN_OBJECT_STORE_BYTES, TrainConfig
from redox_balancer.impala.scale_up import ActorMemory
from redox_balancer.resources import MEBIBYTE, ProcessStats, in_own_source, process_stats

# Read by the processes of Ray when they start, not by ray.init.
RAY_ENVIRONMENT = {
    # By default a worker starts threads in proportion to the cores of the machine; a hundred workers on a hundred
    # cores reach the process limit.
    "RAY_worker_num_grpc_internal_threads": "1",
    "RAY_core_worker_num_server_call_thread": "1",
    # Otherwise Ray starts an idle worker per core, which our actors, with an environment of their own, never use.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_object_spilling_threshold": "0.8",
    # Ray's memory monitor kills whichever worker it chooses.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

# Both open more files with every actor; the first system crashed when they ran out of descriptors.
DAEMONS = ("raylet", "gcs_server")

# One thread per actor: its arrays are small, and threads of many actors would compete for the cores.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
ACTOR_ENVIRONMENT = dict.fromkeys(THREAD_VARIABLES, "1")


def object_store_bytes(config: TrainConfig) -> int:
    """Return the size of the object store: as set, else a tenth of the memory, at most 1 GB and half of /dev/shm.

    It holds the weights and a few rollouts per actor, less than 1 MB each.
    """
    if config.object_store_bytes:
        return config.object_store_bytes
    wanted = min(psutil.virtual_memory().total // 10, 1_000_000_000)
    if os.path.isdir("/dev/shm"):  # noqa: PTH112, S108 - where Ray puts the store
        wanted = min(wanted, psutil.disk_usage("/dev/shm").free // 2)  # noqa: S108
    return max(wanted, MIN_OBJECT_STORE_BYTES)


def actor_memory(config: TrainConfig) -> ActorMemory:
    """Return the memory limits of the actors: of each one as set, else of all together; Ray must be running."""
    if config.actor_memory_mb:
        return ActorMemory(config.actor_memory_mb * MEBIBYTE, math.inf)
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return ActorMemory(math.inf, resources["memory"])


def free_cores() -> float:
    """Return the number of cores of the cluster that no actor holds."""
    resources: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return resources.get("CPU", 0.0)


def cores_of_nodes(*, free: bool = False) -> list[float]:
    """Return the number of cores of each node of the cluster, or of those that nothing holds."""
    if free:
        found: dict[str, dict[str, float]] = available_resources_per_node()  # type: ignore[no-untyped-call]
        return [node.get("CPU", 0.0) for node in found.values()]
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"].get("CPU", 0.0) for node in nodes if node["Alive"]]


def own_address() -> str:
    """Return the address of this node, as the other nodes of the cluster see it."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def ray_daemons() -> dict[str, ProcessStats]:
    """Return statistics of the Ray daemons started by this process; empty where a cluster was joined."""
    found = {}
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            if (name := child.name()) in DAEMONS:
                found[name] = process_stats(child.pid)
    return found


def dashboard_options(config: TrainConfig) -> dict[str, Any]:
    """Return the options of `ray.init` for the dashboard: off by default, since it runs programs for all clients."""
    host, _, port = config.dashboard.rpartition(":")
    address = {"dashboard_host": host or "127.0.0.1", "dashboard_port": int(port)} if config.dashboard else {}
    return {"include_dashboard": bool(config.dashboard), **address}


class _OwnPath(JobConfig):
    """Settings of a job whose workers do not get the working folder on their path.

    Ray would put it first, where a user's own `torch.py` takes the place of torch. It refrains from that for a job
    that brings a folder of its own.
    """

    def _runtime_env_has_working_dir(self) -> bool:
        return True


def _home_can_keep_a_token() -> bool:
    """Whether Ray can write the token of its clusters, or has one; some services and containers have no home."""
    if "RAY_AUTH_TOKEN_PATH" in os.environ:
        return True
    try:
        folder = Path.home() / ".ray"  # where Ray looks for it
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return False
    return os.access(folder, os.W_OK) or (folder / "auth_token").is_file()


@contextmanager
def _hangup_blocked() -> Iterator[None]:
    """Start processes that do not see SIGHUP: a closed terminal sends it to all, and the trainer has to save first.

    Ray itself does the same for SIGINT.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ray_cluster(config: TrainConfig) -> Iterator[None]:
    """Start Ray on this machine or join the cluster at `config.ray_address`; shut down or leave at the end."""
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not _home_can_keep_a_token():
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "error",
        "job_config": JobConfig() if in_own_source() else _OwnPath(),
        "runtime_env": {"env_vars": ACTOR_ENVIRONMENT},
    }
    if config.ray_address:
        options["address"] = config.ray_address
    else:
        options |= {
            "address": "local",
            "num_cpus": config.num_actors,
            "object_store_memory": object_store_bytes(config),
            **dashboard_options(config),
        }
    before = signal.getsignal(signal.SIGTERM)
    try:
        with _hangup_blocked():
            ray.init(**options)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray installs a handler that ends the process
    except Exception as error:
        # Ray raises a bare Exception where its own processes take too long to start, on a busy machine for example.
        slow, denied = type(error) is Exception, isinstance(error, FileNotFoundError | PermissionError)
        if not slow and not isinstance(error, (ConnectionError, RuntimeError, ValueError, OSError)):
            raise
        where = f"at {config.ray_address}" if config.ray_address else "on this machine"
        raise RedoxError(
            f"Ray cannot be started {where}: {str(error).splitlines()[0]}",
            hint=f"{'try again; ' if slow else 'is TMPDIR writable? ' if denied else ''}0 actors train without Ray",
            settings=("num_actors",),
            exit_code=EXIT_UNREACHABLE if slow else EXIT_USER_ERROR,
        ) from error
    try:
        if config.learner_resource:
            _require_resource(config.learner_resource)
        yield
    finally:
        ray.shutdown()


def _require_resource(resource: str) -> None:
    """Raise a RedoxError unless this node, on which the learner runs, offers the resource."""
    here = ray.get_runtime_context().get_node_id()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    offering = [node["NodeManagerHostname"] for node in nodes if node["Alive"] and resource in node["Resources"]]
    if not any(node["NodeID"] == here and resource in node["Resources"] for node in nodes):
        raise RedoxError(
            f"this node of the cluster does not offer {resource!r}",
            hint=f"train on {' or '.join(offering)}"
            if offering
            else f"start Ray on one node with the resource {resource}: 1, and train there",
            settings=("learner_resource",),
        )
