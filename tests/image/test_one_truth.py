"""Entrypoint, health check and compose file agree with the settings and the trainer; no engine is needed."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from infra.container import Flags
from infra.machine.contract import FRESH_S, UPDATE_S
from infra.settings import ROOT, load
from ops.remote.image import SMOKE_S
from redox_balancer.impala.cluster import MIN_OBJECT_STORE_BYTES
from redox_balancer.impala.config import TrainConfig
from redox_balancer.runs.preflight import MARGIN, THREADS, descriptors_needed

SETTINGS = load()
CONTAINER = SETTINGS.container
ENTRYPOINT = ROOT / "docker" / "entrypoint.sh"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def compose(value: Any) -> Any:
    """A value of the compose file when no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) if isinstance(value, str) else value


def bash(function: str, *arguments: object) -> str:
    """The output of a function of the entrypoint."""
    source = ENTRYPOINT.read_text().partition("\nmode=")[0]
    command = ["bash", "-c", f'{source}\n{function} "$@"', "test", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("actors", [0, 1, 2, 3, 10, 30, 60, 120])
def test_the_entrypoint_requires_the_limits_of_the_trainer_rounded_up(actors: int) -> None:
    files, processes = (int(bash(f"{name}_needed", actors)) for name in ("files", "processes"))
    assert descriptors_needed(actors) <= files <= descriptors_needed(actors) + 25
    assert THREADS.at(actors, MARGIN) <= processes <= THREADS.at(actors, MARGIN) + 2


def test_the_entrypoint_has_the_trainers_defaults_and_parses_options_as_it_does() -> None:
    assert (
        bash("eval", "echo $DEFAULT_ACTORS $LEAST_SHM")
        == f"{TrainConfig().num_actors} {MIN_OBJECT_STORE_BYTES * 11 // 10}"
    )
    arguments = ["--num-actors", "3", "--seed", "5", "--num-actors=4"]
    assert bash("option", "--num-actors", 2, *arguments) == "4"
    assert bash("option", "--num-actors", 2, *arguments[2:4]) == "2"
    assert bash("option", "--seed", 0, *arguments) == "5"


@pytest.mark.parametrize(("given", "seconds"), [("", SMOKE_S), ("7", 7)])
def test_smoke_trains_by_default_for_as_long_as_before_an_image_is_sent(given: str, seconds: int) -> None:
    checks = "check_clock() { :; }; check_shared_memory() { :; }"
    timeout = 'timeout() { mkdir "$run/latest"; touch "$run/latest/manifest.json"; echo "$5"; }'
    assert bash("eval", f"{checks}; {timeout}; smoke {given}") == str(seconds)


def test_the_health_check_allows_several_heartbeats_and_the_replacement_of_an_actor() -> None:
    assert TrainConfig().heartbeat_interval_s * 6 <= FRESH_S
    assert TrainConfig().actor_timeout_s * 2 <= UPDATE_S


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
