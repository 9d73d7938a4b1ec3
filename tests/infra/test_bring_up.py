"""Files of a machine: they follow the settings, and the commands of the units exist."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from infra.bring_up import files, machine_environment, training_environment
from infra.container import Flags
from infra.deployed import Deployed
from infra.names import LOG_GROUP
from infra.settings import FILE, ROOT, Settings, load, parse
from redox_balancer.cli import app

SETTINGS = load()
DEPLOYED = Deployed(bucket="checkpoints", repository="repository")
WORKERS = parse(
    FILE.read_text()
    .replace("workers = 0", "workers = 2")
    .replace('["r7i.48xlarge", "r8i.48xlarge", "r7a.48xlarge"]', '["c7i.2xlarge"]')
    .replace("of r7i.48xlarge on demand", "of c7i.2xlarge on demand")
)


def environment(settings: Settings, kind: str = "host") -> dict[str, list[str]]:
    """The variables of the unit, as systemd splits them into words."""
    lines = training_environment(settings, kind).splitlines()  # type: ignore[arg-type]
    pairs = (line.split("=", 1) for line in lines)
    return {name: shlex.split(shlex.split(value)[0]) for name, value in pairs}


def test_the_container_gets_the_flags_of_the_settings_and_the_volume() -> None:
    flags = environment(SETTINGS)["REDOX_FLAGS"]
    alone = list(Flags.of(SETTINGS).arguments(SETTINGS.container, data="/data"))
    assert flags == [*alone, "--publish=127.0.0.1:8265:8265"]  # of Ray's dashboard, for the host alone
    assert "--volume=/data:/data" in flags
    assert "--ulimit=nofile=1048576:1048576" in flags
    assert "--shm-size=132000000000" in flags


@pytest.mark.parametrize("settings", [SETTINGS, WORKERS], ids=["alone", "workers"])
def test_the_trainer_has_the_options_of_the_unit(settings: Settings) -> None:
    options = environment(settings)["REDOX_OPTIONS"]
    known = {name for parameter in typer.main.get_command(app).commands["train"].params for name in parameter.opts}  # type: ignore[attr-defined]
    assert {option for option in options if option.startswith("--")} <= known
    assert options[options.index("--num-actors") + 1] == str(settings.training.num_actors)
    assert "--supervise" in options
    assert options[options.index("--resume") + 1] == "auto"


def test_units_of_the_trainer_stop_it_gently_and_start_it_again() -> None:
    unit = files(SETTINGS, "host", DEPLOYED)["etc/systemd/system/redox-trainer.service"].decode()
    timeout = SETTINGS.limits.stop_timeout_s
    assert f"docker stop --time {timeout} " in unit
    seconds = re.search(r"TimeoutStopSec=(\d+)", unit)
    assert seconds
    assert int(seconds[1]) > timeout
    assert "--pull never" in unit  # an image name without a registry would be pulled from a public one
    assert "Restart=on-failure" in unit
    assert "RestartPreventExitStatus=2 70 78" in unit


def test_the_log_of_a_training_outlives_its_host() -> None:
    unit = files(SETTINGS, "host", DEPLOYED)["etc/systemd/system/redox-trainer.service"].decode()
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert (
        "$REDOX_LOG --log-opt awslogs-region=${REDOX_REGION} --log-opt awslogs-stream=training/${REDOX_RUN}" in start
    )
    # https://docs.docker.com/engine/logging/drivers/awslogs/: without this mode no CloudWatch means no training.
    assert f"--log-driver awslogs --log-opt mode=non-blocking --log-opt awslogs-group={LOG_GROUP}" in unit


def test_workers_and_head_exist_only_if_set() -> None:
    assert not any("worker" in name and name.endswith(".service") for name in files(SETTINGS, "host", DEPLOYED))
    host, worker = files(WORKERS, "host", DEPLOYED), files(WORKERS, "worker", DEPLOYED)
    assert {"etc/systemd/system/redox-workers.service", "usr/local/lib/redox/head.sh"} <= set(host)
    assert "etc/systemd/system/redox-worker.service" in worker
    assert not any(name.startswith("etc/cron.d") or "trainer" in name for name in worker)
    programs = {Path(name).stem for name in worker if "infra/machine" in name}
    assert programs == {"__init__", "aws", "contract", "workers"}
    assert WORKERS.training.num_actors == 18  # three quarters of the cores of all three machines
    pull = host["etc/systemd/system/redox-trainer.service.d/pull.conf"].decode()
    assert "ExecCondition=/usr/bin/docker pull --quiet ${REDOX_IMAGE}" in pull
    flags = environment(WORKERS)["REDOX_FLAGS"]
    assert {"--network=host", "--entrypoint=/head.sh"} <= set(flags)


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    for kind in ("host", "worker"):
        for name, content in files(WORKERS, kind, DEPLOYED).items():
            if content.startswith((b"#!/bin/bash", b"#!/bin/sh")):
                (tmp_path / f"{kind}-{Path(name).name}").write_bytes(content)
    answer = subprocess.run([shellcheck, *tmp_path.iterdir()], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


HOSTILE = """me"; touch pwned-1; echo "$(touch pwned-2)`touch pwned-3` 'x' \\\\ $HOME @{host.ssh_user} \xb5"""

# Stand-ins for the commands of the step.
USER = """
getent() { echo "$2:x:1000:1000::$PWD:/bin/bash"; }
install() { mkdir -p "${@: -1}"; }
chown() { :; }
"""


def test_the_comment_of_an_ssh_key_is_data_and_never_run(tmp_path: Path) -> None:
    key = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP {HOSTILE}"
    quoted = json.dumps(key, ensure_ascii=False)
    settings = parse(FILE.read_text().replace('ssh_public_key = ""', f"ssh_public_key = {quoted}"))
    for name, content in files(settings, "host", DEPLOYED).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    steps = (tmp_path / "usr/local/lib/redox/bring-up").read_text().partition("\n# shellcheck disable=SC1091")[0]
    program = f"{steps.replace('/etc/redox', f'{tmp_path}/etc/redox')}\ntrap - EXIT{USER}key\nkey\n"
    answer = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert (tmp_path / ".ssh/authorized_keys").read_text() == f"{key}\n"
    assert not list(tmp_path.rglob("pwned*"))


FAILING = """
systemctl() { echo "$@" >>"$PWD/calls"; }
dpkg-query() { :; }
apt-get() { echo "no network" >&2; return 100; }
"""


def test_a_set_up_that_fails_at_its_start_leaves_a_watch_that_stops_the_idle_host(tmp_path: Path) -> None:
    etc = tmp_path / "etc/redox"
    etc.mkdir(parents=True)
    (etc / "machine.env").write_text(machine_environment(SETTINGS, "host", DEPLOYED))
    program = (
        files(SETTINGS, "host", DEPLOYED)["usr/local/lib/redox/bring-up"].decode().replace("/etc/redox", str(etc))
    )
    program = program.replace("\nset -euo pipefail\n", f"\nset -euo pipefail\n{FAILING}", 1)
    answer = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 100
    assert "failed with exit code 100 in step packages" in answer.stdout
    assert (tmp_path / "calls").read_text().splitlines()[:3] == [
        "daemon-reload",
        "enable redox-watch",
        "restart --no-block redox-watch",
    ]


def test_the_decisions_need_nothing_but_python() -> None:
    """They run with the Python of the machine, without any of our packages."""
    code = "import sys, infra.machine.watch; print(*(name for name in sys.modules if not name.startswith('infra')))"
    command = [sys.executable, "-S", "-c", code]  # without site-packages
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
