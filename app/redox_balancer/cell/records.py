"""Data files with a schema: TOML in, frozen and validated records out."""

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
    """Base class of the entries of data files: immutable, and unknown keys are errors.

    Attributes
    ----------
    id
        Unique name of the entry in its file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str


AnyRecord = TypeVar("AnyRecord", bound=Record)


def packaged(name: str) -> Path:
    """Return the path of a data file in the package."""
    return Path(str(files("redox_balancer") / "data" / name))


def read_records(path: Path, table: str, kind: type[AnyRecord]) -> dict[str, AnyRecord]:
    """Read the array of tables `[[table]]` of a TOML file: entries of a schema by id, in the order of the file.

    Raises
    ------
    RedoxError
        The file is missing or not TOML, an entry does not match the schema, or an id is repeated.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RedoxError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RedoxError(f"{path} is not valid TOML: {error}", hint="fix the file at that position") from error
    entries = document.get(table)
    if not isinstance(entries, list) or not entries:
        raise RedoxError(f"{path} has no [[{table}]] entries", hint=f"compare it with {packaged('')}")
    records: dict[str, AnyRecord] = {}
    for position, entry in enumerate(entries, start=1):
        name = entry.get("id", f"number {position}")
        try:
            record = kind.model_validate(entry)
        except ValidationError as error:
            raise refusal(path, f"{table} {name}", error) from error
        if record.id in records:
            raise RedoxError(f"{path.name}: {table} {record.id} is defined twice", hint="rename or remove one")
        records[record.id] = record
    return records


def refusal(path: Path, entry: str, error: ValidationError) -> RedoxError:
    """The error for an entry of a file that does not match its schema."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "entry"
    return RedoxError(f"{path.name}: {entry}: {where}: {first['msg']}", hint=f"fix that entry in {path}")


def pick(records: dict[str, AnyRecord], name: str, kind: str, besides: str = "") -> AnyRecord:
    """Return the record of a name; a RedoxError for an unknown name lists the known ones, and what else is taken."""
    try:
        return records[name]
    except KeyError:
        raise RedoxError(f"unknown {kind} {name!r}", hint=f"known: {', '.join(records)}{besides}") from None
