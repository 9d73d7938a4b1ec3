"""The environment of a training in its container: user, limits, threads, folders, Ray."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from containers import FLAGS, SETTINGS, Engine, Training
from infra.container import Flags

STORE = 100_000_000

# Name, user, environment and limits of every process.
PROCESSES = """
import json
from pathlib import Path
found = []
for folder in Path("/proc").glob("[0-9]*"):
    try:
        words = (folder / "cmdline").read_bytes().replace(b"\\0", b" ").decode()
        variables = (folder / "environ").read_bytes().decode().split("\\0")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        limits = (folder / "limits").read_text()
    except OSError:
        continue  # it just ended
    found.append({
        "pid": int(folder.name), "words": words, "uid": status["Uid"].split(), "caps": status["CapEff"].strip(),
        "environment": dict(v.split("=", 1) for v in variables if "=" in v), "limits": limits,
    })
print(json.dumps(found))
"""

# Joins the cluster of the training, and puts more into its object store than fits.
CLUSTER = f"""
import json, ray
from pathlib import Path
import numpy as np
ray.init(address="auto", log_to_driver=False, logging_level="error")
kept = [ray.put(np.full(10_000_000, i, dtype=np.uint8)) for i in range({2 * STORE // 10_000_000})]
whole = all(int(ray.get(one)[-1]) == i for i, one in enumerate(kept))
print(json.dumps({{
    "store": ray.cluster_resources()["object_store_memory"],
    "whole": whole,
    "spilled": sum(path.stat().st_size for path in Path("/data/spill").rglob("*") if path.is_file()),
}}))
"""


@pytest.fixture(scope="module")
def training(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    runs = tmp_path_factory.mktemp("inside") / "experiments"
    runs.mkdir()
    runs.chmod(0o1777)
    with engine.training(runs, "--object-store-bytes", str(STORE)) as found:
        found.heartbeat(lambda beat: beat.actors_alive == 2 and beat.step > 0, "two actors collect")
        yield found


@pytest.fixture(scope="module")
def processes(training: Training) -> list[dict[str, Any]]:
    return training.inside(PROCESSES)


def test_pid_1_is_tini_and_no_process_is_root_or_has_a_capability(processes: list[dict[str, Any]]) -> None:
    uid = str(SETTINGS.container.uid)
    assert next(process for process in processes if process["pid"] == 1)["words"].startswith("tini -- /entrypoint.sh")
    for process in processes:
        assert process["uid"] == [uid] * 4, process["words"]
        assert int(process["caps"], 16) == 0, process["words"]


def test_actors_have_one_thread_each_and_find_the_package_that_the_host_does_not_offer(
    processes: list[dict[str, Any]],
) -> None:
    assert "PYTHONPATH" not in os.environ or SETTINGS.container.app not in os.environ["PYTHONPATH"]
    actors = [process for process in processes if process["words"].startswith("ray::CollectorActor")]
    assert len(actors) == 2
    for process in [*actors, *(one for one in processes if "raylet/raylet" in one["words"])]:
        found = process["environment"]
        assert found["PYTHONPATH"].split(":")[-1] == SETTINGS.container.app
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
            assert found[name] == "1", (name, process["words"])
        assert found["RAY_worker_num_grpc_internal_threads"] == "1"
        assert found["RAY_object_spilling_threshold"] == "0.8"
        assert found["RAY_memory_monitor_refresh_ms"] == "0"


def test_limits_are_those_of_the_settings_or_what_this_machine_allows_with_a_warning(
    training: Training, processes: list[dict[str, Any]]
) -> None:
    for process in processes:
        [files] = re.findall(r"^Max open files +(\d+) +(\d+)", process["limits"], flags=re.MULTILINE)
        [threads] = re.findall(r"^Max processes +(\d+) +(\d+)", process["limits"], flags=re.MULTILINE)
        assert files == (str(FLAGS.nofile),) * 2
        assert threads == (str(FLAGS.nproc),) * 2
    warned = f"nofile is {FLAGS.nofile}, the settings ask for {SETTINGS.limits.nofile}" in training.log()
    assert warned is (FLAGS.nofile < SETTINGS.limits.nofile)


def test_the_container_has_the_flags(training: Training) -> None:
    host = training.container.attrs["HostConfig"]
    limits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]}
    assert limits == {"nofile": (FLAGS.nofile,) * 2, "nproc": (FLAGS.nproc,) * 2}
    assert host["ShmSize"] == FLAGS.shm_bytes
    assert host["PidsLimit"] == FLAGS.nproc
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert training.container.attrs["Config"]["StopTimeout"] == SETTINGS.limits.stop_timeout_s


def test_a_container_with_the_limits_of_the_settings_can_be_created(engine: Engine) -> None:
    # Created and not started: a machine may forbid a limit above its own.
    command = engine.command(flags=Flags.of(SETTINGS))
    command[1] = "create"
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    container = engine.client.containers.get(name)
    try:
        limits = {limit["Name"]: limit["Hard"] for limit in container.attrs["HostConfig"]["Ulimits"]}
        assert limits == {"nofile": 1_048_576, "nproc": 65_536}
        assert container.attrs["HostConfig"]["ShmSize"] == SETTINGS.training.shm_bytes
    finally:
        container.remove(v=True)


def test_the_run_records_its_commit(training: Training) -> None:
    written = json.loads((training.run / "config.json").read_text())
    label = training.container.labels["org.opencontainers.image.revision"]
    assert written["git_commit"] == label
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", label)


def test_only_the_named_folders_can_be_written(training: Training) -> None:
    code = """
import json, os, tempfile
folders = ["/", "/opt/redox/app", "/usr", "/etc", "/tmp", "/dev/shm", "/data", "/data/spill", "/data/experiments"]
def writable(folder):
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
print(json.dumps([folder for folder in folders if writable(folder)]))
"""
    assert training.inside(code) == ["/tmp", "/dev/shm", "/data/spill", "/data/experiments"]  # noqa: S108


def test_the_running_cluster_has_the_object_store_of_the_flag_and_spills_to_the_volume(training: Training) -> None:
    found = training.inside(CLUSTER)
    assert found["store"] == STORE
    assert found["whole"]
    assert found["spilled"] > STORE // 2
