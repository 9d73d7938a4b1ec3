"""Settings of the story: the file of the deployment, with a small instance type and a short training."""

import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.container import at_most
from infra.settings import FILE, Settings, load
from ops.simulator.host import free_port
from redox_balancer.bench.advice import rented_hosts
from redox_balancer.errors import RedoxError

RUN = "demo"  # the first run of the story
# Updates of about a second even on a busy machine: a checkpoint can only be written between two of them.
LOCK_S = 20  # for which the lock of a killed trainer is respected
TRAIN_OPTIONS = ("--envs-per-actor", 8, "--rollout-length", 8, "--batch-size", 64, "--remote-lock-s", LOCK_S)
INSTANCE = "r7i.large"  # a small one


def write(path: Path, changes: Mapping[str, Any], training: str = "") -> Settings:
    """Write the settings of a story to a file, and return them as the loader of the settings reads them.

    `changes` are of values in the file of the deployment, `training` are further lines of its table.
    """
    text, region, rented = FILE.read_text(), load(FILE).aws.region, rented_hosts()[INSTANCE]
    source = rented.source if region in rented.source else f"assumed as in us-east-1 for {region}"
    shared = {
        "instance_types": f'["{INSTANCE}"]',
        "per_hour_usd": rented.per_hour_usd,
        "source": f'"{source}, {INSTANCE} on demand"',
        "spot": "false",
        "workers": 0,
        "run": f'"{RUN}"',
        "timesteps": 20_000_000,  # longer than the story
    }
    for key, value in {**shared, **changes}.items():
        text, count = re.subn(rf"(?m)^{key}\b *=.*$", f"{key} = {value}", text)
        if count != 1:
            raise RedoxError(
                f"{FILE.name} has {key} {count} times", hint="one line, as in the file of the repository"
            )
    path.write_text(text.replace("[training]\n", f"[training]\n{training}"))
    return load(path)


def of_demo(path: Path) -> Settings:
    """Write the settings of a story with simulated hosts, which share this machine."""
    limits = load(FILE).limits
    changes = {
        "alert_email": '"nobody@demo.invalid"',  # mail to .invalid is never delivered (RFC 2606)
        "nofile": at_most(limits.nofile, resource.RLIMIT_NOFILE),
        "nproc": at_most(limits.nproc, resource.RLIMIT_NPROC),
        "save_interval_s": 15,
        "dashboard": free_port(),  # simulated hosts share the loopback interface
        "tmp_bytes": 2_000_000_000,
        "environment": '"demo"',
    }
    return write(path, changes, "num_actors = 1\nobject_store_bytes = 100_000_000\nshm_bytes = 120_000_000\n")
