"""`redox diagnose --ratios`: windows of NAD+/NADH and NADP+/NADPH as text and as JSON."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from redox_balancer.cli.options import report_repairs, write_figure
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import notes, out, table

if TYPE_CHECKING:
    from redox_balancer.design.ratio_diagnosis import RatioDiagnosis
    from redox_balancer.design.task import Task

LIMITS_SHOWN = 4
FORCES = {"condition": "left"} | dict.fromkeys(
    ("growth 1/h", "by ratios", "driving force kJ/mol", "90 %", "feasible"), "right"
)
FORCES |= {"limited by": "left"}
KINDS = "all", "all, active", "NAD(P)H", "NAD(P)H, active", "c", "m", "between"
WINDOWS = {"condition": "left", "ratio": "left", "lowest": "right", "90 %": "right", "closed by": "left"} | {
    "highest": "right",
    "90 % ": "right",
    "closed by ": "left",
    "95 % of growth": "right",
    "width": "right",
    "r*": "right",
}


def print_ratios(
    task: "Task",
    *,
    construct: str | None,
    margin: float,
    draws: int,
    figure: Path | None,
    held_by_medium: bool,
    as_json: bool,
) -> None:
    """Diagnose the ratios of a task's cell under its conditions, and print and draw what was found."""
    from redox_balancer.design.ratio_diagnosis import cells_of_task, diagnose_ratios  # noqa: PLC0415 - loads the solver

    with notes().status("reading the model") as status:
        cells = cells_of_task(task, construct)
        report_repairs(cells["space"].network.repairs)
        cells |= {"margin": margin, "draws": draws, "held_by_medium": held_by_medium, "curves": figure is not None}
        found = list(diagnose_ratios(**cells, progress=status_progress(status)))
    if figure is not None:
        from redox_balancer.design.ratio_curves import ratio_curves  # noqa: PLC0415 - loads Matplotlib

        write_figure(ratio_curves(found), figure)
    if as_json:
        typer.echo(json.dumps({diagnosis.condition: diagnosis.data() for diagnosis in found}))
        return
    out().print(table(FORCES, map(_force_cells, found)), "\n")
    if rows := [row for diagnosis in found for row in _window_rows(diagnosis)]:
        out().print(table(WINDOWS, rows), "\n")
    for diagnosis in found:
        if diagnosis.conflicts:
            lacking = ", ".join(f"{reaction} ({lack:.1f} kJ/mol)" for reaction, lack in diagnosis.conflicts.items())
            out().print(f"{diagnosis.condition}: against its energy runs {lacking}", "\n")
    if counts := [(diagnosis.condition, *map(str, _counted(diagnosis))) for diagnosis in found if diagnosis.coverage]:
        out().print(table({"with an energy, of": "left"} | dict.fromkeys(KINDS, "right"), counts), "\n")
    by_reason: dict[str, set[str]] = {}
    for reaction, reason in itertools.chain(*(diagnosis.without_energy.items() for diagnosis in found)):
        by_reason.setdefault(reason, set()).add(reaction)
    for reason, reactions in sorted(by_reason.items()):
        out().print(f"without a limit ({reason}): {', '.join(sorted(reactions))}")


def _counted(diagnosis: "RatioDiagnosis") -> Iterator[str]:
    for kind in KINDS:
        known, every = diagnosis.coverage.get(kind, (0, 0))
        yield f"{known} of {every}"


def _force_cells(diagnosis: "RatioDiagnosis") -> tuple[str, ...]:
    force, data = diagnosis.force, diagnosis.data()
    if force is None:
        return diagnosis.condition, "0.00000", "0.00000", "-", "-", "-", "a cell that does not grow has no state"
    feasible = "-" if diagnosis.feasible is None else f"{diagnosis.feasible:.0%}"
    interval = _interval(data["driving_force_interval"], "{:.1f}".format)
    return (
        diagnosis.condition,
        f"{diagnosis.growth:.5f}",
        f"{diagnosis.growth_by_ratios:.5f}",
        f"{force.value:.2f}",
        interval,
        feasible,
        _limits(force.limiting),
    )


def _window_rows(diagnosis: "RatioDiagnosis") -> Iterator[tuple[str, ...]]:
    from redox_balancer.design.ratio_diagnosis import two_digits  # noqa: PLC0415 - loads NumPy

    optima = {str(found.ratio): found for found in diagnosis.optima}
    for ratio, window in diagnosis.data()["windows"].items():
        best = optima.get(ratio)
        yield (
            diagnosis.condition,
            ratio,
            two_digits(window["low"]),
            _interval(window["low_interval"], two_digits),
            _limits(window["low_limits"]),
            two_digits(window["high"]),
            _interval(window["high_interval"], two_digits),
            _limits(window["high_limits"]),
            _interval([best.low, best.high], two_digits) if best else "-",
            two_digits(best.width) if best else "-",
            two_digits(best.best) if best and best.best else "-",
        )


def _interval(ends: Iterable[float] | None, text: Callable[[float], str]) -> str:
    return " to ".join(map(text, ends)) if ends else "-"


def _limits(limits: Iterable[str]) -> str:
    """Reactions first: a concentration at the end of its range follows from the reaction that it is in."""
    shown = sorted(limits, key=lambda name: " " in name)[:LIMITS_SHOWN]
    return ", ".join(shown) or "-"
