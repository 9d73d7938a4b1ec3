"""Report the state of the host and its training; `ops/remote/training.py` has the request and the answer.

The paths come with the request, from the contract that host and tools share (`infra/machine/contract.py`).
"""

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

PROPERTIES = ("ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts")
TAIL_BYTES = 65_536


def read(path: Path) -> Any:
    """Return the content of a JSON file; None if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def environment(paths: list[str]) -> dict[str, str]:
    """Return the variables of the unit's environment files, later files first."""
    found: dict[str, str] = {}
    for path in map(Path, paths):
        for line in path.read_text().splitlines() if path.exists() else ():
            key, _, value = line.partition("=")
            if value[:1] == '"':
                value = re.sub(r'\\(["\\`$])', r"\1", value[1:-1])
            found[key] = value.strip("'")
    return found


def metrics(path: Path) -> list[list[dict[str, float]]]:
    """Return the complete rows at the start and at the end of a run's metrics, without what was not measured."""
    parts = []
    try:
        with path.open(newline="") as file:
            header = next(csv.reader(file))
            for start in (0, max(path.stat().st_size - TAIL_BYTES, 0)):
                file.seek(start)
                rows = csv.reader(file.read(TAIL_BYTES).splitlines())
                complete = [row for row in rows if len(row) == len(header) and row != header]
                parts.append([numbers(zip(header, row, strict=True)) for row in complete])
    except (OSError, StopIteration, ValueError):
        return [[]]
    return parts


def numbers(cells: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Return the numbers of a row."""
    return {name: float(value) for name, value in cells if value not in ("", "nan")}


def speeds(parts: list[list[dict[str, float]]]) -> dict[str, float]:
    """Return the steps per second that a run had with each number of actors, from two or more rows in a row."""
    taken: dict[str, tuple[float, float]] = {}
    for row, later in chain.from_iterable(map(pairwise, parts)):
        if row.get("actors") == later.get("actors", 0.0) and later["steps"] > row["steps"]:
            name = f"{row['actors']:.0f}"
            steps, seconds = taken.get(name, (0.0, 0.0))
            taken[name] = steps + later["steps"] - row["steps"], seconds + later["seconds"] - row["seconds"]
    return {name: steps / seconds for name, (steps, seconds) in taken.items() if seconds > 0.0}


def disk(path: str) -> dict[str, int]:
    """Return the total and free bytes of a file system."""
    status = os.statvfs(path)
    return {"all": status.f_blocks * status.f_frsize, "free": status.f_bavail * status.f_frsize}


def unit(name: str) -> dict[str, str]:
    """Return the properties of a systemd unit."""
    command = ["systemctl", "show", f"{name}.service", f"--property={','.join(PROPERTIES)}"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def writer(run: Path) -> str | None:
    """Return the name of a trainer on this folder in the run's lock; see `redox_balancer.runs.remote.lock`."""
    if not run.exists():
        return None
    status = run.stat()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{status.st_dev}/{status.st_ino}"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Collect the state."""
    data, awake = Path(request["data"]), Path(request["keep_awake"])
    runs = data / request["runs"]
    variables = environment(request["environment"])
    run = request["run"] or variables.get("REDOX_RUN", "")
    measured = metrics(runs / run / "metrics.csv")
    beats = {path.parent.name: read(path) for path in runs.glob("*/heartbeat.json")}
    return {
        "now": time.time(),
        "uptime_s": time.clock_gettime(time.CLOCK_BOOTTIME),
        "watch": read(Path(request["watch_state"])),
        "awake_at": awake.stat().st_mtime if awake.exists() else None,
        "run": run,
        "set_run": variables.get("REDOX_RUN", ""),
        "image": variables.get("REDOX_IMAGE", ""),
        "beats": {name: beat for name, beat in beats.items() if beat},
        "row": (measured[-1] or [{}])[-1],
        "speeds": speeds(measured),
        "writer": writer(runs / run),
        "unit": unit(request["unit"]),
        "disks": {path: disk(path) for path in ("/", str(data)) if Path(path).exists()},
    }


print(json.dumps(main(json.loads(sys.argv[1]))))
