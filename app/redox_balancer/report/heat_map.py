"""The heat map of a report: designs by condition and cell line, or by condition and what is put in."""

from collections.abc import Sequence
from typing import Any

from redox_balancer.cell.conditions import HEALTHY, JOIN
from redox_balancer.designer.design import Design


def heat_map(designs: Sequence[Design]) -> dict[str, Any]:
    """Rows and columns of the map, ready for the template; shares of the largest number are what colours it.

    A column is a cell line or, where a run knows none, the model, and each placement that some design takes follows.
    A cell is None where the run has no such condition.
    """
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    largest = {name: max((_number(design, name) for design in designs), default=0.0) for name in ("value", "rescue")}
    placed: dict[str, float] = {}
    for design in designs:
        condition = design.proposal.condition
        line = "" if condition.reference == HEALTHY else condition.reference
        name = condition.id.removeprefix(line).removeprefix(JOIN) or HEALTHY
        numbers = {name: _number(design, name) for name in largest}
        taken = {row["placement"]: row["proteome_fraction"] for row in design.proposal.placed}
        if not line:
            placed |= {each: max(fraction, placed.get(each, 0.0)) for each, fraction in taken.items()}
        cells.setdefault(name, {})[line or design.proposal.space.network.id] = numbers | {
            "condition": condition.id,
            "shares": {of: _share(number, largest[of]) for of, number in numbers.items()},
            "placed": taken,
        }
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    return {
        "columns": columns,
        "rows": [(name, [row.get(column) for column in columns]) for name, row in cells.items()],
        "placed": dict(sorted(placed.items())),
        "largest": largest,
    }


def _number(design: Design, name: str) -> float:
    return design.proposal.task_value if name == "value" else design.proposal.outcome.rescue


def _share(number: float, largest: float) -> float:
    return min(1.0, max(0.0, number / largest)) if largest > 0 else 0.0
