"""Head and worker as the units start them: a real Ray cluster of two nodes, and a training on it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from infra.bring_up import LIBRARY, files
from infra.deployed import Deployed
from infra.settings import FILE, parse

DEPLOYED = Deployed(bucket="checkpoints", repository="repository")
BIN = Path(sys.executable).parent
# A process namespace of its own: all processes of Ray end with it.
ALONE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

# In place of the container's entrypoint: a worker joins with the command of its unit, then the trainer starts.
ENTRYPOINT = """#!/bin/bash
set -euo pipefail
ray {worker} >"$REDOX_TRIAL/worker.log" 2>&1 &
python - <<'END'
import ray, time
ray.init("auto", log_to_driver=False)
while len([node for node in ray.nodes() if node["Alive"]]) < 2:
    time.sleep(0.1)
END
shift
exec redox train "$@"
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("unshare"),
    reason="processes of its own need root on Linux",
)
def test_a_worker_joins_the_head_and_a_training_runs_on_the_cluster(tmp_path: Path) -> None:
    ray, dashboard = free_ports(2)
    settings = parse(
        FILE.read_text()
        .replace("workers = 0", "workers = 1")
        .replace("ray = 6379", f"ray = {ray}")
        .replace("dashboard = 8265", f"dashboard = {dashboard}")
    )
    unit = files(settings, "worker", DEPLOYED)["etc/systemd/system/redox-worker.service"].decode()
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    worker = start.partition("${REDOX_IMAGE} ")[2]
    entrypoint, head, hostname = (tmp_path / name for name in ("entrypoint.sh", "head.sh", "hostname"))
    entrypoint.write_text(ENTRYPOINT.format(worker=worker))
    text = files(settings, "host", DEPLOYED)[f"{LIBRARY}/head.sh"].decode()
    head.write_text(text.replace("/entrypoint.sh", str(entrypoint)))
    hostname.write_text("#!/bin/sh\necho 127.0.0.1\n")  # the test uses the loopback interface only
    for script in (entrypoint, head, hostname):
        script.chmod(0o755)
    options = ["--timesteps", "1500", "--num-actors", "2", "--checkpoint-dir", str(tmp_path / "run"), "--json"]
    command = [*ALONE, "timeout", "120", head, *options]
    with tempfile.TemporaryDirectory(prefix="r") as short:  # the name of a socket has little room
        environment = {
            "PATH": f"{tmp_path}:{BIN}:{os.environ['PATH']}",
            "REDOX_RAY": "--object-store-memory 80000000 --disable-usage-stats",
            "REDOX_HEAD": "127.0.0.1",
            "REDOX_TRIAL": str(tmp_path),
            "RAY_TMPDIR": short,
            "HOME": str(tmp_path),
        }
        answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert answer.returncode == 0, answer.stdout[-2_000:] + answer.stderr[-2_000:]
    result = json.loads(answer.stdout.splitlines()[-1])
    assert result["finished"]
