"""`redox diagnose`: whether a cell's trouble is redox at all, and where."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redox_balancer.cli.model_page import alone
from redox_balancer.cli.options import Figure, flag, report_repairs, takes_task_without, write_figure
from redox_balancer.errors import RedoxError
from redox_balancer.terminal.options import AsJson
from redox_balancer.terminal.progress import status_progress
from redox_balancer.terminal.tables import notes, number, out, show, table

if TYPE_CHECKING:
    from redox_balancer.design.diagnosis import Diagnosis
    from redox_balancer.design.ratio_diagnosis import RatioDiagnosis
    from redox_balancer.design.task import Task

EXAMPLE = (
    "Example: redox diagnose --conditions healthy,hypoxia,complex_iii_closed --figure pressure.svg; "
    "redox diagnose --conditions healthy,complex_i_closed --ratios --construct 'LBNOX_c 0.1 %'"
)

LIMITS_SHOWN, RATIO_LIMITS_SHOWN = 2, 4
DRAWS = 40
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
_OF_CONSTRUCTS = (
    *("enzymes", "candidates", "placements", "budget", "membrane_budget", "saturation", "sampling", "reward"),
    *("protein_price", "h2o2_price", "parameter_samples", "hidden_condition", "held_ratios"),
    *("measurement_noise", "measurement_cost"),
)


@takes_task_without(*_OF_CONSTRUCTS)
def diagnose(
    *,
    task: "Task",
    figure: Figure = None,
    ratios: Annotated[bool, typer.Option(help="Windows of NAD+/NADH and NADP+/NADPH and what closes them.")] = False,
    margin: Annotated[float, typer.Option(help="With --ratios: least driving force of each step, kJ/mol.")] = 0.0,
    draws: Annotated[int, typer.Option(min=0, help="With --ratios: draws of uncertain energies.")] = DRAWS,
    held_by_medium: Annotated[
        bool, typer.Option("--held-by-medium", help="With --ratios: lactate and pyruvate outside hold NAD+/NADH.")
    ] = False,
    construct: Annotated[
        str | None, typer.Option(help="With --ratios: placements and amounts, for a cell before and after.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say for each condition whether its trouble is redox, and where, from what outside reactions do to growth.

    Each pool of NADH, NADPH and ubiquinol is oxidised by an acceptor from outside, oxidised by the cell's own oxygen,
    and reduced by a donor from outside: growth gained (1/h) by up to 0.1 and 1 mmol/gDW/h, and its slope at 0. Pools
    in which nothing changes growth are not listed. The figure is a heat map of conditions and pools.

    With --ratios the answer is another one: the largest driving force that all steps of a growing cell can have at
    once, the ratios at which it can grow so, what closes their windows on either side, with the interval of 90 % of
    draws from the uncertainty of the energies, and the ratios at which capacities leave 95 % of growth. The figure is
    growth against NAD+/NADH. With --held-by-medium lactate dehydrogenase and the carriers of lactate and pyruvate are
    at equilibrium, and it and GAPD have measured capacities.
    """
    if ratios:
        settings = {"margin": margin, "draws": draws, "held_by_medium": held_by_medium}
        _diagnose_ratios(task, construct, figure, settings, as_json=as_json)
        return
    other = {"margin": margin, "draws": draws != DRAWS, "concentrations": task.concentrations, "construct": construct}
    other["held_by_medium"] = held_by_medium
    if given := [name for name, value in other.items() if value]:
        raise RedoxError(f"{flag(given[0])} does not go without --ratios", hint="add --ratios")
    from redox_balancer.design.pressure import diagnose as diagnoses_of  # noqa: PLC0415 - loads the solver

    with notes().status("reading the model") as status:
        space = task.space({})
        report_repairs(space.network.repairs)
        found = list(diagnoses_of(space, status_progress(status)))
    if figure:
        from redox_balancer.design.figures import pressure_map  # noqa: PLC0415 - loads Matplotlib

        write_figure(pressure_map(found), figure)
    if as_json:
        typer.echo(json.dumps({diagnosis.condition: diagnosis.data() for diagnosis in found}))
        return
    headings = {"condition": "left", "growth 1/h": "right", "lost": "right", "limited by": "left"}
    show(headings, map(_growth_cells, found))
    out().print()
    if rows := [row for diagnosis in found for row in _pressure_rows(diagnosis)]:
        numbers = [f"{kind} {what}" for kind in ("acceptor", "oxygen", "donor") for what in ("slope", "0.1", "1")]
        show({"condition": "left", "pool": "left"} | dict.fromkeys(numbers, "right"), rows)
        out().print("\n")
    out().print("\n".join(map(str, found)))


def _growth_cells(diagnosis: "Diagnosis") -> tuple[str, ...]:
    limits = ", ".join(
        f"{limit['name']} {limit['bound']} {limit['value']:.4g} ({limit['share']:.0%})" + alone(limit)
        for limit in diagnosis.limits[:LIMITS_SHOWN]
    )
    return diagnosis.condition, f"{diagnosis.growth:.5f}", f"{round(diagnosis.lost, 4) + 0.0:.1%}", limits or "-"


def _pressure_rows(diagnosis: "Diagnosis") -> Iterator[tuple[str, ...]]:
    for pressure in diagnosis.pressures:
        effects = pressure.acceptor, pressure.oxygen, pressure.donor
        # Where oxygen is short, taking more of it costs growth at any pool.
        if pressure.acceptor.slope or pressure.donor.slope or any(effect and any(effect.gains) for effect in effects):
            numbers = [(effect.slope, *effect.gains[1:]) if effect else (None,) * 3 for effect in effects]
            yield diagnosis.condition, pressure.pool, *map(number, itertools.chain(*numbers))


def _diagnose_ratios(
    task: "Task", construct: str | None, figure: Path | None, settings: dict[str, Any], *, as_json: bool
) -> None:
    from redox_balancer.design.ratio_diagnosis import cells_of_task, diagnose_ratios  # noqa: PLC0415 - loads the solver

    with notes().status("reading the model") as status:
        cells = cells_of_task(task, construct)
        report_repairs(cells["space"].network.repairs)
        cells |= settings | {"curves": figure is not None}
        found = list(diagnose_ratios(**cells, progress=status_progress(status)))
    if figure is not None:
        from redox_balancer.design.figures import ratio_curves  # noqa: PLC0415 - loads Matplotlib

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
    shown = sorted(limits, key=lambda name: " " in name)[:RATIO_LIMITS_SHOWN]
    return ", ".join(shown) or "-"
