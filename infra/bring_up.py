"""User data: the setup script of a machine, which cloud-init runs at every boot.

Everything that follows from the settings is packed into one archive. Names and addresses that are known only at
deployment stand beside it in plain text, because they may be CDK tokens. `make apply` sends the same script to a
running host.
"""

import ast
import base64
import io
import json
import lzma
import re
import tarfile
import textwrap
import tokenize
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from infra.container import Flags
from infra.names import LOG, LOG_GROUP, METRICS, WORKERS_GROUP
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
    "names.metrics",
    "price.per_hour_usd",
    "storage.runs",
)

Kind = Literal["host", "worker"]


@dataclass(frozen=True, kw_only=True)
class MachineContext:
    """Facts about a machine that are known at deployment; each may be a CDK token."""

    kind: Kind
    region: str
    image: str  # of the container that it runs
    bucket: str = ""  # of the host: name of the bucket of checkpoints
    volume: str = ""  # of the host: id of the data volume
    head: str = ""  # of a worker: address of the host
    group: str = ""  # name of the group of the workers, if there is one
    signal_url: str = ""  # where the first boot reports success, or its last lines of log

    @classmethod
    def of_host(cls, settings: Settings, *, repository: str, bucket: str, volume: str, signal_url: str = "") -> Self:
        """Return the context of the host; a host that is set up already has no address to report to."""
        return cls(
            kind="host",
            region=settings.aws.region,
            image=image_of(settings, repository),
            bucket=bucket,
            volume=volume,
            group=WORKERS_GROUP if settings.host.workers else "",
            signal_url=signal_url,
        )

    def environment(self) -> str:
        """Return the lines of /etc/redox/machine.env."""
        return "".join(f"REDOX_{key.upper()}='{value}'\n" for key, value in asdict(self).items())


def image_of(settings: Settings, repository: str) -> str:
    """Return the name of the image that machines run, in the repository or in the host's own engine."""
    container = settings.container
    where = repository if container.image_delivery == "repository" else container.image
    return f"{where}:{container.current_tag}"


def user_data(settings: Settings, machine: MachineContext) -> str:
    """Return the user data of a machine: its setup, which cloud-init runs at every boot."""
    return _MESSAGE + script(settings, machine)


def script(settings: Settings, machine: MachineContext) -> str:
    """Return the setup of a machine as one idempotent shell script."""
    packed = textwrap.fill(base64.b85encode(_archive(settings, machine.kind)).decode(), 120, break_on_hyphens=False)
    parts = {"MACHINE": machine.environment(), "PACKED": packed, "LOG": LOG}
    # In one pass: a value may itself contain any of these words.
    return re.sub("|".join(parts), lambda part: parts[part[0]], _SCRIPT)


def files(settings: Settings, kind: Kind) -> dict[str, bytes]:
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
    found["etc/redox/training.env"] = training_environment(settings, kind).encode()
    found[f"{LIBRARY}/bring-up"] = _filled(HERE / "bring-up.sh", known)
    found[f"{LIBRARY}/infra/__init__.py"] = b""
    found |= {
        f"{LIBRARY}/infra/machine/{path.name}": without_comments(path.read_text()).encode()
        for path in sorted(HERE.glob("*.py" if kind == "host" else "workers.py"))
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


def mount_unit(path: str) -> str:
    """Return the systemd unit that mounts a path, as `systemd-escape --path --suffix=mount` does."""
    return path.strip("/").replace("-", "\\x2d").replace("/", "-") + ".mount"


def without_comments(source: str) -> str:
    """Return a Python module without its docstrings and comment lines, which user data has no room for.

    Whole lines are cut, so that every version of Python gives the same text.
    """
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    cut = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, documented) and ast.get_docstring(node) is not None
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    cut |= {token.start[0] for token in tokens if token.type == tokenize.COMMENT and token.line.lstrip()[0] == "#"}
    return "".join(line for number, line in enumerate(source.splitlines(keepends=True), 1) if number not in cut)


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
        "names.log_group": LOG_GROUP,
        "names.metrics": METRICS,
        "names.log": LOG,
        "names.data_mount": mount_unit(settings.container.data),
    }


def _archive(settings: Settings, kind: Kind) -> bytes:
    """Pack the files reproducibly."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in sorted(files(settings, kind).items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if content.startswith(b"#!") else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME)


_SCRIPT = """\
#!/bin/bash
# redox_balancer: sets up this machine, at every boot; idempotent.
set -euo pipefail
exec >>LOG 2>&1
install -d -m 755 /etc/redox
exec 9</etc/redox && flock 9 # one at a time; the installation of the CloudWatch agent waits for it as well
cat >/etc/redox/machine.env.new <<'END'
MACHINE
END
python3 - <<'END'
import base64, io, pathlib, tarfile
packed = base64.b85decode("".join(\"\"\"
PACKED
\"\"\".split()))
with tarfile.open(fileobj=io.BytesIO(packed), mode="r:xz") as archive:
    for entry in archive:
        path = pathlib.Path("/", entry.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(entry).read()
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
        path.chmod(entry.mode)
END
exec /usr/local/lib/redox/bring-up
"""

# A type of its own, because a cloud-config that has user scripts run at every boot replaces the list of all modules.
_MESSAGE = """\
MIME-Version: 1.0
Content-Type: text/x-shellscript-per-boot

"""
