"""The settings of the deployment, read from `deploy.toml`: the one place for limits, threads, ports, paths and sizes.

Code imports them from here; the Dockerfile and other files that cannot are generated from them or checked against
them by a test. Only the standard library.
"""

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from infra.tables import (
    MAX_ACTORS,
    MIN_STORE_BYTES,
    TYPE,
    AwsSettings,
    BackupSettings,
    ContainerSettings,
    GuardSettings,
    HostSettings,
    InstanceType,
    LimitSettings,
    NamesSettings,
    PortSettings,
    PriceSettings,
    StorageSettings,
    ThreadSettings,
    TrainingSettings,
)
from infra.validation import read_table, refuse_unknown

ROOT = Path(__file__).parents[1]
VARIABLE = "REDOX_SETTINGS"  # names another settings file for this process and all that it starts, the CDK included
FILE = Path(os.environ.get(VARIABLE) or ROOT / "deploy.toml")

ACTORS_PER_VCPU = 0.75  # the other cores are for the learner, Ray and the system
STORE_BYTES_PER_GIB = 78_125_000  # of memory: 120,000,000,000 bytes on 1,536 GiB
RESERVED_DOMAINS = ("example.com", "example.org", "example.net")  # RFC 2606: mail to them reaches nobody


class SettingsError(Exception):
    """The settings are invalid; `problems` has a line for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)

    def show(self) -> int:
        """Write them to stderr, and return the exit code of a program that they end."""
        print(*(f"error: {problem}" for problem in self.problems), sep="\n", file=sys.stderr)  # noqa: T201
        return 2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, those that are derived from the instance type included."""

    aws: AwsSettings
    names: NamesSettings
    host: HostSettings
    price: PriceSettings
    guard: GuardSettings
    limits: LimitSettings
    threads: ThreadSettings
    training: TrainingSettings
    ports: PortSettings
    container: ContainerSettings
    storage: StorageSettings
    backup: BackupSettings
    tags: Mapping[str, str]

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Sample values that must be replaced before a real deployment, one line each."""
        address = self.guard.alert_email
        if address.rpartition("@")[2] not in RESERVED_DOMAINS:
            return ()
        return (f"guard.alert_email is {address}, which reaches nobody: set yours in {FILE.name}",)

    @property
    def price_mismatch(self) -> str:
        """What the source of the price does not name of this host: its type, region and market; empty if it fits."""
        market = "spot" if self.host.spot else "on demand"
        known = self.price.source.split(":")[0]  # after it, how it was calculated
        fits = all(part in known for part in (self.host.instance_types[0], self.aws.region, market))
        return "" if fits else f"not the price of {self.host.instance_types[0]} {market} in {self.aws.region}"

    @property
    def price_of_host(self) -> str:
        """Price of an hour of the host, which says so where its source is not of this host."""
        mismatch = f", which is {self.price_mismatch} but: {self.price.source}" if self.price_mismatch else ""
        return f"{self.price.per_hour_usd} USD an hour{mismatch}"

    def as_dict(self) -> dict[str, Any]:
        """Return the settings ready for JSON."""
        return {**asdict(self), "tags": dict(self.tags)}


def load(path: Path = FILE) -> Settings:
    """Read the settings from a TOML file; a SettingsError lists all mistakes at once."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError([f"{path} cannot be read: {reason}"]) from error
    except SettingsError as error:
        raise SettingsError([f"{path.name}: {problem}" for problem in error.problems]) from error


def parse(text: str) -> Settings:
    """Read the settings from TOML; a SettingsError lists all mistakes at once."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"not TOML: {error}"]) from error
    problems: list[str] = []
    kinds = get_type_hints(Settings)
    refuse_unknown("the file", given, list(kinds), problems)
    host = read_table(HostSettings, "host", given.get("host"), problems)
    given = with_derived(given, host.instance if host else InstanceType(192, 1536), host.workers if host else 0)
    tables: dict[str, Any] = {
        name: read_table(kind, name, given.get(name), problems)
        for name, kind in kinds.items()
        if name not in ("host", "tags")
    }
    tables |= {"host": host, "tags": _tags(given.get("tags", {}), problems)}
    problems += _contradictions(tables)
    if problems:
        raise SettingsError(problems)
    return Settings(**tables)


def store_bytes(on: InstanceType) -> int:
    """Return the size of Ray's object store on a machine."""
    return max(on.memory_gib * STORE_BYTES_PER_GIB, MIN_STORE_BYTES)


def with_room(store: int) -> int:
    """Return the shared memory for an object store: Ray uses a little more than the store itself."""
    return store * 11 // 10


def with_derived(given: dict[str, Any], on: InstanceType, workers: int) -> dict[str, Any]:
    """Fill in the settings that follow from the instance type, workers included, where they are not given.

    A table that is missing or is none stays as it is: `read_table` reports it.
    """
    derived = dict(given)
    if isinstance(training := given.get("training"), dict):
        training = dict(training)
        training.setdefault("num_actors", max(1, min(MAX_ACTORS, int(on.vcpus * (1 + workers) * ACTORS_PER_VCPU))))
        store = training.setdefault("object_store_bytes", store_bytes(on))
        training.setdefault("shm_bytes", with_room(store if isinstance(store, int) else store_bytes(on)))
        derived["training"] = training
    if isinstance(threads := given.get("threads"), dict):
        derived["threads"] = {"learner": max(1, min(8, on.vcpus // 8)), **threads}
    return derived


def _contradictions(tables: Mapping[str, Any]) -> Iterator[str]:
    """Yield the mistakes that concern two settings; a table that could not be read is None."""
    aws: AwsSettings | None = tables["aws"]
    for zone in aws.zones if aws else ():
        if aws and zone[:-1] != aws.region:
            yield f"aws.zones has {zone!r}, which is no zone of {aws.region}"
    host: HostSettings | None = tables["host"]
    price: PriceSettings | None = tables["price"]
    if aws and host and price:
        source = price.source.split(":")[0]  # after it, how it was calculated
        for setting, value, pattern in (
            ("host.instance_types[0]", host.instance_types[0], TYPE.pattern),
            ("aws.region", aws.region, r"[a-z]{2}(?:-[a-z]+)+-\d"),
        ):
            named = [found[0] for found in re.finditer(rf"\b{pattern}\b", source)]
            if named and value not in named:
                yield f"price.source is of {named[0]}, {setting} is {value}: give the price of {value} and its source"
    training: TrainingSettings | None = tables["training"]
    if training and training.shm_bytes < training.object_store_bytes:
        yield (
            f"training.shm_bytes is {training.shm_bytes:,}, it must be at least training.object_store_bytes, "
            f"{training.object_store_bytes:,}"
        )
    container: ContainerSettings | None = tables["container"]
    if host and container and host.workers and container.image_delivery != "repository":
        yield (
            f"host.workers is {host.workers}, then container.image_delivery must be repository: "
            "workers start unattended and pull the image from there"
        )
    if container and container.image_build == "cloud" and container.image_delivery != "repository":
        yield "container.image_build is cloud, then container.image_delivery must be repository: it pushes there"
    ports: PortSettings | None = tables["ports"]
    if ports and len(set(asdict(ports).values())) < len(fields(ports)):
        yield f"ports must differ: {', '.join(f'{name} {port}' for name, port in asdict(ports).items())}"


def _tags(given: Any, problems: list[str]) -> dict[str, str]:
    if not isinstance(given, dict):
        problems.append("tags must be a table")
        return {}
    for key, value in given.items():
        if not (isinstance(value, str) and re.fullmatch(r"[\w .:/=+@-]{1,256}", value)) or key.startswith("aws:"):
            problems.append(f"tags.{key} is {value!r}, it must be text that AWS accepts as a tag")
    return given


def main(path: Path = FILE) -> int:
    """Check the settings and print them with all derived values; the exit code is 2 where they are invalid."""
    try:
        settings = load(path)
    except SettingsError as error:
        return error.show()
    print(json.dumps(settings.as_dict(), indent=2))  # noqa: T201 - this is the answer
    for line in settings.unfinished:
        print(f"warning: {line}", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
