"""What raises and what lowers NAD+/NADH in cells, from `data/directions.toml`, and whether it does so here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
from pydantic import Field

from redox_balancer.cell.conditions import load_conditions, pick_condition
from redox_balancer.cell.embedded import EXTENSION, GROWTH_REACTION
from redox_balancer.cell.energies import Thermodynamics
from redox_balancer.cell.lp import FluxLP
from redox_balancer.cell.media import Concentration, Concentrations
from redox_balancer.cell.models import load_network
from redox_balancer.cell.network import FloatArray, Network
from redox_balancer.cell.ratio_capacity import optima
from redox_balancer.cell.ratio_window import NO_ANSWER, RatioOptimum
from redox_balancer.cell.records import Record, packaged, read_records
from redox_balancer.design.named_construct import NamedConstruct, build_construct
from redox_balancer.design.ratio_diagnosis import ratio_cells
from redox_balancer.design.task import Task
from redox_balancer.evaluation.verdicts import ZERO
from redox_balancer.progress import Progress, no_progress

LEAST_MOVE = 1.1  # factor by which a ratio has to move, written before the first run
MEDIUM, TURNOVER = "physiological", "DM_atp_c_"
GROWING, AT_REST = "growing", "at rest"
Levels = frozenset[tuple[str, Concentration]]
FACTORS = 10.0, 3.0  # factors within which r* of the healthy cell should be of the measured ratio


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
    extra: bool = False


class MeasuredRatio(Record):
    """A ratio that was measured in healthy cells."""

    ratio: str
    value: float
    source: str


@dataclass(frozen=True)
class DirectionResult:
    """The ratio of the reference and of the cell; `obstacle` says why there is none.

    `state` is whether both grow or are at rest, `wide` whether a window is wider than `NO_ANSWER`, so that its mean
    says little, and `held` the share of draws of the energies in which the ratio moves as expected.
    """

    direction: RatioDirection
    reference: float | None
    cell: float | None
    obstacle: str = ""
    state: str = ""
    wide: bool = False
    held: float | None = None

    @property
    def right(self) -> bool | None:
        """Whether the ratio moves as expected; None where it cannot be expressed."""
        if self.reference is None or self.cell is None:
            return None
        return bool(_moves(self.direction.expected, self.cell / self.reference))

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        shown = self.direction.model_dump(
            mode="json", include={"id", "finding", "source", "ratio", "expected", "extra"}
        )
        figures = {"reference": self.reference, "cell": self.cell, "right": self.right, "held": self.held}
        return shown | figures | {"obstacle": self.obstacle or None, "state": self.state or None, "wide": self.wide}


@dataclass(frozen=True)
class MeasuredResult:
    """The window of the healthy core as published beside a measured ratio.

    `inside` is whether that lies in the window, `within` whether r* is within each of `FACTORS` of it, and each
    `_held` the share of draws of the energies in which that is so.
    """

    measured: MeasuredRatio
    window: RatioOptimum
    inside: bool
    within: tuple[bool, ...]
    inside_held: float | None = None
    within_held: tuple[float, ...] = ()

    def data(self) -> dict[str, Any]:
        """Everything as data, ready for JSON."""
        found = {"low": self.window.low, "high": self.window.high, "best": self.window.best}
        verdicts = {"inside": self.inside, "within": list(self.within)}
        held = {"inside_held": self.inside_held, "within_held": list(self.within_held)}
        return self.measured.model_dump(mode="json") | found | {"factors": list(FACTORS)} | verdicts | held


def compare_directions(draws: int = 0, progress: Progress = no_progress) -> Iterator[DirectionResult]:
    """Compute each direction on the embedded core with its extension; the rule is that of the file.

    `draws` is how often the energies are drawn from their uncertainty, with the same seed for each cell.
    """
    path, core = packaged("directions.toml"), load_network(curation=packaged(EXTENSION))
    surroundings = read_records(path, "surroundings", Surroundings)
    shared = {name: level for each in surroundings.values() for name, level in each.concentrations.items()}
    directions = read_records(path, "direction", RatioDirection)

    @cache
    def cell(condition: str, enzymes: str, own: Levels) -> Thermodynamics:
        return _cell(condition, enzymes, shared | dict(own))

    @cache
    def windows(condition: str, enzymes: str, own: Levels, state: str, ratio: str) -> FloatArray:
        """Both ends of the window with the best estimate and with each draw, shape (1 + draws, 2)."""
        found = cell(condition, enzymes, own)
        if state == AT_REST:
            resting = found.network.with_bounds({GROWTH_REACTION: (0.0, 0.0)}).with_objective(TURNOVER)
            found = replace(found, network=resting)
        ends = _windows(found, ratio, draws)
        return np.array([(each.low, each.high) if each else (math.nan, math.nan) for each in ends])

    for number, direction in enumerate(directions.values()):
        progress(direction.id, number, len(directions))
        if missing := pick_condition(load_conditions(), direction.condition).missing_from(core):
            yield DirectionResult(direction, None, None, f"no {', '.join(dict.fromkeys(missing))}")
            continue
        own = frozenset(direction.concentrations.items())
        both = (direction.reference, "", Levels()), (direction.condition, direction.enzymes, own)
        state = GROWING if all(_largest(cell(*each).network) > ZERO for each in both) else AT_REST
        ends = np.stack([windows(*each, state, direction.ratio) for each in both])
        (before, after), wide = np.sqrt(ends.prod(axis=2)), ends[:, 0, 1] > NO_ANSWER * ends[:, 0, 0]
        if not np.isfinite([before[0], after[0]]).all():
            yield DirectionResult(direction, None, None, "no ratio lets the cell live", state)
            continue
        held = float(_moves(direction.expected, after[1:] / before[1:]).mean()) if draws else None
        yield DirectionResult(direction, float(before[0]), float(after[0]), "", state, bool(wide.any()), held)


def compare_measured(draws: int = 0) -> Iterator[MeasuredResult]:
    """Compare the windows of the healthy core as published with measured ratios."""
    ((_, cell),) = ratio_cells(Task(conditions=("healthy",)).space({}))
    for measured in read_records(packaged("directions.toml"), "measured", MeasuredRatio).values():
        windows = [window for window in _windows(cell, measured.ratio, draws) if window is not None]
        inside = [window.low <= measured.value <= window.high for window in windows]
        off = [math.exp(abs(math.log(w.best / measured.value))) if w.best else math.inf for w in windows]
        within = [[each <= factor for each in off] for factor in FACTORS]
        held = [sum(found[1:]) / draws for found in (inside, *within)] if draws else []
        yield MeasuredResult(
            measured, windows[0], inside[0], tuple(w[0] for w in within), held[0] if held else None, tuple(held[1:])
        )


def _cell(condition: str, construct: str, levels: Concentrations) -> Thermodynamics:
    ranges = {name: (level.low, level.high) for name, level in levels.items()}
    task = Task(conditions=(condition,), medium=MEDIUM, curation=packaged(EXTENSION))
    if not construct:
        return next(ratio_cells(task.space({}), concentrations=ranges))[1]
    space, built = build_construct(task.space(), NamedConstruct(construct))
    return list(ratio_cells(space, concentrations=ranges, construct=built))[-1][1]


def _largest(network: Network) -> float:
    with FluxLP(network) as lp:
        solution = lp.maximise()
    return solution.objective if solution.optimal else 0.0


def _windows(cell: Thermodynamics, ratio: str, draws: int) -> list[RatioOptimum | None]:
    largest = _largest(cell.network)
    return optima(cell, largest, ratio, draws) if largest > ZERO else [None] * (1 + draws)


def _moves(expected: Expected, moved: Any) -> Any:
    return moved >= LEAST_MOVE if expected is Expected.HIGHER else moved <= 1.0 / LEAST_MOVE
