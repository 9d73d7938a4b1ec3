"""Combinations of conditions that no policy is trained on, to ask it about something new; and those it may see."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from redox_balancer.cell.media import JOIN, Condition, combined, pick_condition
from redox_balancer.cell.records import Record, packaged, read_records
from redox_balancer.errors import RedoxError


class Combination(Record):
    """Conditions that hold at once; the id names them, `a+b`."""


def held_out(
    trained: Sequence[Condition], path: Path | None = None, *, mixed: Sequence[Condition] = ()
) -> list[Condition]:
    """Combinations of conditions a policy was trained on one by one.

    Parameters
    ----------
    trained
        The conditions of its training.
    path
        A list of combinations; None for the package's, of which those that fit are taken.
    mixed
        Mixtures it was trained on besides.

    Raises
    ------
    RedoxError
        No combination fits, one of a list of the user's own does not, or one was trained on.
    """
    if path is None:
        chosen = _of_the_package(trained)
        if not chosen:
            raise RedoxError(
                "none of the held-out combinations is made of the conditions of this training",
                hint="give some with --held-out FILE, or compare on the training conditions alone (--on training)",
            )
    else:
        known = {condition.id: condition for condition in trained}
        chosen = [pick_condition(known, name) for name in read_records(path, "combination", Combination)]
    changed = {frozenset((change.key, change.value) for change in condition.changes) for condition in trained}
    for condition in chosen:
        same = frozenset((change.key, change.value) for change in condition.changes) in changed
        if same or any(_keys(condition) <= _keys(mixture) for mixture in mixed):
            raise RedoxError(
                f"{condition.id} is no held-out condition: the training has shown it",
                hint="take it off the list",
            )
    return chosen


def mixtures(trained: Sequence[Condition]) -> list[Condition]:
    """Two or three conditions at once that a policy may be trained on.

    A mixture that lowers every bound of a held-out combination of the package, whatever else it lowers, would show
    that combination: there is none of these among them.
    """
    lowering = [condition for condition in trained if condition.changes]
    kept_apart = [_keys(condition) for condition in _of_the_package(trained)]
    found = []
    for size in (2, 3):
        for parts in itertools.combinations(lowering, size):
            if any(_keys(a) <= _keys(b) or _keys(b) <= _keys(a) for a, b in itertools.combinations(parts, 2)):
                continue
            mixture = combined(parts)
            if not any(keys <= _keys(mixture) for keys in kept_apart):
                found.append(mixture)
    return found


def _of_the_package(trained: Sequence[Condition]) -> list[Condition]:
    """Those of the package's combinations that are made of these conditions."""
    known = {condition.id: condition for condition in trained}
    names = read_records(packaged("held_out.toml"), "combination", Combination)
    return [pick_condition(known, name) for name in names if all(part in known for part in name.split(JOIN))]


def _keys(condition: Condition) -> frozenset[tuple[str, str]]:
    return frozenset(change.key for change in condition.changes)
