"""Descriptors, threads and memory of a run by number of actors: measured on real clusters and fitted."""

import json
import resource
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from commands import assert_refused, python, redox_process, succeeded
from redox_balancer.impala.actor_pool import ActorPool
from redox_balancer.impala.cluster import ray_cluster
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs import preflight
from toy_envs import Shelves

ACTORS = (2, 8, 16, 32)
ROLLOUTS_PER_ACTOR = 20
KINDS = {"gcs_server": "gcs", "raylet/raylet": "raylet", "ray::Collector": "actor"}


def kind_of(process: psutil.Process) -> str:
    command = " ".join(process.cmdline()[:1])
    return next((kind for name, kind in KINDS.items() if name in command), "other")


def measure(num_actors: int) -> dict[str, Any]:
    """Largest descriptors by kind of process, and threads and memory, from the start of Ray to the last rollout."""
    peaks: dict[str, int] = defaultdict(int)
    over = threading.Event()

    def sample() -> None:
        driver = psutil.Process()
        threads = driver.num_threads()
        peaks["driver"] = max(peaks["driver"], driver.num_fds())
        for process in driver.children(recursive=True):
            try:
                kind, descriptors, own = kind_of(process), process.num_fds(), process.num_threads()
            except psutil.Error:
                continue
            peaks[kind] = max(peaks[kind], descriptors)
            peaks[f"{kind}_threads"] = max(peaks[f"{kind}_threads"], own)
            threads += own
        peaks["threads"] = max(peaks["threads"], threads)

    def watch() -> None:
        while not over.wait(0.2):
            sample()

    config = TrainConfig(num_actors=num_actors, object_store_bytes=100_000_000)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ray_cluster(config):
            pool = ActorPool(config, Shelves(), dict.fromkeys(range(num_actors), 0))
            parameters = pool.shape().initial(np.random.default_rng(0))
            received = 0
            version = 0
            while pool.ready < num_actors or received < ROLLOUTS_PER_ACTOR * num_actors:
                pool.publish(parameters, version)
                pool.request()
                received += len(pool.receive(1.0))
                version += 1
            sample()
            sizes: dict[str, list[int]] = defaultdict(list)
            for process in psutil.Process().children(recursive=True):
                sizes[kind_of(process)].append(process.memory_full_info().uss)
    finally:
        over.set()
        watcher.join()
    actors = sizes.pop("actor")
    rest_bytes = sum(size for others in sizes.values() for size in others)
    return {"actors": num_actors, "found": len(actors), "actor_bytes": max(actors), "rest_bytes": rest_bytes, **peaks}


PROGRAM = "import json, sys; from test_limits_drill import measure; print(json.dumps(measure(int(sys.argv[1]))))"


def measured(num_actors: int) -> dict[str, Any]:
    """Measure in a new process, so that no earlier cluster is counted."""
    answer = python(PROGRAM, num_actors, cwd=Path(__file__).parent)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def test_descriptors_threads_and_memory_follow_the_lines_that_preflight_uses() -> None:
    found = [measured(count) for count in ACTORS]
    for row in found:
        assert row["found"] == row["actors"]
        print(json.dumps(row))  # noqa: T201 - a drill prints its measurements
    lines = preflight.DESCRIPTORS | {"threads": preflight.THREADS, "rest_bytes": preflight.RAY_BYTES}
    for name, line in lines.items():
        slope, base = np.polyfit(ACTORS, [row[name] for row in found], 1)
        print(f"{name}: {base:.4g} + {slope:.4g} x actors; preflight has {line}")  # noqa: T201
        for row in found:
            assert row[name] <= line.at(row["actors"], preflight.MARGIN), (name, row)
    # Descriptors of an actor itself: no more at 32 actors than at 16, except for a few transient sockets.
    assert found[-1]["actor"] <= found[-2]["actor"] + 4
    assert max(row["actor"] for row in found) <= preflight.descriptors_needed(2)
    assert max(row["actor_bytes"] for row in found) <= 1.1 * preflight.ACTOR_BYTES


@pytest.mark.parametrize("num_actors", [2, 16])
def test_a_hard_limit_one_below_the_need_is_refused_and_the_need_itself_trains(
    num_actors: int, tmp_path: Path
) -> None:
    needed = preflight.descriptors_needed(num_actors)

    def limited_to(limit: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    refused = redox_process("doctor", "--num-actors", num_actors, cwd=tmp_path, limit=limited_to(needed - 1))
    assert_refused(refused, f"file limit: {needed - 1}", f"--nofile={needed}:", finding=True)
    run = ("train", "--num-actors", num_actors, "--timesteps", 20_000, "--checkpoint-dir", "run")
    succeeded(*run, "--object-store-bytes", 100_000_000, run=redox_process, cwd=tmp_path, limit=limited_to(needed))
    print(f"{num_actors} actors train with a hard limit of {needed} descriptors")  # noqa: T201
