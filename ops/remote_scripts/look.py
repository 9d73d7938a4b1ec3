"""Looks at the host and tells what is known of the training: `{"data": folder, "runs": name, "run": name}`."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

UNIT = "redox-trainer.service"
AWAKE = Path("/run/redox-awake")
TOLD = ("ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts")


def read(path: Path) -> Any:
    """Return a JSON file, None where there is none that can be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def environment(*names: str) -> dict[str, str]:
    """Return what files of the unit set, the last of them first."""
    found: dict[str, str] = {}
    for name in names:
        path = Path("/etc/redox", name)
        for line in path.read_text().splitlines() if path.exists() else ():
            key, _, value = line.partition("=")
            found[key] = value.strip("\"'")
    return found


def last_row(path: Path) -> dict[str, float]:
    """Return the newest row of a run's metrics, as far as it is numbers."""
    found: dict[str, float] = {}
    try:
        with path.open(newline="") as file:
            heading = next(csv.reader(file))
            file.seek(max(path.stat().st_size - 65_536, 0))
            rows = list(csv.reader(file.read().splitlines()))
        whole = [row for row in rows if len(row) == len(heading) and row != heading]
        for name, value in zip(heading, whole[-1], strict=True):
            if value not in ("", "nan"):
                found[name] = float(value)
    except (OSError, StopIteration, IndexError, ValueError):
        pass
    return found


def disk(path: str) -> dict[str, int]:
    """Return the bytes of a file system, all and free."""
    status = os.statvfs(path)
    return {"all": status.f_blocks * status.f_frsize, "free": status.f_bavail * status.f_frsize}


def unit() -> dict[str, str]:
    """Return what systemd says of the training."""
    command = ["systemctl", "show", UNIT, f"--property={','.join(TOLD)}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def writer(run: Path) -> str | None:
    """Return the name that a trainer on this folder has in the run's lock; see `learning.remote.lock`."""
    if not run.exists():
        return None
    status = run.stat()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{status.st_dev}/{status.st_ino}"


def main(asked: dict[str, str]) -> dict[str, Any]:
    """Look."""
    data = Path(asked["data"])
    runs = data / asked["runs"]
    known = environment("machine.env", "training.env", "run.env")
    run = asked.get("run") or known.get("REDOX_RUN", "")
    beats = {path.parent.name: read(path) for path in runs.glob("*/heartbeat.json")}
    return {
        "now": time.time(),
        "uptime_s": time.clock_gettime(time.CLOCK_BOOTTIME),
        "awake_at": AWAKE.stat().st_mtime if AWAKE.exists() else None,
        "run": run,
        "set_run": known.get("REDOX_RUN", ""),
        "image": known.get("REDOX_IMAGE", ""),
        "beats": {name: beat for name, beat in beats.items() if beat},
        "row": last_row(runs / run / "metrics.csv"),
        "writer": writer(runs / run),
        "unit": unit(),
        "seconds": read(data / "host-seconds.json") or {},
        "disks": {path: disk(path) for path in ("/", str(data)) if Path(path).exists()},
    }


print(json.dumps(main(json.loads(sys.argv[1]))))
