"""What sets a machine up: constant user data, and an archive in the bucket that follows from the settings.

User data fetches the archive and runs it, at every boot. It has no setting but the region and the bucket, so that an
edit replaces no machine: `make deploy` and `make apply` upload the archive, and `make apply` runs it on the host.
"""

import gzip
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any, Literal

from infra.container import Flags
from infra.deployed import Deployed
from infra.machine.contract import LOG, MACHINE
from infra.names import HOST_GROUP, LOG_GROUP, METRICS, WORKERS_GROUP
from infra.settings import ROOT, Settings

HERE = ROOT / "infra" / "machine"
FILES = HERE / "files"
LIMITS = ROOT / "docker" / "limits.conf"
LIBRARY = "usr/local/lib/redox"
USER_DATA_LIMIT = 16_384  # bytes, before AWS's own base64

# The settings that the machine's own programs read.
MACHINE_SETTINGS = (
    "container.data",
    "guard.monthly_budget_usd",
    "host.idle_minutes",
    "host.spot",
    "host.workers",
    "names.group",
    "names.metrics",
    "price.per_hour_usd",
    "storage.runs",
)

Kind = Literal["host", "worker"]


def user_data(region: str, bucket: str, kind: Kind) -> str:
    """Return the user data of a machine, which cloud-init runs at every boot; arguments may be CDK tokens."""
    return _MESSAGE + fetcher(region, bucket, kind)


def fetcher(region: str, bucket: str, kind: Kind) -> str:
    """Return the program that sets a machine up, of the standard library alone."""
    sources = [(HERE / f"{name}.py").read_text() for name in ("aws", "fetch")]
    text = "\n".join(re.sub(r"(?m)^from infra\..*\n", "", source) for source in sources)
    return f'#!/usr/bin/python3\n{text}\n\nfetch("{region}", "{bucket}", "{kind}")\n'


def upload(settings: Settings, deployed: Deployed, s3: Any) -> None:
    """Upload the archives from which machines set themselves up."""
    for kind in kinds(settings):
        s3.put_object(Bucket=deployed.bucket, Key=key(kind), Body=archive(settings, kind, deployed))


def kinds(settings: Settings) -> tuple[Kind, ...]:
    """Return the kinds of machines of a deployment."""
    return ("host", "worker") if settings.host.workers else ("host",)


def key(kind: Kind) -> str:
    """Return the key of the archive of a machine."""
    return f"{MACHINE}/{kind}.tar.gz"


def machine_environment(settings: Settings, kind: Kind, deployed: Deployed) -> str:
    """Return /etc/redox/machine.env."""
    container = settings.container
    where = deployed.repository if container.image_delivery == "repository" else container.image
    known = {
        "KIND": kind,
        "REGION": settings.aws.region,
        "IMAGE": f"{where}:{container.current_tag}",
        "BUCKET": deployed.bucket,
        "GROUP": WORKERS_GROUP,
    }
    return "".join(f"REDOX_{name}='{value}'\n" for name, value in known.items())


def files(settings: Settings, kind: Kind, deployed: Deployed) -> dict[str, bytes]:
    """Return the files of a machine by their paths below /."""
    layers = ["common", kind]
    if kind == "host" and settings.container.image_delivery == "repository":
        layers.append("repository")
    if kind == "host" and settings.host.workers:
        layers.append("head")
    known = _known(settings)
    found = {
        str(path.relative_to(FILES / layer)): _filled(path, known)
        for layer in layers
        for path in sorted((FILES / layer).rglob("*"))
        if path.is_file()
    }
    found["etc/security/limits.d/90-redox.conf"] = LIMITS.read_bytes()
    found["etc/redox/machine.env"] = machine_environment(settings, kind, deployed).encode()
    found["etc/redox/training.env"] = training_environment(settings, kind).encode()
    found[f"{LIBRARY}/bring-up"] = _filled(HERE / "bring-up.sh", known)
    found[f"{LIBRARY}/fetch"] = fetcher(settings.aws.region, deployed.bucket, kind).encode()  # for make apply
    found[f"{LIBRARY}/infra/__init__.py"] = b""
    names = ("__init__", "aws", "contract", "workers") if kind == "worker" else ("*",)
    found |= {
        f"{LIBRARY}/infra/machine/{path.name}": path.read_bytes()
        for name in names
        for path in sorted(HERE.glob(f"{name}.py"))
    }
    if kind == "host":
        key = settings.host.ssh_public_key
        found["etc/redox/ssh_public_key"] = f"{key}\n".encode() if key else b""
        known_there = {name: known[name] for name in MACHINE_SETTINGS}
        found["etc/redox/settings.json"] = json.dumps(known_there, indent=1).encode()
    return found


def training_environment(settings: Settings, kind: Kind) -> str:
    """Return the environment file of the trainer's or worker's unit: flags of docker run, command and options."""
    data = settings.container.data if kind == "host" else ""
    flags = list(Flags.of(settings).arguments(settings.container, data=data))
    training, threads = settings.training, settings.threads
    options = [
        "--supervise",
        *("--resume", "auto"),
        *("--timesteps", training.timesteps),
        *("--num-actors", training.num_actors),
        *("--save-interval-s", training.save_interval_s),
        *("--learner-threads", threads.learner),
    ]
    ray = f"--object-store-memory {training.object_store_bytes} --disable-usage-stats"
    command = "train"
    if settings.host.workers:
        flags += ["--network=host"]
    else:
        options += ["--object-store-bytes", training.object_store_bytes]
        options += ["--dashboard", f"0.0.0.0:{settings.ports.dashboard}"]  # of the container
        flags += [f"--publish=127.0.0.1:{settings.ports.dashboard}:{settings.ports.dashboard}"]
    if kind == "host" and settings.host.workers:
        head = f"/{LIBRARY}/head.sh"
        flags += [f"--volume={head}:/head.sh:ro", "--init", "--entrypoint=/head.sh", f"--env=REDOX_RAY={ray}"]
        command = ""
    lines = {
        "REDOX_RUN": training.run,
        "REDOX_FLAGS": " ".join(f"'{flag}'" if " " in flag else flag for flag in flags),
        "REDOX_COMMAND": command,
        "REDOX_OPTIONS": " ".join(map(str, options)),
        "REDOX_RAY": ray,
        "REDOX_MORE": "",
    }
    return "".join(f'{name}="{value}"\n' for name, value in lines.items())


def _filled(path: Path, known: dict[str, Any]) -> bytes:
    """Return a file with names like @{limits.nofile} replaced; the dollars of shells and units stay."""
    return re.sub(r"@\{([a-z_.]+)\}", lambda name: str(known[name[1]]), path.read_text()).encode()


def _known(settings: Settings) -> dict[str, Any]:
    """Return every name that a file may use, with its value."""
    minutes = settings.storage.sweep_minutes
    return {
        **{f"{table}.{key}": value for table, values in settings.as_dict().items() for key, value in values.items()},
        "container.experiments": settings.container.experiments,
        "container.spill": settings.container.spill,
        "limits.nr_open": max(settings.limits.nofile, 2**20),
        "limits.unit_timeout_s": settings.limits.stop_timeout_s + 30,
        "host.units": "redox-workers" if settings.host.workers else "",
        "sweep.when": "17 * * * *" if minutes == 60 else f"*/{minutes} * * * *",
        "names.group": HOST_GROUP,
        "names.log_group": LOG_GROUP,
        "names.metrics": METRICS,
        "names.log": LOG,
    }


def archive(settings: Settings, kind: Kind, deployed: Deployed) -> bytes:
    """Return the files of a machine, packed reproducibly."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for name, content in sorted(files(settings, kind, deployed).items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if content.startswith(b"#!") else 0o644
            made.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


# A type of its own, because a cloud-config that has user scripts run at every boot replaces the list of all modules.
_MESSAGE = """\
MIME-Version: 1.0
Content-Type: text/x-shellscript-per-boot

"""
