"""Data files with a schema: TOML in, frozen and validated records out, one clear line for what is wrong."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from redox_balancer.errors import RedoxError

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Base of all entries of data files: unknown keys are errors and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str


AnyRecord = TypeVar("AnyRecord", bound=Record)


def packaged(name: str) -> Path:
    """Path of a data file that comes with the package."""
    return Path(str(files("redox_balancer") / "data" / name))


def read_records(path: Path, table: str, kind: type[AnyRecord]) -> dict[str, AnyRecord]:
    """Entries of the array of tables `[[table]]` in a TOML file, by their id.

    Raises
    ------
    RedoxError
        The file is missing or not TOML, an entry does not fit its schema, or an id stands twice.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RedoxError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RedoxError(f"{path} is not valid TOML: {error}", hint="mend the file where it says") from error
    entries = document.get(table)
    if not isinstance(entries, list) or not entries:
        raise RedoxError(f"{path} has no [[{table}]] entries", hint=f"compare it with {packaged('')}")
    records: dict[str, AnyRecord] = {}
    for position, entry in enumerate(entries, start=1):
        name = entry.get("id", f"number {position}")
        try:
            record = kind.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "entry"
            raise RedoxError(
                f"{path.name}: {table} {name}: {where}: {first['msg']}", hint=f"mend that entry in {path}"
            ) from error
        if record.id in records:
            raise RedoxError(f"{path.name}: {table} {record.id} stands twice", hint="rename or remove one of them")
        records[record.id] = record
    return records


def pick(records: dict[str, AnyRecord], name: str, kind: str) -> AnyRecord:
    """Record of that name; an unknown name is an error that lists the known ones."""
    try:
        return records[name]
    except KeyError:
        raise RedoxError(f"unknown {kind} {name!r}", hint=f"known: {', '.join(records)}") from None
