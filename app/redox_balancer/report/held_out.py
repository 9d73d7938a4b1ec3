"""Combinations of conditions that no policy is trained on, to ask it about something new."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from redox_balancer.cell.media import JOIN, Condition, pick_condition
from redox_balancer.cell.records import Record, packaged, read_records
from redox_balancer.errors import RedoxError


class Combination(Record):
    """Conditions that hold at once; the id names them, `a+b`."""


def held_out(trained: Sequence[Condition], path: Path | None = None) -> list[Condition]:
    """Combinations of conditions a policy was trained on one by one.

    Parameters
    ----------
    trained
        The conditions of its training.
    path
        A list of combinations; None for the package's, of which those that fit are taken.

    Raises
    ------
    RedoxError
        No combination fits, one of a list of the user's own does not, or one was trained on.
    """
    known = {condition.id: condition for condition in trained}
    names = list(read_records(path or packaged("held_out.toml"), "combination", Combination))
    if path is None:
        names = [name for name in names if all(part in known for part in name.split(JOIN))]
        if not names:
            raise RedoxError(
                "none of the held-out combinations is made of the conditions of this training",
                hint="give some with --held-out FILE, or compare on the training conditions alone (--on training)",
            )
    chosen = [pick_condition(known, name) for name in names]
    changed = {frozenset((change.key, change.value) for change in condition.changes) for condition in trained}
    for condition in chosen:
        if frozenset((change.key, change.value) for change in condition.changes) in changed:
            raise RedoxError(
                f"{condition.id} is no held-out condition: it is the same as one of the training's",
                hint="take it off the list",
            )
    return chosen
