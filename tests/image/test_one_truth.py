"""Dockerfile, entrypoint, health check, compose file and limits.conf say what the settings and the trainer say.

They cannot read Python, so each repeats some figures; here they are held together. No engine is needed.
"""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from infra.container import Flags
from infra.settings import ROOT, load
from redox_balancer.impala.cluster import MIN_OBJECT_STORE_BYTES, RAY_ENVIRONMENT, THREAD_VARIABLES
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.checks import MARGIN, THREADS, descriptors_needed

SETTINGS = load()
CONTAINER = SETTINGS.container
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENTRYPOINT = ROOT / "docker" / "entrypoint.sh"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def environment() -> dict[str, str]:
    """What the Dockerfile sets, without continued lines and comments."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", DOCKERFILE))
    return dict(
        part.split("=", 1)
        for line in joined.splitlines()
        if line.startswith("ENV ")
        for part in line.removeprefix("ENV ").split()
    )


def compose(value: Any) -> Any:
    """A value of the compose file as it is when no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) if isinstance(value, str) else value


def bash(function: str, *arguments: object) -> str:
    """What a function of the entrypoint prints."""
    source = ENTRYPOINT.read_text().partition("\nmode=")[0]
    command = ["bash", "-c", f'{source}\n{function} "$@"', "test", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_image_has_the_settings_of_threads_ray_and_limits() -> None:
    found = environment()
    threads = {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"}
    assert threads <= set(THREAD_VARIABLES)
    assert {name: found[name] for name in threads} == dict.fromkeys(threads, str(SETTINGS.threads.actor))
    assert {name: found[name] for name in RAY_ENVIRONMENT} == RAY_ENVIRONMENT
    assert found["RAY_worker_num_grpc_internal_threads"] == str(SETTINGS.threads.ray_grpc)
    assert found["RAY_object_spilling_threshold"] == str(SETTINGS.training.spilling_threshold)
    assert found["RAY_memory_monitor_refresh_ms"] == str(SETTINGS.training.memory_monitor_refresh_ms)
    assert found["RAY_object_spilling_directory"] == CONTAINER.spill
    assert found["REDOX_EXPERIMENTS"] == CONTAINER.experiments
    assert found["REDOX_NOFILE"] == str(SETTINGS.limits.nofile)
    assert found["REDOX_NPROC"] == str(SETTINGS.limits.nproc)
    assert found["PYTHONPATH"] == CONTAINER.app
    assert found["PATH"].startswith(f"{CONTAINER.venv}/bin:")


def test_the_image_runs_as_the_user_of_the_settings_under_tini_and_has_no_syntax_an_engine_would_look_up() -> None:
    assert f"useradd --uid {CONTAINER.uid} --gid {CONTAINER.user} " in DOCKERFILE
    assert f"groupadd --gid {CONTAINER.uid} {CONTAINER.user} " in DOCKERFILE
    assert f"USER {CONTAINER.uid}:{CONTAINER.uid}\n" in DOCKERFILE
    assert f"/data {CONTAINER.experiments} {CONTAINER.spill}\n" in DOCKERFILE
    assert CONTAINER.data == "/data"
    assert 'ENTRYPOINT ["tini", "--", "/entrypoint.sh"]' in DOCKERFILE
    assert "# syntax=" not in DOCKERFILE
    assert "<<" not in DOCKERFILE
    assert not re.search(r"(?m)^FROM .*@sha256:", DOCKERFILE)
    assert re.search(r"(?m)^ARG BASE_IMAGE=\S+@sha256:[0-9a-f]{64}$", DOCKERFILE)


@pytest.mark.parametrize("actors", [0, 1, 2, 3, 10, 30, 60, 120])
def test_the_entrypoint_refuses_by_the_figures_of_the_trainer_rounded_up(actors: int) -> None:
    files, processes = (int(bash(f"{name}_needed", actors)) for name in ("files", "processes"))
    assert descriptors_needed(actors) <= files <= descriptors_needed(actors) + 25
    assert THREADS.at(actors, MARGIN) <= processes <= THREADS.at(actors, MARGIN) + 2


def test_the_entrypoint_knows_the_trainers_defaults_and_reads_options_as_it_does() -> None:
    text = ENTRYPOINT.read_text()
    assert f"DEFAULT_ACTORS={TrainConfig().num_actors} " in text
    assert f"LEAST_SHM={MIN_OBJECT_STORE_BYTES * 11 // 10} " in text
    arguments = ["--num-actors", "3", "--seed", "5", "--num-actors=4"]
    assert bash("option", "--num-actors", 2, *arguments) == "4"
    assert bash("option", "--num-actors", 2, *arguments[2:4]) == "2"
    assert bash("option", "--seed", 0, *arguments) == "5"


def test_the_health_check_allows_several_beats_and_the_replacement_of_an_actor() -> None:
    text = (ROOT / "docker" / "healthcheck.sh").read_text()
    heartbeat_s = int(re.findall(r"^HEARTBEAT_S=(\d+)", text, flags=re.MULTILINE)[0])
    update_s = int(re.findall(r"^UPDATE_S=(\d+)", text, flags=re.MULTILINE)[0])
    assert heartbeat_s >= 6 * TrainConfig().heartbeat_interval_s
    assert update_s >= 2 * TrainConfig().actor_timeout_s


def test_limits_conf_raises_the_file_limit_of_everybody_and_of_the_user() -> None:
    lines = [line.split() for line in (ROOT / "docker" / "limits.conf").read_text().splitlines()]
    limit = str(SETTINGS.limits.nofile)
    assert lines == [[who, kind, "nofile", limit] for who in ("*", CONTAINER.user) for kind in ("soft", "hard")]


def test_the_compose_file_has_the_flags_of_docker_run() -> None:
    trainer = COMPOSE["services"]["trainer"]
    nofile, nproc = SETTINGS.limits.nofile, SETTINGS.limits.nproc
    ulimits = {
        name: {kind: int(compose(value)) for kind, value in both.items()} for name, both in trainer["ulimits"].items()
    }
    assert ulimits == {"nofile": {"soft": nofile, "hard": nofile}, "nproc": {"soft": nproc, "hard": nproc}}
    in_words = {
        "--read-only": trainer["read_only"] is True,
        f"--pids-limit={nproc}": int(compose(trainer["pids_limit"])) == nproc,
        f"--stop-timeout={SETTINGS.limits.stop_timeout_s}": (
            trainer["stop_grace_period"] == f"{SETTINGS.limits.stop_timeout_s}s"
        ),
        "--cap-drop=ALL": trainer["cap_drop"] == ["ALL"],
        "--security-opt=no-new-privileges": trainer["security_opt"] == ["no-new-privileges"],
        f"--volume={CONTAINER.spill}": CONTAINER.spill in trainer["volumes"],
    }
    assert all(in_words.values()), in_words
    sized = ("--tmpfs", "--ulimit", "--shm-size")  # for a laptop, not for the host
    asked = [flag for flag in Flags.of(SETTINGS).arguments(CONTAINER) if not flag.startswith(sized)]
    assert sorted(asked) == sorted(in_words)
    [tmpfs] = trainer["tmpfs"]
    given = next(flag for flag in Flags.of(SETTINGS).arguments(CONTAINER) if flag.startswith("--tmpfs="))
    assert re.sub(r"size=\d+", "", f"--tmpfs={compose(tmpfs)}") == re.sub(r"size=\d+", "", given)
    assert f"./experiments:{CONTAINER.experiments}" in trainer["volumes"]


def test_the_compose_file_shows_tensorboard_on_its_port_of_this_machine_only() -> None:
    board = COMPOSE["services"]["tensorboard"]
    port = SETTINGS.ports.tensorboard
    assert board["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert board["command"][-1] == str(port)
    assert board["volumes"] == [f"./experiments:{CONTAINER.experiments}:ro"]
    for service in COMPOSE["services"].values():
        assert compose(service["image"]) == f"{CONTAINER.image}:latest"


def test_make_names_the_image_of_the_settings() -> None:
    assert f"\nIMAGE := {CONTAINER.image}\n" in (ROOT / "Makefile").read_text()
