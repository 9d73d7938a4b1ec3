"""What raises and what lowers NAD+/NADH in cells, from `data/directions.toml`, and whether it does so here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field

from redox_balancer.cell.conditions import load_conditions, pick_condition
from redox_balancer.cell.media import Concentrations
from redox_balancer.cell.models import load_network
from redox_balancer.cell.records import Record, packaged, read_records
from redox_balancer.design.named_construct import NamedConstruct, build_construct
from redox_balancer.design.ratio_diagnosis import RatioDiagnosis, diagnose_ratios
from redox_balancer.design.task import Task

LEAST_MOVE = 1.1
"""Factor by which a ratio has to move, written before the first run."""


class Expected(StrEnum):
    """Which way a ratio moves."""

    LOWER = "lower"
    HIGHER = "higher"


class Surroundings(Record):
    """Concentrations of all cells."""

    concentrations: Concentrations


class RatioDirection(Record):
    """What a paper reports: `enzymes` and `concentrations` are those of the cell, and not of the reference."""

    finding: str
    source: str
    condition: str
    reference: str
    enzymes: str = ""
    concentrations: Concentrations = Field(default_factory=dict)
    ratio: str
    expected: Expected


@dataclass(frozen=True)
class DirectionResult:
    """The ratio of the reference and of the cell; `obstacle` says why there is none."""

    direction: RatioDirection
    reference: float | None
    cell: float | None
    obstacle: str = ""

    @property
    def right(self) -> bool | None:
        """Whether the ratio moves as expected; None where it cannot be expressed."""
        if self.reference is None or self.cell is None:
            return None
        moved = self.cell / self.reference
        return moved >= LEAST_MOVE if self.direction.expected is Expected.HIGHER else moved <= 1.0 / LEAST_MOVE

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        shown = self.direction.model_dump(mode="json", include={"id", "finding", "source", "ratio", "expected"})
        figures = {"reference": self.reference, "cell": self.cell, "right": self.right}
        return shown | figures | {"obstacle": self.obstacle or None}


def compare_directions() -> Iterator[DirectionResult]:
    """Compute each direction on the embedded core, on its own medium."""
    path, core = packaged("directions.toml"), load_network()
    surroundings = read_records(path, "surroundings", Surroundings)
    shared = {name: level for each in surroundings.values() for name, level in each.concentrations.items()}
    for direction in read_records(path, "direction", RatioDirection).values():
        if missing := pick_condition(load_conditions(), direction.condition).missing_from(core):
            yield DirectionResult(direction, None, None, f"no {', '.join(dict.fromkeys(missing))}")
            continue
        levels = shared | direction.concentrations
        reference = _ratio(_cell(direction.reference, "", shared), direction.ratio)
        cell = _ratio(_cell(direction.condition, direction.enzymes, levels), direction.ratio)
        obstacle = "" if reference and cell else "the cell does not grow"
        yield DirectionResult(direction, reference, cell, obstacle)


def _cell(condition: str, construct: str, levels: Concentrations) -> RatioDiagnosis:
    ranges = {name: (level.low, level.high) for name, level in levels.items()}
    task = Task(conditions=(condition,))
    if not construct:
        return next(diagnose_ratios(task.space({}), concentrations=ranges))
    space, built = build_construct(task.space(), NamedConstruct(construct))
    return list(diagnose_ratios(space, concentrations=ranges, construct=built))[-1]


def _ratio(diagnosis: RatioDiagnosis, ratio: str) -> float | None:
    return next((math.sqrt(found.low * found.high) for found in diagnosis.optima if str(found.ratio) == ratio), None)
