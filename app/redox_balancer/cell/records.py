"""Data files with a schema: TOML in, frozen and validated records out."""

import csv
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from redox_balancer.errors import RedoxError

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Base class of the entries of data files, by unique id: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str


AnyRecord = TypeVar("AnyRecord", bound=Record)


def packaged(name: str) -> Path:
    """Return the path of a data file in the package."""
    return Path(str(files("redox_balancer") / "data" / name))


def read_file(path: Path, what: str = "", *settings: str) -> bytes:
    """Content of a file that a user names; a RedoxError with `settings` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"cannot read {what and f'the {what} '}{path}: {error.strerror}"
        raise RedoxError(problem, hint="check the path", settings=settings) from error


def table_rows(text: str) -> list[list[str]]:
    """Rows of a table with tabs, semicolons or commas, less comments; none where there are no columns."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = (mark for searched in (lines[:1], lines) for mark in "\t;," if any(mark in line for line in searched))
    if (delimiter := next(found, None)) is None:
        return []
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]


def packaged_rows(name: str) -> list[list[str]]:
    """Rows of a table in the package, without its header."""
    return table_rows(packaged(name).read_text(encoding="utf-8"))[1:]


def read_records(path: Path, table: str, kind: type[AnyRecord]) -> dict[str, AnyRecord]:
    """Read the array of tables `[[table]]` of a TOML file: entries of a schema by id, in the order of the file.

    A RedoxError if the file is missing or not TOML, an entry does not match the schema, or an id is repeated.
    """
    try:
        document = tomllib.loads(read_file(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RedoxError(f"{path} is not valid TOML: {error}", hint="fix the file at that position") from error
    entries = document.get(table)
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
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
