"""Settings of the demo: the file of the deployment, with a small instance type and a short training."""

import re
import resource
from pathlib import Path
from typing import Any

from infra.container import at_most
from infra.settings import FILE, Settings, load
from ops.simulator.host import free_port
from redox_balancer.bench.advice import rented_hosts

RUN = "demo"
SAVE_INTERVAL_S = 15
# Updates of about a second even on a busy machine: a checkpoint can only be written between two of them.
LOCK_S = 20  # for which the lock of a killed trainer is respected
TRAIN_OPTIONS = ("--envs-per-actor", 8, "--rollout-length", 8, "--batch-size", 64, "--remote-lock-s", LOCK_S)
INSTANCE = "r7i.large"  # a small one


def write(path: Path) -> Settings:
    """Write the settings of the demo to a file, and return them as the loader of the settings reads them."""
    real = load(FILE)
    text = FILE.read_text()
    for key, value in _changes(real).items():
        text, count = re.subn(rf"(?m)^(# )?{key}\b *=.*$", f"{key} = {value}", text)
        if count != 1:
            raise RuntimeError(f"{FILE.name} has {key} {count} times")
    sizes = "num_actors = 1\nobject_store_bytes = 100_000_000\nshm_bytes = 120_000_000"
    path.write_text(text.replace("[training]", f"[training]\n{sizes}"))
    return load(path)


def _changes(real: Settings) -> dict[str, Any]:
    rented = rented_hosts()[INSTANCE]
    return {
        "instance_types": f'["{INSTANCE}"]',
        "per_hour_usd": rented.per_hour_usd,
        "source": f'"{rented.source}, {INSTANCE} on demand"',
        "alert_email": '"nobody@demo.invalid"',  # mail to .invalid is never delivered (RFC 2606)
        "nofile": at_most(real.limits.nofile, resource.RLIMIT_NOFILE),
        "nproc": at_most(real.limits.nproc, resource.RLIMIT_NPROC),
        "run": f'"{RUN}"',
        "timesteps": 20_000_000,  # longer than the demo
        "save_interval_s": SAVE_INTERVAL_S,
        "dashboard": free_port(),  # simulated hosts share the loopback interface
        "tmp_bytes": 2_000_000_000,
        "environment": '"demo"',
    }
