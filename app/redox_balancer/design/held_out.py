"""Held-out combinations of conditions, which no policy is trained on, and the mixtures it may be trained on."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from redox_balancer.cell.conditions import HEALTHY, JOIN, Condition, combined, pick_condition
from redox_balancer.cell.records import Record, packaged, read_records
from redox_balancer.errors import RedoxError


class Combination(Record):
    """Conditions that hold at once, named by the id: `a+b`."""


def held_out(
    trained: Sequence[Condition], path: Path | None = None, *, mixed: Sequence[Condition] = ()
) -> list[Condition]:
    """Combinations of conditions that a policy was trained on one by one.

    `path` is a list of combinations (TOML); None for those in the package's list that consist of `trained`
    conditions. `mixed` are mixtures that the policy was trained on as well. A RedoxError if the package's list has no
    such combination, or one in the user's list is unknown or was trained on.
    """
    if path is None:
        chosen = _of_the_package(trained)
        if not chosen:
            raise RedoxError(
                "none of the held-out combinations consists of conditions of this training",
                hint="provide a list of combinations, or compare on independent states alone",
                settings=("held_out", "on"),
            )
    else:
        known = {condition.id: condition for condition in trained}
        chosen = [pick_condition(known, name) for name in read_records(path, "combination", Combination)]
    changed = {frozenset((change.key, change.value) for change in condition.changes) for condition in trained}
    for condition in chosen:
        same = frozenset((change.key, change.value) for change in condition.changes) in changed
        if same or any(
            condition.reference == mixture.reference and _keys(condition) <= _keys(mixture) for mixture in mixed
        ):
            raise RedoxError(
                f"{condition.id} is not a held-out condition: it was part of the training",
                hint="remove it from the list",
                settings=("held_out",),
            )
    return chosen


def mixtures(trained: Sequence[Condition]) -> list[Condition]:
    """Combinations of two or three conditions that a policy may be trained on.

    A mixture that changes every bound of a held-out combination of the package, whatever else it changes, would
    reveal that combination and is therefore excluded.
    """
    changing = [condition for condition in trained if condition.changes]
    reserved = [_keys(condition) for condition in _of_the_package(trained)]
    found = []
    for size in (2, 3):
        for parts in itertools.combinations(changing, size):
            if any(_keys(a) <= _keys(b) or _keys(b) <= _keys(a) for a, b in itertools.combinations(parts, 2)):
                continue
            mixture = combined(parts)
            if not any(keys <= _keys(mixture) for keys in reserved):
                found.append(mixture)
    return found


def _of_the_package(trained: Sequence[Condition]) -> list[Condition]:
    """Combinations of the package that consist of these conditions, in each of their cell lines."""
    known = {condition.id: condition for condition in trained}
    names = read_records(packaged("held_out.toml"), "combination", Combination)
    lines = dict.fromkeys("" if c.reference == HEALTHY else c.reference + JOIN for c in trained)
    return [
        pick_condition(known, line + name)
        for line in lines
        for name in names
        if all(line + part in known for part in name.split(JOIN))
    ]


def _keys(condition: Condition) -> frozenset[tuple[str, str, bool]]:
    # A cell line opens bounds that conditions limit.
    return frozenset((*change.key, change.opens) for change in condition.changes)
