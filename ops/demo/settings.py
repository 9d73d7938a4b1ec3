"""The settings of the demonstration: the deployment's own file, with a small machine and a short training."""

from __future__ import annotations

import re
import resource
import socket
from pathlib import Path
from typing import Any

from infra.settings import FILE, Settings, load

RUN = "demo"
SAVE_INTERVAL_S = 10
# An instance type that can be quoted, and its list price on demand, Linux, us-east-1.
INSTANCE, PER_HOUR_USD = "r7i.large", 0.1323


def _most(wanted: int, limit: int) -> int:
    """Return what this machine allows of a limit of the host."""
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def write(path: Path) -> Settings:
    """Write the settings of the demonstration into a file and return them, read by the one loader."""
    real = load(FILE)
    text = FILE.read_text()
    for key, value in _changes(real).items():
        text, count = re.subn(rf"(?m)^(# )?{key}\b *=.*$", f"{key} = {value}", text)
        if count != 1:
            raise RuntimeError(f"{FILE.name} has {key} {count} times")
    path.write_text(text.replace("[training]", f"[training]\n{_sizes()}"))
    return load(path)


def _changes(real: Settings) -> dict[str, Any]:
    return {
        "instance_type": f'"{INSTANCE}"',
        "per_hour_usd": PER_HOUR_USD,
        "source": f'"AWS list price of {INSTANCE} on demand, Linux, us-east-1"',
        "alert_email": '"nobody@demo.invalid"',  # mail to .invalid goes nowhere (RFC 2606)
        "nofile": _most(real.limits.nofile, resource.RLIMIT_NOFILE),
        "nproc": _most(real.limits.nproc, resource.RLIMIT_NPROC),
        "run": f'"{RUN}"',
        "timesteps": 20_000_000,  # longer than the story
        "save_interval_s": SAVE_INTERVAL_S,
        "dashboard": _free_port(),  # hosts here share the loopback
        "tmp_bytes": 2_000_000_000,
        "environment": '"demo"',
    }


def _sizes() -> str:
    return "num_actors = 1\nobject_store_bytes = 100_000_000\nshm_bytes = 120_000_000"
