"""Reads the tables of a TOML file into frozen dataclasses and reports every mistake, one line each.

Only the standard library: reading the settings stays light.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

Table = TypeVar("Table")

LIST = tuple[str, ...]
KINDS: dict[Any, str] = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false", LIST: "a list of texts",
}  # fmt: skip


@dataclass(frozen=True)
class SettingRule:
    """A requirement on a value, in words and as a predicate."""

    wanted: str
    fits: Callable[[Any], bool]


def setting(rule: SettingRule | None = None) -> Any:
    """Declare a field of a table with the rule for its value."""
    return field(metadata={"rule": rule})


def between(low: float, high: float) -> SettingRule:
    """Return the rule for a number from low to high, both included."""
    return SettingRule(f"from {low:,} to {high:,}", lambda value: low <= value <= high)


def one_of(*choices: Any) -> SettingRule:
    """Return the rule for a value that is one of a few."""
    return SettingRule(f"one of {', '.join(map(str, choices))}", lambda value: value in choices)


def like(pattern: str, wanted: str) -> SettingRule:
    """Return the rule for text that matches a regular expression completely."""
    return SettingRule(wanted, lambda value: re.fullmatch(pattern, value) is not None)


def each(rule: SettingRule) -> SettingRule:
    """Return the rule for a list with at least one text, all different, where every one fits a rule."""
    wanted = f"one or more, each different and {rule.wanted}"
    return SettingRule(wanted, lambda values: len(set(values)) == len(values) > 0 and all(map(rule.fits, values)))


def read_table(kind: type[Table], name: str, given: Any, problems: list[str]) -> Table | None:
    """Make a dataclass of a table as parsed from TOML; None where a line for each mistake was added to `problems`.

    The fields of the dataclass were made by `setting` and are of type int, float, str, bool or a tuple of str.
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
            values[known_field.name] = value = tuple(value) if type(value) is list else value
            if problem := _problem(value, wanted, known_field.metadata["rule"]):
                problems.append(f"{key} is {value!r}, it must be {problem}")
        else:
            problems.append(f"{key} is missing")
    return kind(**values) if len(problems) == before else None


def _problem(value: Any, kind: Any, rule: SettingRule | None) -> str:
    """Return what a value must be, empty where it is valid."""
    # In Python a bool is an int; and a whole number is accepted where any number is.
    of_kind = type(value) is kind or (kind is float and type(value) is int)
    if kind == LIST:
        of_kind = isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    if not of_kind:
        return KINDS[kind]
    return "" if rule is None or rule.fits(value) else rule.wanted


def refuse_unknown(where: str, given: Collection[str], known: Collection[str], problems: list[str]) -> None:
    """Report unknown names; a misspelt setting must not silently keep its default."""
    problems.extend(f"{where} has no {name!r}; it has {', '.join(known)}" for name in given if name not in known)
