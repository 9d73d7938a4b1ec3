"""Every setting of the deployment, read from `deploy.toml`: one truth for limits, threads, ports, paths and sizes.

Who needs one imports it from here; the Dockerfile, the entrypoint, the compose file and the host's limits, which
cannot, are held to it by a test. Only the standard library.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from infra.instances import GIB_PER_VCPU, Instance, instance
from infra.validation import Rule, between, like, one_of, read_table, refuse_unknown, setting

ROOT = Path(__file__).parents[1]
# Another file for another account or region; everything that this process starts reads the same.
VARIABLE = "REDOX_SETTINGS"  # names another file of settings for every command, the CDK's included
FILE = Path(os.environ.get(VARIABLE) or ROOT / "deploy.toml")

NAME = like(r"[a-z0-9][a-z0-9-]*[a-z0-9]", "small letters, digits and dashes")
RUN = like(r"[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits, dots, dashes and underscores")
FOLDER = like(r"/[a-z0-9_/-]*[a-z0-9_-]", "an absolute path")
AMI = like(r"ami-([0-9a-f]{8}|[0-9a-f]{17})", "an image id like ami-0123456789abcdef0")
PORT = between(1024, 65535)
COUNT = between(1, 10_000)
SOURCE = like(r".+", "where the figures are from")
DLM_HOURS = one_of(1, 2, 3, 4, 6, 8, 12, 24)  # the intervals that the lifecycle manager takes

MOST_ACTORS = 120  # the trainer refuses more: the first system ran out of memory with them
ACTORS_CORES = 0.75  # of all; the rest is for the learner, Ray and the system
STORE_BYTES_PER_GIB = 78_125_000  # of memory: 120,000,000,000 on 1,536 GiB
LEAST_STORE_BYTES = 80_000_000  # Ray refuses less
FREE_IOPS, FREE_MIB_S = 3_000, 125  # every gp3 volume has them at no further price
RESERVED_MAIL = ("example.com", "example.org", "example.net")  # RFC 2606: reaches nobody


class SettingsError(Exception):
    """The settings cannot be used.

    Parameters
    ----------
    problems
        What is wrong, one line each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class Aws:
    """Where the deployment is."""

    region: str = setting(like(r"[a-z]{2}(-[a-z]+)+-\d", "a region like us-east-1"))
    zone: str = setting(like(r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "an availability zone like us-east-1a"))


@dataclass(frozen=True, kw_only=True)
class Host:
    """The machine that trains."""

    instance_type: str = setting(
        Rule(
            f"a type of the families {', '.join(GIB_PER_VCPU)} for x86-64, like r7i.48xlarge",
            lambda value: instance(value) is not None,
        )
    )
    ami_id: str = setting(AMI)
    ami_name: str = setting()
    root_volume_gib: int = setting(between(30, 16_384))
    data_volume_name: str = setting(like(r"[A-Za-z][A-Za-z0-9]*", "letters and digits, a letter first"))
    data_volume_gib: int = setting(between(10, 16_384))
    data_volume_iops: int = setting(between(FREE_IOPS, 16_000))  # what gp3 takes
    data_volume_mib_s: int = setting(between(FREE_MIB_S, 1_000))  # what gp3 takes
    spot: bool = setting()
    workers: int = setting(between(0, 100))
    ssh_user: str = setting(like(r"[a-z_][a-z0-9_-]*", "a Linux user name"))
    ssh_public_key: str = setting(
        like(
            r"|(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+) [A-Za-z0-9+/=]+( [^\n]*)?", "empty or the one line of a .pub file"
        )
    )
    idle_minutes: int = setting(between(0, 10_080))

    @property
    def instance(self) -> Instance:
        """Cores and memory."""
        found = instance(self.instance_type)
        assert found is not None  # noqa: S101 - the rule of instance_type says so
        return found


@dataclass(frozen=True, kw_only=True)
class Price:
    """What an hour of the host costs, and a month of what stays when it is gone."""

    per_hour_usd: float = setting(between(0.001, 1_000))
    source: str = setting(SOURCE)
    volume_gib_month_usd: float = setting(between(0, 100))
    volume_iops_month_usd: float = setting(between(0, 100))
    volume_mib_s_month_usd: float = setting(between(0, 100))
    bucket_gib_month_usd: float = setting(between(0, 100))
    snapshot_gib_month_usd: float = setting(between(0, 100))
    storage_source: str = setting(SOURCE)

    def volume_month_usd(self, gib: int, iops: int, mib_s: int) -> float:
        """Return what a gp3 volume costs a month."""
        return (
            gib * self.volume_gib_month_usd
            + max(iops - FREE_IOPS, 0) * self.volume_iops_month_usd
            + max(mib_s - FREE_MIB_S, 0) * self.volume_mib_s_month_usd
        )


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What keeps the bill small and a failure from staying unseen."""

    monthly_budget_usd: float = setting(between(1, 1_000_000))
    alert_email: str = setting(like(r"[^@\s]+@[^@\s]+\.[^@\s.]+", "an e-mail address"))
    memory_alarm_percent: int = setting(between(1, 99))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of processes on the host and in the container."""

    nofile: int = setting(between(1_024, 2**20))  # the kernel's usual fs.nr_open
    nproc: int = setting(between(1_024, 4_194_304))  # the kernel's largest pid_max
    stop_timeout_s: int = setting(between(30, 3_600))


@dataclass(frozen=True, kw_only=True)
class Threads:
    """Threads of linear algebra in an actor and in the learner, and of Ray's messages in a worker."""

    actor: int = setting(between(1, 64))
    ray_grpc: int = setting(between(1, 64))
    learner: int = setting(between(1, 64))


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the host trains."""

    run: str = setting(RUN)
    timesteps: int = setting(between(1, 10**12))
    save_interval_s: int = setting(between(1, 86_400))
    spilling_threshold: float = setting(between(0.1, 1.0))
    memory_monitor_refresh_ms: int = setting(between(0, 60_000))
    num_actors: int = setting(between(1, MOST_ACTORS))
    object_store_bytes: int = setting(between(LEAST_STORE_BYTES, 10**14))
    shm_bytes: int = setting(between(LEAST_STORE_BYTES, 10**14))


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports on the host, all bound to the loopback but Ray's own, which workers reach."""

    ray: int = setting(PORT)
    dashboard: int = setting(PORT)
    tensorboard: int = setting(PORT)


@dataclass(frozen=True, kw_only=True)
class Container:
    """The container: its image, its user and where things lie in it."""

    image: str = setting(NAME)
    user: str = setting(NAME)
    uid: int = setting(between(1_000, 59_999))
    home: str = setting(FOLDER)
    data: str = setting(FOLDER)
    tmp_bytes: int = setting(between(10**8, 10**13))
    image_delivery: str = setting(one_of("host", "repository"))
    current_tag: str = setting(NAME)

    @property
    def app(self) -> str:
        """What PYTHONPATH is set to."""
        return f"{self.home}/app"

    @property
    def venv(self) -> str:
        """Python and all it needs."""
        return f"{self.home}/venv"

    @property
    def experiments(self) -> str:
        """Folder of all runs."""
        return f"{self.data}/experiments"

    @property
    def spill(self) -> str:
        """Where Ray writes objects that its store has no room for: on the volume, /tmp is memory."""
        return f"{self.data}/spill"


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Layout and lifecycle of the checkpoint bucket."""

    bucket_prefix: str = setting(like(r"[a-z0-9][a-z0-9-]{1,30}[a-z0-9]", "3 to 32 small letters, digits and dashes"))
    runs: str = setting(NAME)
    locks: str = setting(NAME)
    noncurrent_days: int = setting(COUNT)
    incomplete_upload_days: int = setting(COUNT)
    sweep_minutes: int = setting(one_of(10, 15, 20, 30, 60))

    def bucket(self, account: str, region: str) -> str:
        """Return the name of the bucket; bucket names are unique in the whole world."""
        return f"{self.bucket_prefix}-{account}-{region}"

    def run_key(self, run: str) -> str:
        """Return the prefix under which a run lies, with its slash."""
        return f"{self.runs}/{run}/"

    def lock_key(self, run: str) -> str:
        """Return the key of the object that says who may write a run."""
        return f"{self.locks}/{run}.json"


@dataclass(frozen=True, kw_only=True)
class Backup:
    """Images of the host and snapshots of its volume."""

    image_hours: int = setting(DLM_HOURS)
    images_kept: int = setting(between(1, 1_000))
    snapshot_hours: int = setting(DLM_HOURS)
    snapshots_kept: int = setting(between(1, 1_000))
    start_utc: str = setting(like(r"([01]\d|2[0-3]):[0-5]\d", "a time of day like 03:00"))
    stale_hours: int = setting(between(1, 168))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings; every figure that was derived from the instance is filled in."""

    aws: Aws
    host: Host
    price: Price
    guard: Guard
    limits: Limits
    threads: Threads
    training: Training
    ports: Ports
    container: Container
    storage: Storage
    backup: Backup
    tags: Mapping[str, str]

    @property
    def unfinished(self) -> tuple[str, ...]:
        """What fits for trying out and has to be changed before a real deployment, one line each."""
        domain = self.guard.alert_email.rpartition("@")[2]
        return (
            (f"guard.alert_email is {self.guard.alert_email}, which reaches nobody: write yours into {FILE.name}",)
            if domain in RESERVED_MAIL
            else ()
        )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "tags": dict(self.tags)}


def load(path: Path = FILE) -> Settings:
    """Read the settings from a TOML file.

    Raises
    ------
    SettingsError
        With everything that is wrong at once.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path} cannot be read: {error.strerror}"]) from error
    except SettingsError as error:
        raise SettingsError([f"{path.name}: {problem}" for problem in error.problems]) from error


def parse(text: str) -> Settings:
    """Read the settings from TOML; a SettingsError tells everything that is wrong at once."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"not TOML: {error}"]) from error
    problems: list[str] = []
    names = [known.name for known in fields(Settings)]
    refuse_unknown("the file", given, names, problems)
    host = read_table(Host, "host", given.get("host"), problems)
    given = with_derived(given, host.instance if host else Instance(192, 1536), host.workers if host else 0)
    aws = read_table(Aws, "aws", given.get("aws"), problems)
    tables: dict[str, Any] = {
        name: read_table(kind, name, given.get(name), problems)
        for name, kind in {
            "price": Price,
            "guard": Guard,
            "limits": Limits,
            "threads": Threads,
            "training": Training,
            "ports": Ports,
            "container": Container,
            "storage": Storage,
            "backup": Backup,
        }.items()
    }
    tags = _tags(given.get("tags", {}), problems)
    if aws and aws.zone[:-1] != aws.region:
        problems.append(f"aws.zone is {aws.zone!r}, it must be a zone of {aws.region}")
    training, ports = tables["training"], tables["ports"]
    if training and training.shm_bytes < training.object_store_bytes:
        problems.append(
            f"training.shm_bytes is {training.shm_bytes:,}, it must be at least training.object_store_bytes, "
            f"{training.object_store_bytes:,}"
        )
    container = tables["container"]
    if host and container and host.workers and container.image_delivery != "repository":
        problems.append(
            f"host.workers is {host.workers}, then container.image_delivery must be repository: "
            "workers start by themselves and fetch the image there"
        )
    if ports and len(set(asdict(ports).values())) < len(fields(ports)):
        problems.append(f"ports must differ: {', '.join(f'{name} {port}' for name, port in asdict(ports).items())}")
    if problems or aws is None or host is None:
        raise SettingsError(problems)
    return Settings(aws=aws, host=host, tags=tags, **tables)


def store_bytes(on: Instance) -> int:
    """Return the size of Ray's object store on a machine."""
    return max(on.memory_gib * STORE_BYTES_PER_GIB, LEAST_STORE_BYTES)


def with_room(store: int) -> int:
    """Return the shared memory for an object store: Ray puts a little more there than the store itself."""
    return store * 11 // 10


def with_derived(given: dict[str, Any], on: Instance, workers: int) -> dict[str, Any]:
    """Fill in what follows from the instance, and from workers of the same type, where it is not given."""
    training = dict(given.get("training") or {})
    training.setdefault("num_actors", max(1, min(MOST_ACTORS, int(on.vcpus * (1 + workers) * ACTORS_CORES))))
    store = training.setdefault("object_store_bytes", store_bytes(on))
    if isinstance(store, int):
        training.setdefault("shm_bytes", with_room(store))
    threads = {"learner": max(1, min(8, on.vcpus // 8)), **(given.get("threads") or {})}
    return {**given, "training": training, "threads": threads}


def _tags(given: Any, problems: list[str]) -> dict[str, str]:
    if not isinstance(given, dict):
        problems.append("tags must be a table")
        return {}
    for key, value in given.items():
        if not (isinstance(value, str) and re.fullmatch(r"[\w .:/=+@-]{1,256}", value)) or key.startswith("aws:"):
            problems.append(f"tags.{key} is {value!r}, it must be text that AWS takes as a tag")
    return given


def main(path: Path = FILE) -> int:
    """Check the settings and print them with all that was derived; the exit code is 2 where they are wrong."""
    try:
        settings = load(path)
    except SettingsError as error:
        print(*(f"error: {problem}" for problem in error.problems), sep="\n", file=sys.stderr)  # noqa: T201
        return 2
    print(json.dumps(settings.as_dict(), indent=2))  # noqa: T201 - this is the answer
    for line in settings.unfinished:
        print(f"warning: {line}", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
