"""Tables of a TOML file become frozen dataclasses; every mistake is told, each in one line.

Only the standard library: whatever reads the settings stays light.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, get_args, get_type_hints

Table = TypeVar("Table")

KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Rule:
    """What a value must be, in words and as a test."""

    wanted: str
    fits: Callable[[Any], bool]


def setting(rule: Rule | None = None, *, default: Any = MISSING) -> Any:
    """Declare a field of a table with the rule for its value; a field without a default must be given."""
    return field(default=default, metadata={"rule": rule})


def between(low: float, high: float) -> Rule:
    """Return the rule of a number from low to high, both included."""
    return Rule(f"from {low:,} to {high:,}", lambda value: low <= value <= high)


def one_of(*choices: Any) -> Rule:
    """Return the rule of a value that is one of a few."""
    return Rule(f"one of {', '.join(map(str, choices))}", lambda value: value in choices)


def like(pattern: str, wanted: str) -> Rule:
    """Return the rule of a text that matches a regular expression as a whole."""
    return Rule(wanted, lambda value: re.fullmatch(pattern, value) is not None)


def read_table(kind: type[Table], name: str, given: Any, problems: list[str]) -> Table | None:
    """Make a dataclass of a table; what is wrong goes to `problems`, and then there is no table.

    Parameters
    ----------
    kind
        Frozen dataclass whose fields were made by `setting` and are of type int, float, str or bool, or one of
        these and None.
    name
        Name of the table, for what is said about it.
    given
        The table as TOML gives it.
    problems
        Takes one line for each mistake.
    """
    if not isinstance(given, Mapping):
        problems.append(f"[{name}] is missing" if given is None else f"{name} must be a table")
        return None
    before = len(problems)
    hints, values = get_type_hints(kind), {}
    known: tuple[Field[Any], ...] = fields(kind)  # type: ignore[arg-type]
    refuse_unknown(f"[{name}]", given, [known_field.name for known_field in known], problems)
    for known_field in known:
        key = f"{name}.{known_field.name}"
        if known_field.name in given:
            value, wanted = given[known_field.name], hints[known_field.name]
            values[known_field.name] = value
            problem = _problem(value, (get_args(wanted) or (wanted,))[0], known_field.metadata["rule"])
            if problem:
                problems.append(f"{key} is {value!r}, it must be {problem}")
        elif known_field.default is MISSING:
            problems.append(f"{key} is missing")
    return kind(**values) if len(problems) == before else None


def _problem(value: Any, kind: type, rule: Rule | None) -> str:
    """Say what a value must be; empty where it is."""
    # In Python a bool is an int, and a whole number will do where any number does.
    of_kind = type(value) is kind or (kind is float and type(value) is int)
    if not of_kind:
        return KINDS[kind]
    return "" if rule is None or rule.fits(value) else rule.wanted


def refuse_unknown(where: str, given: Collection[str], known: Collection[str], problems: list[str]) -> None:
    """Report names that nobody reads; a misspelt setting must not pass for its default."""
    problems.extend(f"{where} has no {name!r}; it has {', '.join(known)}" for name in given if name not in known)
